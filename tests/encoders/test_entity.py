"""Entity embeddings: what means alike is near, and nothing is without a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest

from encoders._categories import Dropping, Masked, Rows
from encoders._fields import _edges, rule
from encoders.abilities import Labelled
from encoders.base import EncoderError, EncoderUsageError, State, digest
from encoders.entity import Entity, Params, build
from encoders.learning import QUIET
from tests.encoders.test_tabular import customers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CITIES = [f"city {n}" for n in range(12)]
SORTS = ("low", "mid", "high")
QUICK: dict[str, Any] = {"epochs": 25, "rate": 0.01, "hidden": (16,)}


def towns(n: int = 1500, seed: int = 0) -> tuple[pl.DataFrame, list[str | None]]:
    """Twelve cities of three sorts; the sort decides the label, the price and the size."""
    rng = np.random.default_rng(seed)
    city = rng.integers(0, 12, n)
    sort = city % 3
    table = pl.DataFrame(
        {
            "city": [CITIES[c] for c in city],
            "size": rng.normal(10 * sort, 3),
            "hue": rng.choice(["red", "blue"], n),
        }
    )
    labels = [None if row % 50 == 7 else SORTS[s] for row, s in enumerate(sort)]
    return table, labels


def fit(
    sample: pl.DataFrame,
    labels: list[str | None] | None = None,
    watch: Any = QUIET,  # noqa: ANN401 - any watch
    **params: Any,  # noqa: ANN401 - any of Params
) -> Entity:
    encoder = build(Params(label=None if labels is None else "sort", **{**QUICK, **params}))
    if labels is None:
        encoder.fit(sample, np.random.default_rng(0), watch)
    else:
        encoder.fit_labelled(sample, labels, np.random.default_rng(0), watch)
    return encoder


def figures(encoder: Entity) -> Any:  # noqa: ANN401 - JSON
    return encoder.state().meta["figures"]


def places(encoder: Entity) -> NDArray[np.float32]:
    """The vectors of the cities, ``(12, d)``."""
    return np.stack([encoder.category("city", name) for name in CITIES])


def nearest_are_of_the_sort(vectors: NDArray[np.float32]) -> float:
    """The share of the three nearest cities of each that are of its sort; by chance 3/11."""
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1)[:, :3]
    return float((nearest % 3 == np.arange(12)[:, None] % 3).mean())


@pytest.fixture(scope="module")
def labelled() -> Entity:
    return fit(*towns())


@pytest.fixture(scope="module")
def unlabelled() -> Entity:
    return fit(towns()[0])


def test_cities_of_one_sort_are_near_by_the_label(labelled: Entity) -> None:
    assert nearest_are_of_the_sort(places(labelled)) > 0.9
    told = figures(labelled)
    assert told["classes"] == 3
    assert told["held_out_accuracy"] > 0.9
    assert told["held_out_accuracy_of_guess"] < 0.5
    assert told["records"] + told["held_out_records"] == 1470  # 30 have no label


def test_cities_of_one_sort_are_near_by_the_other_columns(unlabelled: Entity) -> None:
    assert nearest_are_of_the_sort(places(unlabelled)) > 0.9
    assert (
        figures(unlabelled)["held_out_accuracy"] > figures(unlabelled)["held_out_accuracy_of_guess"]
    )


def test_a_number_can_be_the_label() -> None:
    table, _ = towns()
    worth: list[str | None] = [str(v) for v in table["size"].to_list()]
    encoder = fit(table.select("city", "hue"), worth, target="number")
    assert figures(encoder)["held_out_r2"] > 0.8
    assert nearest_are_of_the_sort(places(encoder)) > 0.9
    classes = fit(table.select("city", "hue"), [str(round(float(w or 0))) for w in worth])
    assert "held_out_r2" not in figures(classes)


def test_a_vector_is_its_columns_side_by_side(labelled: Entity) -> None:
    table, _ = towns(40, seed=1)
    found = labelled.encode(table)
    city, hue, size = (labelled.place(name) for name in ("city", "hue", "size"))
    assert (city, hue) == (slice(0, 4), slice(4, 5))
    assert size == slice(5, labelled.dim)
    expected = np.stack([labelled.category("city", name) for name in table["city"]])
    assert np.array_equal(found[:, :4], expected)
    assert labelled.place("label") is None
    rising = found[np.argsort(table["size"].to_numpy()), -1]
    assert (np.diff(rising) >= 0).all()


def test_every_column_weighs_alike(labelled: Entity, unlabelled: Entity) -> None:
    table, labels = towns()
    there = table.filter(pl.Series([label is not None for label in labels]))
    for encoder, sample in ((labelled, there), (unlabelled, table)):
        vectors = encoder.encode(sample).astype(np.float64)
        np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-5)
        for name in table.columns:
            spread = vectors[:, encoder.place(name)].var(axis=0).sum()
            assert spread == pytest.approx(1, abs=1e-4)


def test_unknown_and_missing_values_have_rows_of_their_own(unlabelled: Entity) -> None:
    known = places(unlabelled)
    unknown = unlabelled.category("city", "never seen")
    missing = unlabelled.category("city", None)
    odd = pl.DataFrame(
        {"city": ["never seen", None, " "], "size": [None, 5.0, float("nan")], "hue": ["red"] * 3},
        schema_overrides={"size": pl.Float64},
    )
    found = unlabelled.encode(odd)
    assert np.isfinite(found).all()
    assert np.array_equal(found[:, :4], np.stack([unknown, missing, missing]))
    apart = np.linalg.norm(known[:, None] - known[None], axis=2).mean()
    for stranger in (unknown, missing):  # of what could be any city, it is in the middle of all
        assert np.linalg.norm(known - stranger, axis=1).mean() < apart
    size = unlabelled.place("size")
    assert np.array_equal(found[0, size], found[2, size])
    assert not np.array_equal(found[0, size], found[1, size])


def test_rare_categories_share_a_row() -> None:
    table, labels = towns()
    rare = table.with_columns(
        pl.when(pl.int_range(pl.len()) < 4).then(pl.lit("hamlet")).otherwise("city").alias("city")
    )
    encoder = fit(rare, labels, epochs=2)
    hamlet, unseen = (encoder.category("city", name) for name in ("hamlet", "never seen"))
    assert np.array_equal(hamlet, unseen)
    few = fit(table, labels, epochs=1, max_categories=5)
    assert len(np.unique(places(few), axis=0)) == 6


def test_a_row_depends_on_itself_alone(labelled: Entity) -> None:
    table, _ = towns(300, seed=2)
    whole = labelled.encode(table)
    assert np.array_equal(whole, labelled.encode(table.reverse())[::-1])
    assert np.array_equal(whole[:40], np.vstack([labelled.encode(table[i]) for i in range(40)]))
    turned = table.select(reversed(table.columns))
    assert np.array_equal(whole, labelled.encode(turned.with_columns(other=pl.lit(1))))
    with pytest.raises(EncoderError, match="there is no column 'hue', which the encoder reads"):
        labelled.encode(table.drop("hue"))


def test_the_label_is_never_content(labelled: Entity) -> None:
    table, labels = towns()
    again = fit(table.with_columns(sort=pl.Series(labels)), labels)
    assert digest(again.state()) == digest(labelled.state())


def test_it_tells_what_one_hot_would_take() -> None:
    table = customers(500)
    encoder = fit(table, epochs=1, categories=("member",))
    gaps = table["age"].is_null().cast(pl.Int8)
    rest = table.select("city", "member").to_dummies().with_columns(
        gaps, *table.select(cs.numeric() - cs.by_name("age")).iter_columns(),
        pl.Series("ages", np.ones(500)),
    )  # fmt: skip
    told = figures(encoder)
    assert told["one_hot_dim"] == rest.width
    assert told["dim"] == encoder.dim == encoder.encode(table).shape[1]
    expected = float((rest.to_numpy() == 0).mean())
    assert told["one_hot_zeros"] == pytest.approx(expected, abs=0.03)  # a mean of 0 is one too


def test_widths_go_by_a_rule_or_by_what_is_asked() -> None:
    assert [rule(n) for n in (1, 2, 3, 9, 16, 42, 1000, 10_000)] == [1, 1, 2, 3, 4, 5, 11, 20]
    table, labels = towns()
    encoder = fit(table, labels, epochs=1, dims={"city": 7, "size": 2}, bins=8)
    assert encoder.place("city") == slice(0, 7)
    assert encoder.place("size") == slice(8, 11)
    without = fit(table, labels, epochs=1, bins=0)
    assert without.place("size") == slice(5, 6)


def test_ranges_are_narrow_where_values_are_and_where_rows_are() -> None:
    assert _edges(np.zeros(5), 8) == ()
    assert _edges(np.arange(4.0), 0) == ()
    gains = np.concatenate([np.zeros(900), np.arange(1, 101)])  # nothing for most
    edges = _edges(gains, 10)
    assert len(edges) >= 6
    assert edges[0] >= 1
    ages = np.random.default_rng(0).normal(size=2000).round(2)
    counts = np.histogram(ages, [-np.inf, *_edges(ages, 10), np.inf])[0]
    assert counts.min() > 2000 / 40


def test_what_is_dropped_is_the_share_asked_for() -> None:
    import torch

    known, whole = torch.tensor([3, 5]), torch.tensor([True, False])
    drop = Dropping(0.2, known, whole)
    index = torch.zeros(20_000, 2, dtype=torch.int64)
    found = drop(index, torch.Generator().manual_seed(0))
    shares = [(found[:, 0] == 3), (found[:, 0] == 4), (found[:, 1] == 5), (found[:, 1] == 6)]
    found_shares = [float(share.double().mean()) for share in shares]
    np.testing.assert_allclose(found_shares, [0.2, 0.2, 0.2, 0.0], atol=0.01)
    masked = Masked(12, drop, torch.tensor([1]))
    seen, hidden = masked.seen(
        Rows(index, torch.ones(20_000, 1), None), torch.Generator().manual_seed(0)
    )
    assert hidden.any(1).all()
    assert torch.equal(seen.index[:, 0] >= 3, hidden[:, 0])
    assert torch.equal(seen.beside[:, 0] == 0, hidden[:, 1])


def test_it_is_told_how_it_should_be_fitted() -> None:
    table, labels = towns(100)
    with_label = build(Params(label="sort"))
    assert isinstance(with_label, Labelled)
    with pytest.raises(EncoderUsageError, match=r"label = 'sort' asks to learn from labels"):
        with_label.fit(table, np.random.default_rng(0))
    with pytest.raises(EncoderError, match="got 3 labels for 100 rows"):
        with_label.fit_labelled(table, labels[:3], np.random.default_rng(0))


def test_what_cannot_be_learned_from_is_refused() -> None:
    table, labels = towns(100)
    with pytest.raises(EncoderError, match="needs 10 rows with a label or more.*got 2"):  # noqa: RUF043 - a gap in the words
        fit(table, [*labels[:2], *[None] * 98])
    with pytest.raises(EncoderError, match="all 100 labels are 'x'; two must differ"):
        fit(table, ["x"] * 100)
    with pytest.raises(EncoderError, match=r"no column has any that vary.* are 'size'"):
        fit(table.select("size"))
    with pytest.raises(EncoderError, match="'city' is the only one that varies"):
        fit(table.select("city"))
    with pytest.raises(EncoderError, match="needs labels that are numbers, got 'low'"):
        fit(table, ["low", *["1", "2", "3"] * 33], target="number")
    with pytest.raises(EncoderUsageError, match="dims names 'town', which is no column"):
        fit(table, labels, dims={"town": 3})


def test_only_categories_can_be_asked_for(labelled: Entity) -> None:
    with pytest.raises(
        EncoderError, match=r"'size' is no column of categories.* has 'city', 'hue'"
    ):
        labelled.category("size", "3")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"dropping": 0.0}, r"dropping must be above 0 and under 0\.5, got 0\.0"),
        ({"bins": 0}, "bins must be 2 or more, since without a label ranges are told, got 0"),
        ({"bins": -1, "label": "x"}, "bins must be 0 or more, got -1"),
        ({"target": "rank", "label": "x"}, "target must be one of class, number, got 'rank'"),
        ({"target": "number"}, r"target = 'number' needs the column that holds it: set label"),
        ({"dims": {"city": 0}}, r"dims\.city must be 1 or more, got 0"),
        ({"hidden": (0,)}, "a width of hidden must be 1 or more, got 0"),
        ({"categories": "city"}, "categories must be a list of column names"),
    ],
)
def test_wrong_values_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Params(**given)


def test_a_state_that_lacks_a_table_is_refused(labelled: Entity) -> None:
    state = labelled.state()
    arrays = {name: array for name, array in state.arrays.items() if name != "table_1"}
    with pytest.raises(EncoderError, match=r"table_1: got none, expected \(4, 1\)"):
        build(labelled.params).restore(State(arrays, state.meta))
    again = build(labelled.params)
    again.restore(state)
    assert digest(again.state()) == digest(state)


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_income_is_told_from_the_adult_census(data: Path, seed: int) -> None:
    from sklearn.linear_model import LogisticRegression

    raw = pl.read_csv(data / "tabular" / "adult.csv", infer_schema=False)
    table = raw.with_columns(cs.string().str.strip_chars().replace("?", None)).drop_nulls("income")
    numbers = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
    rows = table.drop("income").cast(dict.fromkeys(numbers, pl.Int64))
    income = table["income"].to_numpy()
    order = np.random.default_rng(seed).permutation(len(income))
    test, train = order[: len(order) // 5], order[len(order) // 5 :]
    encoder = build(Params(label="income"))
    sample = train[: Entity.fit_size]
    encoder.fit_labelled(rows[sample], income[sample].tolist(), np.random.default_rng(seed))
    probe = LogisticRegression(max_iter=2000).fit(encoder.encode(rows[train]), income[train])
    assert probe.score(encoder.encode(rows[test]), income[test]) >= 0.85
    told = figures(encoder)
    assert told["dim"] < 0.6 * told["one_hot_dim"]
    assert told["one_hot_zeros"] > 0.8
