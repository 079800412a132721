# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every command of `passage`: its help, and its answer as JSON."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache

import click
import pytest
import typer

import infra.command

WITHOUT_JSON = {
    "up": "stays in the foreground and shows a table that changes",
    "new-site": "prints a site file",
    "demo": "tells a story, and writes a report",
    "demo-year": "likewise",
    "town check": "says that a plan is sound, or every fault of it",
    "town new": "writes a plan",
    "town render": "shows how far it has come, and writes a town",
    "town show": "draws",
    "train detector": "shows how far it has come, and writes a model",
}
"""Commands that answer with no data, and why."""


@cache
def commands() -> dict[str, click.Command]:
    """All of them, by the words that one types."""
    app = copy.deepcopy(infra.command.app)
    infra.command.mount(app)

    def walk(one: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
        if hasattr(one, "commands"):
            for name, below in one.commands.items():
                yield from walk(below, f"{words} {name}".strip())
        else:
            yield words, one

    return dict(walk(typer.main.get_command(app), ""))


def test_what_answers_without_data_is_a_command() -> None:
    assert commands().keys() >= WITHOUT_JSON.keys() and len(commands()) > 40


@pytest.mark.parametrize("words", sorted(commands()))
def test_every_command_has_help_and_answers_in_json(words: str) -> None:
    command = commands()[words]
    assert command.help and command.help.strip()
    options = {name for parameter in command.params for name in parameter.opts}
    assert ("--json" in options) != (words in WITHOUT_JSON)
