# SPDX-License-Identifier: AGPL-3.0-or-later

"""Bugs in the rules, one at a time."""

from tests.threats.mutants import Change

PROPERTY = "tests/gate/test_rules_property.py::test_nothing_comes_out_that_the_rules_forbid"

PLANTED: tuple[Change, ...] = (
    Change(
        "cameras not looked at", "gate.access", "strange = cameras - allowed_cameras", "strange = cameras - cameras"
    ),
    Change("seconds not looked at", "gate.access", "if not covered(interval, allowed_intervals):", "if False:"),
    Change(
        "a second of slack",
        "gate.access",
        "if reached >= interval.end:",
        "if (interval.end - reached).total_seconds() <= 1:",
    ),
    Change(
        "a microsecond of slack",
        "gate.access",
        "if piece.start > reached:",
        "if (piece.start - reached).total_seconds() > 1e-6:",
    ),
    Change(
        "drafts count as open", "gate.access", 'if basis.state != "open":', 'if basis.state not in ("open", "draft"):'
    ),
    Change(
        "closed ones count as open",
        "gate.access",
        'if basis.state != "open":',
        'if basis.state not in ("open", "closed"):',
    ),
    Change("expiry forgotten", "gate.access", "if now >= basis.expires_at:", "if False:"),
    Change(
        "habilitation forgotten",
        "gate.access",
        'if allowed <= NEEDS_HABILITATION and not person.holds("habilitation", now):',
        "if False:",
    ),
    Change(
        "agrément forgotten",
        "gate.access",
        'if what == "operate" and person.municipal and not person.holds("agrement", now):',
        "if False:",
    ),
    Change(
        "end of a credential forgotten",
        "gate.access",
        "return not self.withdrawn and self.starts_at <= now < self.ends_at",
        "return not self.withdrawn and self.starts_at <= now",
    ),
    Change(
        "registrars operate",
        "gate.access",
        '"operate": frozenset({"technician"})',
        '"operate": frozenset({"technician", "registrar"})',
    ),
    Change(
        "auditors operate",
        "gate.access",
        '"operate": frozenset({"technician"})',
        '"operate": frozenset({"technician", "auditor"})',
    ),
    Change(
        "narrow bases trace", "gate.access", "beyond = acts - ACTS[basis.basis]", 'beyond = acts - ACTS["requisition"]'
    ),
    Change("acts of the grant forgotten", "gate.access", "if act not in self.acts:", "if False:"),
    Change(
        "grant as wide as the requisition",
        "gate.access",
        'self.cameras, self.intervals, "this grant")',
        'self.basis.cameras, self.basis.intervals, "this grant")',
    ),
    Change(
        "whole grant though a part was asked",
        "gate.access",
        "return whole.meet(chosen, interval)",
        "return Bounds(self.basis.id, self.basis.cameras, self.basis.intervals, not_before)",
    ),
    Change("borrowed grants work", "gate.grants", "if row is None or row.session != session:", "if row is None:"),
    Change("withdrawn grants work", "gate.grants", "if row.withdrawn_at is not None:", "if False:"),
    Change("ended sessions work", "gate.sessions", "row is None or row.ended_at is not None", "row is None"),
    Change("idle sessions work", "gate.sessions", "if now - row.seen_at >= self._idle:", "if False:"),
    Change("retention forgotten in the archive", "gate.footage", "if e[1].first_at >= bounds.not_before", "if True"),
    Change("groups shown beyond the end", "gate.rewind", "if gop.last_at < interval.end:", "if True:"),
)
"""Bugs in the rules; the property test must find every one."""
