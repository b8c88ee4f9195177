"""What is told of disks that are full, whoever raised it."""

from __future__ import annotations

import errno

from storage.disk import told

ARROW = (
    "LanceError(Arrow): C Data interface error: Could not write file: No space left on device. "
    "Detail: Python exception: Traceback (most recent call last):\n  File ..."
)


def test_a_traceback_that_arrow_announces_is_left_out() -> None:
    found = told(OSError(ARROW))
    assert found is not None
    assert "Could not write file: No space left on device; the disk is full" in str(found)
    assert "Traceback" not in str(found)


def test_a_place_in_the_source_of_lance_is_left_out() -> None:
    place = "/build/lance/rust/lance-file/src/writer/structural.rs:190:9"
    full = told(OSError(f"LanceError(IO): No space left on device (os error 28), {place}"))
    assert str(full).startswith("LanceError(IO): No space left on device (os error 28); the disk")


def test_what_an_error_was_raised_from_counts() -> None:
    outer = ValueError("cannot tidy up")
    outer.__cause__ = OSError(errno.EROFS, "nothing")
    assert "mount it for writing" in str(told(outer))


def test_what_is_no_fault_of_the_disk_is_not_told_as_one() -> None:
    assert told(ValueError("no such column")) is None
