# SPDX-License-Identifier: AGPL-3.0-or-later
"""What can go wrong while starting and watching things.

InfraError
├── SetupFault          something the machine lacks: jars, disk room, a package
├── PortTaken           another program listens where one of ours should
├── StackError          the stack cannot start, or did not come up
│   ├── AlreadyRunning  another supervisor watches this site
│   └── NotRunning      nobody does
└── DemoError           a step of the demonstration did not hold
"""

from __future__ import annotations


class InfraError(Exception):
    """Root of every error raised in `infra`; its text says what to do."""


class SetupFault(InfraError):
    """Something that the machine lacks."""


class PortTaken(InfraError):
    """Another program listens on a port that the site file names."""


class StackError(InfraError):
    """The stack cannot start, or did not come up."""


class AlreadyRunning(StackError):
    """Another supervisor already watches this site."""


class NotRunning(StackError):
    """No supervisor watches this site."""


class DemoError(InfraError):
    """A step of the demonstration did not hold."""
