"""Bad records: each becomes a dead letter with its reason, and costs no other record a thing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.cli import run_command
from flows.pipeline.dead import keeping
from flows.pipeline.refusals import RunError
from tests.flows.plugins.letters import vector_of
from tests.flows.project import HEADER, vector

if TYPE_CHECKING:
    from tests.flows.project import Project

GOOD = (("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z"))


def test_a_line_that_cannot_be_read_is_a_dead_letter(project: Project) -> None:
    project.write([*GOOD[:2], ("c", "flour", "z", "one too many")])
    outcome = project.run()
    assert (outcome.counts.dead, [*project.rows()]) == (1, ["a", "b"])
    assert [*project.dead()] == ["notes.csv:4"]


def test_a_doubled_id_is_a_dead_letter_and_the_first_stands(project: Project) -> None:
    project.write([*GOOD, ("a", "other", "x"), ("a", "wheel", "x")])
    outcome = project.run()
    reason = "duplicate id, first seen at notes.csv:2"
    assert outcome.counts.dead == 2
    assert project.dead() == {"notes.csv:5": reason, "notes.csv:6": reason}
    np.testing.assert_array_equal(vector(project.rows()["a"]), vector_of("wheel"))
    assert "other" not in project.encoded()


def test_one_bad_record_is_found_in_its_batch(project: Project) -> None:
    texts = [f"text {n}" for n in range(20)]
    texts[13] = "FAIL here"
    project.write([(n, text, "x") for n, text in enumerate(texts)])
    outcome = project.run()
    assert (outcome.counts.encoded, outcome.counts.dead) == (19, 1)
    reason = "the encoder failed: ValueError: cannot encode 'FAIL here'"
    assert project.dead() == {"notes.csv:15": reason}
    rows = project.rows()
    assert "13" not in rows
    for n in (0, 12, 14, 19):
        np.testing.assert_array_equal(vector(rows[str(n)]), vector_of(texts[n]))


def test_a_vector_that_is_not_finite_is_a_dead_letter(project: Project) -> None:
    project.write([*GOOD, ("d", "NAN", "x"), ("e", "mill", "x")])
    assert project.run().counts.dead == 1
    assert project.dead() == {"notes.csv:5": "the encoder returned NaN or infinity"}
    assert sorted(project.rows()) == ["a", "b", "c", "e"]


def test_a_dead_record_is_left_alone_until_it_is_mended(project: Project) -> None:
    project.write([*GOOD, ("d", "NAN d", "x")])
    first = project.run()
    project.encoded()
    second = project.run()
    assert (second.counts.dead, second.counts.unchanged, project.encoded()) == (1, 3, [])
    letters = project.stores().catalog.query("FROM dead_letters").to_pylist()
    assert [letter["run_id"] for letter in letters] == [first.run]
    project.write([*GOOD, ("d", "mended", "x")])
    third = project.run()
    assert (third.counts.new, third.counts.dead, project.dead()) == (1, 0, {})
    assert project.encoded() == ["mended"]


def test_the_last_good_vector_outlives_a_record_that_breaks(project: Project) -> None:
    project.write(GOOD)
    project.run()
    before = project.rows()
    project.write([("a", "FAIL", "new"), ("b", "", "new"), ("c", "flour", "z")])
    outcome = project.run()
    assert (outcome.counts.dead, outcome.counts.deleted) == (2, 0)
    assert project.rows() == before
    project.write([("a", "wheel", "new"), ("b", "stone", "y"), ("c", "flour", "z")])
    healed = project.run()
    assert (healed.counts.updated, healed.counts.changed, healed.counts.dead) == (1, 1, 0)


def test_equal_bad_contents_are_dead_each(project: Project) -> None:
    project.write([*GOOD, ("d", "FAIL", "x"), ("e", "FAIL", "x")])
    assert project.run().counts.dead == 2
    assert len(project.dead()) == 2
    project.write([*GOOD, ("f", "FAIL", "x")])
    again = project.run()
    assert (again.counts.dead, again.counts.new) == (1, 0)
    assert project.rows().keys() == {*"abc"}


def test_a_source_of_nothing_but_dead_records(project: Project) -> None:
    project.write([("a", "FAIL", "x"), ("b", "NAN", "x"), ("", "no id", "x")])
    outcome = project.run()
    assert (outcome.counts.dead, outcome.rows, project.rows()) == (3, 0, {})


def test_too_many_dead_records_fail_the_run_before_anything_is_published(project: Project) -> None:
    project.feature = {"max_dead": 0.25}
    project.write(GOOD)
    project.run()
    before = project.rows()
    project.write([*GOOD[:2], ("c", "FAIL", "z"), ("d", "NAN", "z"), ("e", "new", "z")])
    with pytest.raises(RunError, match=r"2 of 5 records .* max_dead = 0\.25 .*FAIL"):
        project.run()
    assert (project.rows(), project.dead()) == (before, {})
    assert project.dead(published=False).keys() == {"notes.csv:4", "notes.csv:5"}
    last = project.runs()[-1]
    assert last["status"] == "failed"
    assert "2 of 5 records" in last["error"]


def test_a_share_of_exactly_max_dead_is_allowed(project: Project) -> None:
    # 0.29 * 100 is 28.999999999999996
    project.feature = {"max_dead": 0.29}
    project.write([(n, "" if n < 29 else f"text {n}", "x") for n in range(100)])
    assert project.run().counts.dead == 29


def test_a_failed_run_does_not_condemn_its_records(project: Project) -> None:
    """What failed may have been the machine: a GPU out of memory fails every record."""
    project.feature = {"max_dead": 0.1}
    project.encoder = {"breach": "raises"}
    project.write(GOOD)
    with pytest.raises(RunError, match=r"3 of 3 records .* out of order"):
        project.run()
    project.encoder = {}
    outcome = project.run()
    assert (outcome.counts.dead, outcome.counts.new) == (0, 3)


def test_a_failed_run_keeps_the_good_vectors_for_the_next(project: Project) -> None:
    project.feature = {"max_dead": 0.1}
    project.write([*GOOD, ("d", "FAIL", "x")])
    with pytest.raises(RunError, match="1 of 4 records"):
        project.run()
    assert project.encoded() == ["flour", "grain", "wheel"]
    project.write([*GOOD, ("d", "mended", "x")])
    outcome = project.run()
    assert (outcome.counts.resumed, outcome.counts.encoded) == (3, 1)
    assert project.encoded() == ["mended"]


def test_an_encoder_that_fails_on_everything_is_given_up_soon(project: Project) -> None:
    project.encoder = {"breach": "raises"}
    project.engine = {"shard_size": 1000}
    project.write([(n, f"text {n}", "x") for n in range(1000)])
    with pytest.raises(RunError, match="notes: the encoder failed on each of the first 16 records"):
        project.run()
    assert project.runs()[-1]["status"] == "failed"


@pytest.mark.parametrize(
    ("breach", "told"),
    [
        ("rows", r"float32 of shape \(3, 8\), got float32 of shape \(2, 8\)"),
        ("width", r"got float32 of shape \(3, 7\)"),
        ("float64", r"got float64 of shape \(3, 8\)"),
        ("list", "got list"),
        ("refuses", "the weights are gone"),
    ],
)
def test_an_encoder_that_breaks_its_contract_fails_the_run(
    project: Project, breach: str, told: str
) -> None:
    project.encoder = {"breach": breach}
    project.write(GOOD)
    with pytest.raises(RunError, match=told):
        project.run()
    assert project.rows_or_none() is None


def test_ids_and_contents_may_hold_anything(project: Project) -> None:
    odd = [
        "it's",
        'say "so"',
        "a;DROP TABLE runs;--",
        "ä\n\U0001f642",
        "%_\\'",
        "NULL",
        "# 1",
        "$x",
    ]
    rows = [(record_id, f"text {record_id}", record_id) for record_id in odd]
    project.write([*rows, *GOOD])
    project.run()
    found = project.rows()
    assert {found[record_id]["label"] for record_id in odd} == {*odd}
    project.write(GOOD)
    assert project.run().counts.deleted == len(odd)
    assert project.rows().keys() == {*"abc"}


HEADERS: list[Any] = [
    *("Größe (cm)", 'a"b', "a'b", "select", "a b", "UPPER", "new\nline", "{x}", "$y"),
    *("outcome", "seq", "nth", "first_place", "distance", "reason", "origin", "chunk", "feature"),
]


@pytest.mark.parametrize("name", HEADERS)
def test_a_kept_column_may_have_any_name(project: Project, name: str) -> None:
    project.source = {"keep": [name]}
    project.write(GOOD, (*HEADER[:2], name))
    assert project.run().counts.new == 3
    project.write([*GOOD[:2], ("c", "flour", "new")], (*HEADER[:2], name))
    outcome = project.run()
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, 2)
    assert {row["record_id"]: row[name] for row in project.rows().values()} == {
        "a": "x",
        "b": "y",
        "c": "new",
    }


def test_a_record_whose_new_content_is_bad_keeps_its_vector_and_that_is_said(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write([("a", "wheel", "x"), ("b", "grain", "x")])
    project.run()
    project.write([("a", "FAIL wheel", "x"), ("b", "grain", "x"), ("c", "FAIL", "x")])
    conf = ["--conf", str(project.settings().conf)]
    assert run_command(["run", "--direct", *conf]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "which, and why. 1 of them keeps the vector it had before" in told
    [version] = project.versions()
    assert keeping(project.stores(), version) == {"a"}
    assert run_command(["dead", "notes", *conf]) == 0
    lines = capsys.readouterr().out.splitlines()
    [marked] = [line for line in lines if "keeps its older vector" in line]
    assert (len(lines), marked.split()[3]) == (3, "a")
    assert run_command(["dead", "--json", *conf]) == 0
    letters = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["record_id"]: row["keeps_vector"] for row in letters} == {"a": True, "c": False}
    assert run_command(["logs", "notes", *conf]) == 0
    assert "it left dead letters; `vecmill dead notes`" in capsys.readouterr().err
    assert run_command(["status", *conf]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "notes has dead letters; `vecmill dead notes` says which records, and why" in told
