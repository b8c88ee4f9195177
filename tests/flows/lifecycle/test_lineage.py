"""From a record back to all that made its vectors."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from flows.config.settings import SettingsError
from flows.lifecycle import promotion as lifecycle
from flows.lifecycle.lineage import lineage, standing_after
from flows.lifecycle.recipes import about, recipe, versions
from storage import standings
from storage.ids import hash_text
from storage.model import UsageError

if TYPE_CHECKING:
    from tests.flows.project import Project

ROWS = [("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z")]


@pytest.fixture
def two(project: Project) -> Project:
    """A live version, brought up to date twice, and a candidate."""
    project.write(ROWS)
    project.run()
    project.write([("a", "wheel", "x"), ("b", "other grain", "y"), ("c", "flour", "new label")])
    project.run()
    project.encoder = {"revision": 2, "dim": 5}
    project.run()
    return project


def test_each_version_says_what_made_its_vector(two: Project) -> None:
    runs = [run["run_id"] for run in two.runs()]
    found = lineage(two.settings(), "notes", "b")
    assert (found.source, found.source_kind, found.dead, found.place) == (
        "notes",
        "table",
        (),
        None,
    )
    one, other = found.traces
    assert (one.version, one.standing, one.then) == (1, "live", "live")
    assert (other.version, other.standing, other.then) == (2, "candidate", "candidate")
    assert (other.encoder, other.dim, other.differs) == ("letters", 5, "dim 5, revision 2")
    assert (one.differs, one.fingerprint) == ("", two.versions()[0].fingerprint)
    content = one.content
    assert (content.content_hash, content.run_id) == (hash_text("other grain"), runs[1])
    assert (content.held_by, one.before) == ((runs[1],), ())
    assert content.run is not None
    assert (content.run["kind"], content.run["status"]) == ("run", "done")
    json.dumps(found.row(), default=str, allow_nan=False)


def test_a_vector_is_held_by_every_state_since_it_was_written(two: Project) -> None:
    runs = [run["run_id"] for run in two.runs()]
    for record_id in ("a", "c"):  # c has another label, and the vector it had
        [trace] = lineage(two.settings(), "notes", record_id, 1).traces
        assert (trace.content.run_id, trace.content.held_by) == (runs[0], (runs[0], runs[1]))
    with two.stores().catalog.transaction() as con:
        con.execute("UPDATE manifests SET forgotten_at = now() WHERE run_id = ?", [runs[0]])
    [trace] = lineage(two.settings(), "notes", "a", 1).traces
    assert trace.content.held_by == (runs[1],)
    assert trace.then == "live"


def test_the_standing_then_and_now(two: Project) -> None:
    lifecycle.promote(two.settings(), "notes", 2)
    one, other = lineage(two.settings(), "notes", "a").traces
    assert [(t.then, t.standing) for t in (one, other)] == [
        ("live", "retired"), ("candidate", "live"),
    ]  # fmt: skip
    catalog = two.stores().catalog
    changes = standings.log(catalog, "notes")
    manifests = catalog.manifests(two.versions()[1])
    later = replace(manifests[0], run_id="later", published_at=changes[-1].changed_at)
    assert standing_after(changes, 2, [*manifests, later], "later") == "live"


def test_a_place_is_looked_for_when_asked(two: Project) -> None:
    settings = two.settings()
    found = lineage(settings, "notes", "b", place=True)
    assert found.place == "notes.csv:3, with the same content"
    two.write([("new", "first", "x"), ("b", "grain again", "y")])
    found = lineage(settings, "notes", "b", place=True)
    assert found.place == "notes.csv:3, with another content now"
    found = lineage(settings, "notes", "a", place=True)
    assert found.place == "the source 'notes' has no such record now"


def test_equal_contents_without_ids_are_told_apart(project: Project) -> None:
    project.source = {"kind": "table", "path": "notes.csv", "content": "text"}
    project.write([("a", "wheel", "x"), ("b", "grain", "y"), ("c", "wheel", "z")])
    project.run()
    mark = hash_text("wheel")
    for record_id, line in ((mark, 2), (f"{mark}#2", 4)):
        found = lineage(project.settings(), "notes", record_id, place=True)
        assert found.place == f"notes.csv:{line}, with the same content"


def test_a_dead_letter_is_shown_instead_of_nothing(project: Project) -> None:
    project.write([*ROWS, ("bad", "FAIL", "x")])
    project.run()
    found = lineage(project.settings(), "notes", "bad", place=True)
    assert (found.traces, found.place) == ((), "notes.csv:5")
    [letter] = found.dead
    assert "cannot encode" in letter["reason"]
    assert letter["published"]
    project.write([*ROWS[:2], ("c", "FAIL", "x")])
    project.run()
    found = lineage(project.settings(), "notes", "c")
    assert (len(found.traces), len(found.dead)) == (1, 1), "it keeps its last good vector"


@pytest.mark.parametrize(
    ("name", "record_id", "number", "said"),
    [
        (
            "notes",
            "aa",
            None,
            "no record 'aa', nor a dead letter of it, in notes_v1, notes_v2; .*'a'",
        ),
        ("notes", "aa", 2, "in notes_v2; the nearest ids: "),
        ("notes", "a", 7, "notes has no version v7; there are: v1, v2"),
    ],
)
def test_what_cannot_be_found(
    two: Project, name: str, record_id: str, number: int | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        lineage(two.settings(), name, record_id, number)


def test_a_feature_that_is_not_there(two: Project) -> None:
    with pytest.raises(SettingsError, match="no feature 'notse'; did you mean 'notes'"):
        lineage(two.settings(), "notse", "a")


def test_a_feature_that_has_not_run(project: Project) -> None:
    project.write(ROWS)
    with pytest.raises(UsageError, match="notes has no published version to look in"):
        lineage(project.settings(), "notes", "a")


# --- versions and recipes ------------------------------------------------------------------------


def test_a_row_a_version(two: Project) -> None:
    one, other = versions(two.settings(), "notes")
    assert (one["version"], one["standing"], one["rows"], one["complete"]) == (1, "live", 3, True)
    assert (other["about"], other["dim"], other["metric"]) == ("dim 5, revision 2", 5, "cosine")
    assert one["last_run"] > one["created_at"]
    assert (one["dropped"], one["code_version"] is not None) == (None, True)
    assert versions(two.settings()) == [one, other]
    with pytest.raises(SettingsError, match="no feature 'notse'"):
        versions(two.settings(), "notse")


def test_no_version_before_a_run(project: Project) -> None:
    assert versions(project.settings(), "notes") == []
    assert not (project.root / "data").exists()


def test_about_says_what_people_set_before_what_follows_from_it() -> None:
    base = {"kind": "x", "weights": "f" * 64, "dim": 8, "prompt": None}
    other = {"kind": "x", "weights": "e" * 64, "dim": 9, "prompt": "q: ", "crop": [1, 2]}
    assert about(other, base) == "dim 9, prompt q: , crop [1, 2] and 1 more"
    assert about(base, other) == f"dim 8, prompt null, weights {'f' * 27}…"
    assert about(base, base) == ""
    assert about({"a": 1}, {"a": 1, "b": 2}) == "no b"


def test_from_a_fingerprint_to_its_recipe(two: Project) -> None:
    settings = two.settings()
    one, other = two.versions()
    found = recipe(settings, "notes", 2)
    assert found == recipe(settings, other.fingerprint[:9])
    assert found["recipe"] == {"kind": "letters", "dim": 5, "revision": 2, "metric": "cosine"}
    assert (found["fingerprint"], found["state"]) == (other.fingerprint, None)
    [having] = found["versions"]
    assert (having["feature"], having["version"], having["params"]["revision"]) == ("notes", 2, 2)
    two.more = '[features.others]\nsource = "notes"\nencoder = "mill"\nmax_dead = 1.0\n'
    two.run(name="others")
    found = recipe(two.settings(), other.fingerprint)
    assert [(v["feature"], v["version"]) for v in found["versions"]] == [
        ("notes", 2),
        ("others", 1),
    ]
    assert one.fingerprint != other.fingerprint


def test_which_recipe_is_meant_must_be_clear(two: Project) -> None:
    settings = two.settings()
    with pytest.raises(UsageError, match="'' is the beginning of several fingerprints: notes_v1 "):
        recipe(settings, "")
    with pytest.raises(UsageError, match="no version has a fingerprint that begins with 'zz'"):
        recipe(settings, "zz")
    with pytest.raises(UsageError, match="'notes' is a feature; name one of its versions too"):
        recipe(settings, "notes")
    with pytest.raises(UsageError, match="no version v9; there are: v1, v2"):
        recipe(settings, "notes", 9)
    with pytest.raises(SettingsError, match="no feature 'notse'"):
        recipe(settings, "notse", 1)
