from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest

from encoders.base import EncoderError, State, digest
from encoders.tabular import Params, Tabular, build

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def customers(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """Numbers, one of them with gaps and one with a long tail, and categories."""
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "age": rng.normal(40, 12, rows),
            "visits": rng.poisson(3, rows),
            "income": rng.lognormal(10, 1.5, rows),
            "city": rng.choice(["Bern", "Oslo", "Rome"], rows, p=[0.6, 0.3, 0.1]),
            "member": rng.random(rows) < 0.3,
        }
    )
    return frame.with_columns(
        pl.when(pl.Series(rng.random(rows) < 0.1)).then(None).otherwise("age").alias("age")
    )


def fit(sample: pl.DataFrame, **params: Any) -> Tabular:  # noqa: ANN401 - any of Params
    encoder = build(Params(**params))
    encoder.fit(sample, np.random.default_rng(0))
    return encoder


def one(column: str, values: list[Any], dtype: Any = None) -> pl.DataFrame:  # noqa: ANN401 - polars' own
    return pl.DataFrame({column: pl.Series(values, dtype=dtype)})


def spread(vectors: NDArray[np.float32]) -> float:
    """The mean squared distance of two rows, which is twice the total variance."""
    return 2 * float(vectors.astype(np.float64).var(axis=0).sum())


@pytest.fixture(scope="module")
def fitted() -> Tabular:
    return fit(customers())


@pytest.mark.parametrize(
    "column",
    [
        one("x", list(range(100))),
        one("x", [None, *range(99)]),
        one("x", [float("nan")] * 30 + [1.0] * 30 + [5e9] * 40),
        one("x", [True] * 3 + [False] * 97),
        one("x", list("abcdefghij") * 10),
        one("x", ["a"] * 90 + ["b"] * 5 + [None] * 5),
        one("x", [f"rare {i}" for i in range(60)] + ["common"] * 40),
        one("x", [date(2020, 1, 1) + timedelta(days=i * i) for i in range(100)]),
    ],
)
def test_every_column_spreads_rows_alike(column: pl.DataFrame) -> None:
    assert spread(fit(column).encode(column)) == pytest.approx(2, abs=1e-3)


def test_columns_add_up(fitted: Tabular) -> None:
    assert spread(fitted.encode(customers())) == pytest.approx(2 * 5, abs=1e-3)
    assert np.allclose(fitted.encode(customers()).mean(axis=0), 0, atol=1e-5)


def test_fewer_dimensions_are_the_first_of_more(fitted: Tabular) -> None:
    few = fit(customers(), dim=3)
    assert (few.dim, fitted.dim) == (3, 7)
    assert np.array_equal(few.encode(customers()), fitted.encode(customers())[:, :3])
    variances = fitted.encode(customers()).var(axis=0)
    assert (np.diff(variances) <= 0).all()


def test_a_row_depends_on_itself_alone(fitted: Tabular) -> None:
    table = customers(300, seed=1)
    whole = fitted.encode(table)
    backwards = fitted.encode(table.reverse())[::-1]
    singly = np.vstack([fitted.encode(table[i]) for i in range(50)])
    assert np.array_equal(whole, backwards)
    assert np.array_equal(whole[:50], singly)
    assert fitted.encode(table.head(0)).shape == (0, fitted.dim)
    assert fitted.encode(pl.DataFrame()).shape == (0, fitted.dim)


def test_the_order_of_columns_does_not_matter(fitted: Tabular) -> None:
    turned = customers().select(reversed(customers().columns))
    assert digest(fit(turned).state()) == digest(fitted.state())
    assert np.array_equal(fitted.encode(turned), fitted.encode(customers()))


def test_other_columns_are_ignored_and_absent_ones_named(fitted: Tabular) -> None:
    table = customers(9)
    more = table.with_columns(pl.lit("x").alias("extra"))
    assert np.array_equal(fitted.encode(more), fitted.encode(table))
    with pytest.raises(
        EncoderError, match=r"no column 'city', which the encoder reads; there are 'age'"
    ):
        fitted.encode(table.drop("city"))
    with pytest.raises(EncoderError, match="'citty' and 'city' are meant to be one"):
        fitted.encode(table.rename({"city": "citty"}))


def test_whole_numbers_are_the_same_in_any_type(fitted: Tabular) -> None:
    table = customers(50)
    expected = fitted.encode(table)
    for dtype in (pl.Int8, pl.Float64, pl.Decimal(10, 2), pl.UInt64):
        assert np.array_equal(fitted.encode(table.cast({"visits": dtype})), expected)


def test_text_where_numbers_were_is_refused(fitted: Tabular) -> None:
    with pytest.raises(EncoderError, match="'visits' has type String, but held numbers"):
        fitted.encode(customers(5).cast({"visits": pl.String}))
    with pytest.raises(EncoderError, match="'city' has type Int64, but held text"):
        fitted.encode(customers(5).with_columns(city=pl.lit(1, pl.Int64)))


def test_nested_columns_are_refused() -> None:
    with pytest.raises(EncoderError, match=r"'x' has type List\(Int64\), expected numbers"):
        fit(one("x", [[1], [2]]))


def test_a_column_of_categories_may_have_any_name() -> None:
    values = ["a"] * 50 + ["b"] * 40
    for name in ("count", "name", ""):
        found = fit(one(name, values)).encode(one(name, values))
        assert np.array_equal(found, fit(one("x", values)).encode(one("x", values)))


def test_gaps_are_the_median_and_a_mark() -> None:
    sample = one("x", [*range(101), None, None])
    gap, median = fit(sample).encode(one("x", [None, 50]))
    assert float(np.linalg.norm(gap - median)) > 0.5
    unmarked = fit(one("x", list(range(101))))
    gap, median, nan = unmarked.encode(one("x", [None, 50.0, float("nan")]))
    assert np.array_equal(gap, median)
    assert np.array_equal(nan, median)


def test_rare_and_unseen_categories_are_the_others() -> None:
    sample = one("x", ["a"] * 50 + ["b"] * 40 + ["c"] * 4 + ["d"] * 3)
    encoder = fit(sample)
    rare, rarer, unseen, gap, common = encoder.encode(one("x", ["c", "d", "new", None, "a"]))
    assert np.array_equal(rare, rarer)
    assert np.array_equal(rare, unseen)
    assert not np.allclose(rare, common)
    assert not np.allclose(gap, rare)
    few = fit(sample, max_categories=1, min_count=1)
    first, second, third = few.encode(one("x", ["a", "b", "c"]))
    assert np.array_equal(second, third)
    assert not np.allclose(first, second)


def test_spaces_around_text_and_empty_text_do_not_count() -> None:
    encoder = fit(one("x", ["a", " b"] * 10 + ["", None] * 5))
    a, spaced, empty, blank, null = encoder.encode(one("x", ["a", " a ", "", "  ", None]))
    assert np.array_equal(a, spaced)
    assert np.array_equal(empty, null)
    assert np.array_equal(blank, null)
    assert not np.allclose(a, null)


def test_numbers_can_be_read_as_categories() -> None:
    sample = one("grade", [1, 2, 3] * 20)
    encoder = fit(sample, categories=("grade",))
    vectors = encoder.encode(one("grade", [1, 2, 3])).astype(np.float64)
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    assert distances[0, 1] == pytest.approx(distances[0, 2], rel=1e-5)
    assert np.array_equal(encoder.encode(one("grade", [1.0, 2.0, 3.0])), vectors.astype(np.float32))
    with pytest.raises(EncoderError, match="no column 'grad', which the encoder reads"):
        fit(sample, categories=("grad",))


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["a", "b"])])
def test_categoricals_are_read_as_their_text(dtype: Any) -> None:  # noqa: ANN401 - polars' own
    texts = one("x", ["a", "b", "b"] * 10)
    encoder = fit(texts)
    assert np.array_equal(encoder.encode(texts.cast({"x": dtype})), encoder.encode(texts))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([Decimal("1.5"), Decimal("2.5"), Decimal("9.5")], None),
        ([date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 9)], None),
        ([datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 9)], None),
        ([timedelta(days=1), timedelta(days=2), timedelta(days=9)], pl.Duration("ms")),
        ([time(1), time(2), time(9)], None),
        ([False, False, True], None),
    ],
)
def test_other_types_are_numbers(values: list[Any], dtype: Any) -> None:  # noqa: ANN401 - polars' own
    first, second, last = fit(one("x", values * 5, dtype)).encode(one("x", values, dtype))[:, 0]
    assert abs(last - second) > 3 * abs(second - first)


def test_dates_and_their_midnights_are_the_same() -> None:
    days = one("x", [date(2024, 1, 1) + timedelta(days=i) for i in range(30)])
    encoder = fit(days)
    for unit in ("ms", "us", "ns"):
        midnights = days.cast({"x": pl.Datetime(unit, "UTC")})
        assert np.array_equal(encoder.encode(midnights), encoder.encode(days))


def test_long_tails_are_pulled_in_whatever_the_unit() -> None:
    wealth = np.random.default_rng(0).lognormal(0, 3, 1000)
    euros, cents = one("x", list(wealth)), one("x", list(100 * wealth))
    tamed = fit(euros).encode(euros)
    assert float(np.abs(tamed).max()) < 5
    assert np.allclose(tamed, fit(cents).encode(cents), atol=1e-4)
    order = np.argsort(wealth)
    steps = np.diff(tamed[order, 0]) * np.sign(tamed[order[-1], 0])
    assert (steps >= 0).all()


def test_extreme_numbers_stay_finite_and_far() -> None:
    encoder = fit(one("x", [1.0, 2.0, 3.0] * 10))
    values = [np.inf, 1e308, 1e20, 3.0, -1e308, -np.inf]
    vectors = encoder.encode(one("x", values))[:, 0]
    assert np.isfinite(vectors).all()
    assert np.array_equal(np.abs(vectors[[0, 1, 2, 4, 5]]), [20] * 5)
    assert vectors[0] == -vectors[5]


@pytest.mark.parametrize("scale", [1e-140, 1e-9, 1e9, 1e140])
def test_the_unit_of_a_column_does_not_matter(scale: float) -> None:
    base = np.random.default_rng(0).normal(size=200)
    plain, scaled = one("x", list(base)), one("x", list(base * scale))
    assert np.allclose(fit(scaled).encode(scaled), fit(plain).encode(plain), atol=1e-5)


def test_infinities_in_the_sample_do_not_bend_the_scale() -> None:
    values = list(np.random.default_rng(0).normal(size=99))
    plain = fit(one("x", values)).encode(one("x", [0.0, 1.0]))
    bent = fit(one("x", [*values, np.inf])).encode(one("x", [0.0, 1.0]))
    assert abs(bent[1, 0] - bent[0, 0]) > 0.3 * abs(plain[1, 0] - plain[0, 0])


def test_columns_that_say_nothing_are_dropped() -> None:
    table = customers().with_columns(
        nothing=pl.lit(None),
        blank=pl.lit(None, pl.Float64),
        constant=pl.lit(7),
        word=pl.lit("same"),
        ids=pl.Series([f"id {i}" for i in range(400)]),
    )
    assert digest(fit(table).state()) == digest(fit(customers()).state())
    with pytest.raises(EncoderError, match="none of the 2 columns varies over the 400 rows"):
        fit(table.select("nothing", "constant"))


def test_a_column_that_has_become_all_null_is_a_column_of_gaps(fitted: Tabular) -> None:
    table = customers(5).with_columns(age=pl.lit(None), city=pl.lit(None))
    typed = table.cast({"age": pl.Float64, "city": pl.String})
    assert np.array_equal(fitted.encode(table), fitted.encode(typed))


def test_restored_encodes_equally_after_json(fitted: Tabular) -> None:
    state = fitted.state()
    meta = json.loads(json.dumps(dict(state.meta)))
    other = build(Params(batch_size=7))
    other.restore(State({name: array.copy() for name, array in state.arrays.items()}, meta))
    assert np.array_equal(other.encode(customers(99, 1)), fitted.encode(customers(99, 1)))
    assert other.recipe() == fitted.recipe()
    assert other.recipe()["state"] == digest(state)


def test_writing_into_a_state_does_not_change_the_encoder(fitted: Tabular) -> None:
    before = fitted.encode(customers(5))
    fitted.state().arrays["weights"].fill(0)
    assert np.array_equal(fitted.encode(customers(5)), before)


def test_the_recipe_changes_with_what_decides_the_output(fitted: Tabular) -> None:
    recipes = [
        fitted.recipe(),
        build(Params()).recipe(),
        fit(customers(), dim=3).recipe(),
        fit(customers(seed=1)).recipe(),
        fit(customers(), categories=("visits",)).recipe(),
    ]
    assert len({json.dumps(recipe, sort_keys=True) for recipe in recipes}) == len(recipes)


def test_unfitted_and_wrong_states_are_refused(fitted: Tabular) -> None:
    empty = build(Params())
    with pytest.raises(EncoderError, match="call fit or restore first"):
        empty.encode(customers(3))
    with pytest.raises(EncoderError, match="call fit or restore first"):
        _ = empty.dim
    with pytest.raises(EncoderError, match="2 rows or more to learn from, got 1"):
        fit(customers(1))
    with pytest.raises(EncoderError, match="got mfcc with arrays"):
        empty.restore(State(fitted.state().arrays, {"kind": "mfcc"}))
    arrays = dict(fitted.state().arrays)
    arrays["mean"] = arrays["mean"][1:]
    with pytest.raises(EncoderError, match=r"kind tabular with these parameters: mean: got \("):
        empty.restore(State(arrays, fitted.state().meta))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dim": 0}, "dim must be 1 or more, got 0"),
        ({"min_count": 0}, "min_count must be 1 or more, got 0"),
        ({"max_categories": 0}, "max_categories must be 1 or more, got 0"),
        ({"batch_size": -1}, "batch_size must be 1 or more, got -1"),
        ({"categories": "zip"}, "categories must be a list of column names, got 'zip'"),
    ],
)
def test_parameters_are_checked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params(**given)


def probe(table: pl.DataFrame, label: str, seed: int, drop: tuple[str, ...] = ()) -> float:
    """The accuracy of a linear probe on a fifth of the rows, all else learned from the rest."""
    from sklearn.linear_model import LogisticRegression

    labels = table[label].to_numpy()
    rows = table.drop(label, *drop)
    order = np.random.default_rng(seed).permutation(len(labels))
    cut = len(labels) // 5
    test, train = order[:cut], order[cut:]
    encoder = fit(rows[train[: Tabular.fit_size]])
    model = LogisticRegression(max_iter=1000).fit(encoder.encode(rows[train]), labels[train])
    return float(model.score(encoder.encode(rows[test]), labels[test]))


@pytest.mark.realdata
@pytest.mark.slow
def test_income_is_told_from_the_adult_census(data: Path) -> None:
    raw = pl.read_csv(data / "tabular" / "adult.csv", infer_schema=False)
    table = raw.with_columns(cs.string().str.strip_chars().replace("?", None)).drop_nulls("income")
    numbers = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
    assert probe(table.cast(dict.fromkeys(numbers, pl.Int64)), "income", seed=0) >= 0.84


@pytest.mark.realdata
def test_penguins_and_survivors_are_told_apart(data: Path) -> None:
    penguins = pl.read_csv(data / "tabular" / "penguins.csv")
    titanic = pl.read_csv(data / "tabular" / "titanic.csv")
    assert probe(penguins, "species", seed=0) >= 0.97
    assert probe(titanic, "survived", seed=0, drop=("alive",)) >= 0.78
