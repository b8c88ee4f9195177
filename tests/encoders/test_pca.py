"""Principal components: those of the SVD, whatever the blocks, for tables and for vectors."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from encoders import _rows
from encoders._svd import Gathered, gathered
from encoders.base import EncoderError, EncoderUsageError, State, digest
from encoders.pca import Params, Pca, build
from encoders.vectors import Part, column
from tests.encoders.test_tabular import customers
from tests.encoders.vectors import LIKED, PRICES, TITLES, batch_of, drawn, lacking

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fit(sample: pl.DataFrame, *parts: Part, **params: Any) -> Pca:  # noqa: ANN401 - any of Params
    reads: dict[str, Any] = {"reads": "vector", "parts": parts} if parts else {}
    encoder = build(Params(**reads, **params))
    encoder.fit(sample, np.random.default_rng(0))
    return encoder


def unit(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = rows.astype(np.float64)
    found: NDArray[np.float64] = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    return found


def aligned(found: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.float64]:
    """The expected columns, each turned to the side that the found one is on."""
    turned: NDArray[np.float64] = expected * np.sign((found * expected).sum(axis=0))
    return turned


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 2**32),
    st.integers(2, 60),
    st.integers(1, 12),
    st.lists(st.integers(1, 59), max_size=5),
)
def test_blocks_put_together_are_the_svd_of_all_rows(
    seed: int, n: int, features: int, cuts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, features)) * np.geomspace(1, 1e-3, features) + 100
    borders = sorted({0, n, *(cut for cut in cuts if cut < n)})
    parts = [rows[a:b] for a, b in pairwise(borders)]
    found = gathered(parts)
    assert found.count == n
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-12)
    variances, directions = found.directions()
    expected = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(
        np.sqrt(variances[: len(expected)] * (n - 1)), expected[: len(variances)],
        rtol=1e-7, atol=1e-10 * expected[0],
    )  # fmt: skip
    np.testing.assert_allclose(directions.T @ directions, np.eye(len(variances)), atol=1e-12)


def test_weak_directions_keep_their_digits() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 4)) * np.array([1, 1e-3, 1e-6, 1e-9])
    variances, _ = gathered(np.array_split(rows, 7)).directions()
    expected = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2 / 499
    np.testing.assert_allclose(variances, expected, rtol=1e-6)


def test_the_order_of_halves_changes_nothing_but_rounding() -> None:
    one, two = np.random.default_rng(1).normal(size=(2, 40, 6))
    first, second = (Gathered.of(one) + Gathered.of(two), Gathered.of(two) + Gathered.of(one))
    np.testing.assert_allclose(first.mean, second.mean, atol=1e-14)
    np.testing.assert_allclose(first.directions()[0], second.directions()[0], rtol=1e-12)
    np.testing.assert_allclose(first.directions()[1], second.directions()[1], atol=1e-10)


@pytest.mark.parametrize("whiten", [False, True])
def test_vectors_equal_those_of_scikit_learn(*, whiten: bool) -> None:
    rows = drawn(TITLES, 2)
    encoder = fit(batch_of(titles=rows), TITLES, dim=7, whiten=whiten)
    theirs = PCA(7, svd_solver="full", whiten=whiten).fit(unit(rows))
    others = drawn(TITLES, 3)
    found = encoder.encode(batch_of(titles=others))
    expected = theirs.transform(unit(others))
    np.testing.assert_allclose(found, aligned(found, expected), atol=2e-6 * np.abs(expected).max())
    figures: Any = encoder.state().meta["figures"]
    kept = theirs.explained_variance_ratio_.sum()
    assert figures["kept_variance"] == pytest.approx(kept, abs=1e-6)


def test_a_table_equals_kind_tabular() -> None:
    from encoders import tabular

    table = customers(600, 3)
    theirs = tabular.build(tabular.Params(dim=None))
    theirs.fit(table, np.random.default_rng(0))
    ours = fit(table, dim=None)
    expected = theirs.encode(table)
    found = ours.encode(table)
    np.testing.assert_allclose(found, aligned(found, expected), atol=1e-4)
    figures: Any = ours.state().meta["figures"]
    assert figures["kept_variance"] == pytest.approx(1, abs=1e-6)


def test_blocks_do_not_change_what_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = batch_of(titles=drawn(TITLES, 4), prices=drawn(PRICES, 5))
    whole = fit(sample, TITLES, PRICES).encode(sample)
    monkeypatch.setattr(_rows.blocks, "__defaults__", (37,))
    monkeypatch.setattr("encoders.pca.BLOCK", 41)
    np.testing.assert_allclose(fit(sample, TITLES, PRICES).encode(sample), whole, atol=1e-5)


def test_memory_does_not_grow_with_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rows.blocks, "__defaults__", (256,))
    monkeypatch.setattr("encoders.pca.BLOCK", 256)
    part = Part("titles", 64, "l2")
    peaks = []
    for rows in (1_000, 1_000, 8_000):  # the first one imports
        sample = batch_of(titles=drawn(part, 5, rows))
        tracemalloc.start()
        fit(sample, part)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]


def test_whitened_components_have_variance_one() -> None:
    sample = batch_of(prices=drawn(PRICES, 6))
    found = fit(sample, PRICES, whiten=True).encode(sample).astype(np.float64)
    np.testing.assert_allclose(np.cov(found.T), np.eye(5), atol=1e-5)


def test_fewer_dimensions_are_the_first_of_more() -> None:
    sample = batch_of(titles=drawn(TITLES, 7))
    many, few = (fit(sample, TITLES, dim=dim).encode(sample) for dim in (9, 4))
    np.testing.assert_allclose(few, many[:, :4], atol=1e-6)


def test_signs_do_not_hang_on_the_order_of_records() -> None:
    two = pl.DataFrame({"x": ["a", "b"] * 40, "y": [0.0, 1.0, 2.0, 5.0] * 20})
    expected = fit(two).encode(two)
    for turn in range(5):
        order = np.random.default_rng(8 + turn).permutation(80).tolist()
        np.testing.assert_allclose(fit(two[order]).encode(two), expected, atol=1e-5)


def test_parts_weigh_as_their_metric_asks() -> None:
    titles, prices = drawn(TITLES, 9), drawn(PRICES, 10)
    sample = batch_of(titles=titles, prices=1000 * prices)
    found = fit(sample, TITLES, PRICES, dim=None).encode(sample).astype(np.float64)
    centred = prices.astype(np.float64) - prices.mean(axis=0, dtype=np.float64)
    standard = centred / np.sqrt((centred**2).sum(axis=1).mean())
    expected = np.hstack([unit(titles) - unit(titles).mean(axis=0), standard])
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=2e-5)


def test_a_missing_part_says_nothing() -> None:
    sample = batch_of(titles=drawn(TITLES, 10), prices=drawn(PRICES, 11))
    absent = np.arange(300) % 7 == 3
    encoder = fit(lacking(sample, "prices", absent), TITLES, PRICES, dim=None)
    mean = drawn(PRICES, 11)[~absent].mean(axis=0, dtype=np.float64)
    filled = sample.with_columns(
        prices=column(np.tile(mean.astype(np.float32), (300, 1)), np.ones(300, np.bool_))
    )
    alone = lacking(sample, "prices", np.ones(300, np.bool_))
    np.testing.assert_allclose(encoder.encode(alone), encoder.encode(filled), atol=1e-5)
    neither = lacking(alone, "titles", np.ones(300, np.bool_))
    assert not encoder.encode(neither).any()


def test_a_vector_of_zeros_is_a_missing_one_where_norms_are_one() -> None:
    sample = batch_of(titles=drawn(TITLES, 11))
    zero, nothing = batch_of(titles=np.zeros((1, 12), np.float32)), np.ones(1, np.bool_)
    encoder = fit(sample, TITLES)
    assert np.array_equal(encoder.encode(zero), encoder.encode(lacking(zero, "titles", nothing)))
    other = fit(sample, TITLES, scale="none")
    assert other.encode(zero).any()


def test_a_row_depends_on_itself_alone() -> None:
    rows = drawn(TITLES, 12)
    encoder = fit(batch_of(titles=rows), TITLES)
    whole = encoder.encode(batch_of(titles=rows))
    for at in (0, 1, 255, 256, 299):
        alone = encoder.encode(batch_of(titles=rows[at : at + 1]))
        np.testing.assert_allclose(alone, whole[[at]], rtol=0, atol=1e-7)


def test_dot_products_need_a_scale() -> None:
    with pytest.raises(EncoderUsageError, match=r"'liked' are compared by dot product.*scale = "):
        build(Params(reads="vector", parts=(LIKED,)))
    assert build(Params(reads="vector", parts=(LIKED,), scale="none")).modality == "vector"


def test_vectors_of_nothing_are_refused() -> None:
    with pytest.raises(EncoderUsageError, match=r"kind 'pca' reads vectors.*told of none"):
        build(Params(reads="vector"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"dim": 0}, "dim must be 1 or more, got 0"),
        ({"reads": "rows"}, "reads must be one of tabular, vector, got 'rows'"),
        ({"scale": "norm"}, "scale goes with reads = 'vector', and this encoder reads tabular"),
        ({"reads": "vector", "categories": ("x",)}, "categories goes with reads = 'tabular'"),
        ({"categories": "city"}, "categories must be a list of column names, got 'city'"),
        ({"reads": "vector", "scale": "unit"}, "scale must be one of auto, norm, standard, none"),
    ],
)
def test_wrong_values_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Params(**given)


def test_samples_that_tell_nothing_are_refused() -> None:
    with pytest.raises(EncoderError, match="pca needs 2 records or more to learn from, got 1"):
        fit(batch_of(titles=drawn(TITLES, 13, 1)), TITLES)
    alike = batch_of(titles=np.repeat(drawn(TITLES, 13, 1), 9, axis=0))
    with pytest.raises(EncoderError, match="all 9 records of the sample are alike"):
        fit(alike, TITLES)
    nobody = lacking(batch_of(titles=drawn(TITLES, 13, 9)), "titles", np.arange(9) > 0)
    with pytest.raises(EncoderError, match=r"2 records with a vector of 'titles'.* got 1 of 9"):
        fit(nobody, TITLES)


def test_a_state_of_other_parts_is_refused() -> None:
    state = fit(batch_of(titles=drawn(TITLES, 14)), TITLES).state()
    other = build(Params(reads="vector", parts=(PRICES,)))
    with pytest.raises(EncoderError, match=r"mean: got \(12,\), expected \(5,\)"):
        other.restore(state)
    with pytest.raises(EncoderError, match="not the state of an encoder of kind pca"):
        other.restore(State(state.arrays, {"kind": "tabular"}))


def test_fingerprints_name_the_parts() -> None:
    encoder = fit(batch_of(titles=drawn(TITLES, 15)), TITLES)
    again = build(replace(encoder.params, parts=(replace(TITLES, fingerprint="of others"),)))
    again.restore(encoder.state())
    assert digest(again.state()) == digest(encoder.state())
    assert again.recipe() != encoder.recipe()
