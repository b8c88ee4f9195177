"""What is told of errors, and what is forgotten of them."""

from __future__ import annotations

import weakref

import pytest

from flows.output import codes


class Held:
    """Something that a frame holds, such as an open connection."""


def failing(kept: list[weakref.ref[Held]]) -> None:
    held = Held()
    kept.append(weakref.ref(held))
    try:
        int("first")
    except ValueError as error:
        raise OSError("second") from error


def test_an_error_that_is_kept_holds_nothing_once_it_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept: list[weakref.ref[Held]] = []
    with pytest.raises(OSError, match="second") as raised:
        failing(kept)
    assert kept[0]() is not None
    codes.report(raised.value)
    assert "second" in capsys.readouterr().err
    assert kept[0]() is None
