"""Versions: when a new one is made, which is live, and that none mixes two spaces."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.output.progress import Silent
from flows.pipeline import fitting, learning
from flows.pipeline.learning import FittingError
from flows.pipeline.refusals import RunError
from flows.pipeline.versions import open_source
from storage.model import StorageError
from tests.flows.plugins.letters import vector_of
from tests.flows.project import vector

if TYPE_CHECKING:
    from tests.flows.project import Project

THREE = (("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z"))
NUMBERS = ("id", "size", "weight")


def measured(project: Project, rows: int = 40, shift: float = 0.0) -> None:
    """A table of numbers, for the encoder that learns."""
    project.source = {"content": ["size", "weight"], "keep": []}
    project.encoder = {"kind": "tabular"}
    rng = np.random.default_rng(3)
    drawn = rng.normal((5, 0), (1, 2 + shift), (rows, 2))
    project.write([(n, *pair) for n, pair in enumerate(drawn)], NUMBERS)


def test_a_table_of_another_catalog_is_not_written_upon(project: Project) -> None:
    """As where a container has the bucket and not the catalog."""
    project.write(THREE)
    project.run()
    catalog, kept = project.settings().catalog, project.root / "kept.duckdb"
    catalog.rename(kept)
    project.write(THREE[:1])
    with pytest.raises(StorageError, match=r"a table notes_v1 already.* Restore that catalog"):
        project.run()
    assert [(run["status"], run["version"]) for run in project.runs()] == [("failed", None)]
    assert project.encoded() == sorted(text for _, text, _ in THREE)
    kept.replace(catalog)
    assert project.rows().keys() == {"a", "b", "c"}
    assert project.run().counts.deleted == 2


def test_the_same_configuration_makes_no_new_version(project: Project) -> None:
    project.write(THREE)
    assert [project.run().version, project.run().version] == [1, 1]
    assert len(project.versions()) == 1


def test_another_fingerprint_makes_a_candidate_and_leaves_the_live_alone(project: Project) -> None:
    project.write(THREE)
    project.run()
    before = project.rows()
    project.encoder = {"revision": 2, "dim": 5}
    project.write([*THREE[:2], ("c", "changed", "z")])
    outcome = project.run()
    assert (outcome.version, outcome.standing, outcome.counts.new) == (2, "candidate", 3)
    assert project.rows() == before
    np.testing.assert_array_equal(
        vector(project.rows("notes_v2")["c"]), vector_of("changed", 5, revision=2)
    )
    assert [v.standing for v in project.versions()] == ["live", "candidate"]


def test_promotion_and_the_way_back(project: Project) -> None:
    project.write(THREE)
    project.run()
    first = project.rows()
    project.encoder = {"revision": 2}
    project.run()
    project.promote(2)
    assert [v.standing for v in project.versions()] == ["retired", "live"]
    assert project.rows() == project.rows("notes_v2") != first
    project.promote(1)
    assert [v.standing for v in project.versions()] == ["live", "retired"]
    assert project.rows() == first


def test_what_readers_could_not_read_is_not_promoted(project: Project) -> None:
    project.write(THREE)
    project.run()
    project.encoder = {"revision": 2, "breach": "width"}
    with pytest.raises(RunError, match="shape"):
        project.run()
    with pytest.raises(StorageError, match="notes_v2 has no published run"):
        project.promote(2)
    with pytest.raises(StorageError, match="no version v7; see `vecmill versions"):
        project.promote(7)
    assert project.rows_or_none("notes_v2") is None
    assert project.plan().creates


def test_an_older_configuration_goes_on_with_its_own_version(project: Project) -> None:
    project.write(THREE)
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    project.encoder = {"revision": 1}
    project.encoded()
    outcome = project.run()
    assert (outcome.version, outcome.counts.unchanged, project.encoded()) == (1, 3, [])


def test_what_is_no_part_of_the_fingerprint_may_change(project: Project) -> None:
    """Weights that moved to another folder are still those weights."""
    project.write(THREE)
    project.run()
    (project.root / "moved").mkdir()
    project.encoder = {"log": str(project.root / "moved" / "log"), "batch_size": 2}
    project.write([*THREE, ("d", "mill", "x")])
    assert project.run().version == 1
    assert (project.root / "moved" / "log").read_text("utf-8") == '"mill"\n'
    assert project.versions()[0].params["batch_size"] == 2


def test_an_encoder_that_learns_does_so_once(project: Project) -> None:
    measured(project)
    assert project.plan().fingerprint is None
    first = project.run()
    measured(project, rows=60)
    second = project.run()
    assert (second.version, second.counts.new, second.counts.unchanged) == (1, 20, 40)
    fits = project.stores().catalog.query("FROM fits").to_pylist()
    assert [fit["records"] for fit in fits] == [40]
    assert second.fingerprint == first.fingerprint


def test_a_refit_makes_a_new_version_where_it_learns_something_new(project: Project) -> None:
    measured(project)
    project.run()
    assert project.run(refit=True).version == 1
    measured(project, shift=4)
    refitted = project.run(refit=True)
    assert (refitted.version, refitted.standing) == (2, "candidate")
    assert project.run().version == 1  # what readers see is what is kept up to date
    project.promote(2)
    assert (project.run().version, project.run().standing) == (2, "live")
    project.promote(1)
    assert project.run().version == 1


def test_learning_gives_the_same_again(project: Project) -> None:
    measured(project)
    settings, stores = project.settings(), project.stores()
    feature = settings.feature("notes")
    source = open_source(settings, feature, None)
    states = set()
    for name in ("one", "two"):
        elsewhere = replace(stores, states=project.root / name)
        learned = learning.fit(feature, source, elsewhere, Silent())
        assert learned is not None
        states.add(learned.state)
    assert len(states) == 1


def test_nothing_to_learn_from_is_an_error_that_says_so(project: Project) -> None:
    measured(project, rows=0)
    with pytest.raises(FittingError, match="none of the 0 drawn from the source 'notes'"):
        project.run()


def test_a_state_that_was_tampered_with_is_refused_and_a_refit_mends_it(project: Project) -> None:
    measured(project)
    project.run()
    before = project.rows()
    (state,) = (project.root / "data" / "states").iterdir()
    whole = state.read_bytes()
    state.write_bytes(whole[:-4] + b"\x00\x00\x00\x3f")
    fitting.forget()
    with pytest.raises(StorageError, match=r"damaged: its content has the digest .* --refit"):
        project.run()
    assert project.run(refit=True).version == 1
    assert (state.read_bytes(), project.rows()) == (whole, before)
