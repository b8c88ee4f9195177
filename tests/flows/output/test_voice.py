"""What a command line says of how the command is to speak."""

from __future__ import annotations

import pytest

from flows.output.voice import Voice, heard


@pytest.mark.parametrize(
    ("arguments", "voice", "left"),
    [
        (["run"], Voice(), ["run"]),
        (["run", "--quiet", "--json"], Voice(json=True, quiet=True), ["run", "--json"]),
        (["-q", "run"], Voice(quiet=True), ["run"]),
        (
            ["words", "notes", "--", "-q", "--json"],
            Voice(),
            ["words", "notes", "--", "-q", "--json"],
        ),
    ],
)
def test_options_of_all_commands_are_heard_and_taken_out(
    arguments: list[str], voice: Voice, left: list[str]
) -> None:
    assert heard(arguments) == (voice, left)
