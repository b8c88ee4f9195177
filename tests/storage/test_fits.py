"""Fits in the catalog: what counts, what is told of them, and which version awaits a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from storage import fits
from storage.fits import Fit

if TYPE_CHECKING:
    from tests.storage.conftest import Store

FIT = Fit("notes", "u", "s1", 10)


def test_what_an_encoder_learned_last_counts(store: Store) -> None:
    assert fits.states(store.catalog, "notes", "u") == []
    for state in ("s1", "s2"):
        fits.add(store.catalog, replace(FIT, state=state))
    fits.add(store.catalog, replace(FIT, unfitted="other", state="s3"))
    fits.add(store.catalog, replace(FIT, feature="others", state="s4"))
    assert fits.states(store.catalog, "notes", "u") == ["s2", "s1"]
    fits.add(store.catalog, FIT)
    assert fits.states(store.catalog, "notes", "u")[0] == "s1"


def test_a_fit_comes_back_as_it_was(store: Store) -> None:
    assert fits.newest(store.catalog, "notes", "s1") is None
    assert fits.newest(store.catalog, "notes", None) is None
    since = datetime(2026, 1, 1, tzinfo=UTC)
    given = replace(
        FIT, wanted=20, since=since, figures={"loss": 0.5, "overfitted": True}, seconds=1.5
    )
    fits.add(store.catalog, FIT)
    fits.add(store.catalog, given)
    found = fits.newest(store.catalog, "notes", "s1")
    assert found is not None
    assert found.fitted_at is not None
    assert replace(found, fitted_at=None) == given


def test_what_fits_registered_is_unfilled_until_a_run_is_published(store: Store) -> None:
    version = store.version()
    fits.add(store.catalog, FIT)
    assert fits.unfilled(store.catalog, "notes", "u") == []
    fits.register(store.catalog, "notes", "s1", version.version)
    assert fits.unfilled(store.catalog, "notes", "u") == [version.version]
    assert fits.unfilled(store.catalog, "notes", "another encoder") == []
    assert fits.unfilled(store.catalog, "others", "u") == []
    store.publish(version, "r1", 1)
    assert fits.unfilled(store.catalog, "notes", "u") == []
