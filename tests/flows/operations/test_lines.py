"""What the log of `vecmill serve` says of runs: what they did, and where to look."""

from __future__ import annotations

from typing import Any

from flows.operations import lines

ROW: dict[str, Any] = {
    "feature": "notes", "version": 2, "standing": "candidate", "run": "ab12", "new": 1200,
    "changed": 3, "updated": 0, "deleted": 4, "dead": 1, "rows": 5000, "complete": True,
}  # fmt: skip
LOOKS = [
    {"monitor": "health", "verdict": "quiet", "summary": "fine"},
    {"monitor": "drift", "verdict": "alarm", "summary": "the means moved"},
    {"monitor": "outliers", "verdict": "cannot tell", "summary": "too few"},
]


def test_a_run_is_told_with_its_counts_and_what_its_monitors_said() -> None:
    assert lines.ran(ROW, LOOKS, 75.0) == (
        "notes v2 (candidate): 1,200 new, 3 changed, 4 deleted, 1 dead letter, 5,000 rows; "
        "monitors: 1 alarm (drift: the means moved), 1 cannot tell, 1 quiet; 1 min 15 s; "
        "see `vecmill logs ab12` and `vecmill report notes`"
    )


def test_what_is_rare_is_told_where_it_is_so() -> None:
    told = lines.ran(ROW | {"updated": 7, "complete": False}, None, 1.0)
    assert "1 dead letter, 7 with other kept values, 5,000 rows; the limit was reached" in told
    assert "monitors" not in told
    assert lines.looked("notes", []).startswith("notes: no monitor had anything to look at; see")


def test_a_configuration_that_is_wrong_is_told_with_its_file_and_what_readers_get() -> None:
    told = lines.not_begun("hourly", "unknown key 'cursr' in [sources.notes]", "conf/base.toml")
    assert told == (
        "hourly: not begun: unknown key 'cursr' in [sources.notes]; readers get what was published "
        "before. Mend the configuration of conf/base.toml (`vecmill check` says all that is wrong "
        "with it, and where): the next start reads it again"
    )
    assert "Mend the configuration (`vecmill check`" in lines.not_begun("hourly", "no", None)


def test_a_failure_is_told_by_its_first_line_and_with_what_to_do() -> None:
    error = "notes: the disk is full.\n  at line 3"
    assert lines.failed("notes", error, 3.0, "vecmill run notes", usage=False) == (
        "notes: failed after 3 s: the disk is full; see `vecmill logs notes`; the next start "
        "tries again, or `vecmill run notes` does"
    )
    assert "mend the configuration" in lines.failed("notes", "no key 'x'", 1.0, None, usage=True)
    assert lines.failed("all", "", 1.0, None, usage=False) == (
        "all: failed after 1 s: without a word; the next start tries again"
    )


def test_what_cannot_speak_for_itself_is_spoken_of() -> None:
    told = lines.cut_short("nightly", "Flow run process exited with code -9.", crashed=True)
    assert told == (
        "nightly: its process ended before it was done (Flow run process exited with code -9); "
        "nothing half done is published, and the next start goes on from what it encoded; "
        "`vecmill logs` shows how far it came"
    )
    assert lines.cut_short("nightly", None, crashed=False).startswith("nightly: it was cancelled;")
    assert lines.stopped("nightly").startswith(
        "nightly: stopped with `vecmill serve`; nothing half done is published, and"
    )
