"""probe: figures are those of scikit-learn used by hand, folds are kept apart, misuse is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flows.analysis import probing
from flows.analysis.probes import Asked, probe
from flows.analysis.probing import Scores
from flows.cli import run_command
from storage.model import UsageError
from tests.flows.topics import texts, topical

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from flows.analysis.probes import Probed
    from tests.flows.project import Project

Data = tuple["NDArray[np.float64]", "NDArray[Any]"]


def told(n: int, dim: int, seed: int, strength: float = 1.0) -> Data:
    """Rows of three classes that overlap."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    means = {label: rng.normal(size=dim) * strength for label in "abc"}
    rows = np.stack([means[label] for label in labels]) + rng.normal(size=(n, dim))
    return rows, labels


@pytest.mark.parametrize("seed", [0, 1])
def test_a_linear_probe_is_scikit_learns(seed: int) -> None:
    rows, labels = told(200, 6, seed)
    parts = probing.folds(labels, None, 4, seed, numeric=False)
    found = probing.linear(rows, labels, None, parts, numeric=False)
    for (learn, test), score in zip(parts, found.folds, strict=True):
        inner = probing.folds(labels[learn], None, 3, len(learn), numeric=False)
        model = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000, tol=1e-3)),
            {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1, 1]},
            cv=inner,
        ).fit(rows[learn], labels[learn])
        assert score == pytest.approx(np.mean(model.predict(rows[test]) == labels[test]))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_neighbour_probe_is_scikit_learns(seed: int) -> None:
    rows, labels = told(150, 5, seed)
    parts = probing.folds(labels, None, 5, seed, numeric=False)
    for metric, oracle in (
        ("cosine", KNeighborsClassifier(10, metric="cosine")),
        ("l2", KNeighborsClassifier(10)),
        ("dot", KNeighborsClassifier(10, metric=lambda a, b: 100 - a @ b, algorithm="brute")),
    ):
        found = probing.knn(rows, labels, parts, metric, numeric=False)
        assert list(found.folds) == pytest.approx(
            cross_val_score(oracle, rows, labels, cv=parts).tolist()
        )


def test_a_number_is_predicted_by_ridge_regression() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(120, 4))
    labels = rows @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=120) * 0.3
    parts = probing.folds(labels, None, 5, 0, numeric=True)
    found = probing.linear(rows, labels, None, parts, numeric=True)
    learn, test = parts[0]
    inner = probing.folds(labels[learn], None, 3, len(learn), numeric=True)
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 5, 7), cv=inner))
    expected = model.fit(rows[learn], labels[learn]).score(rows[test], labels[test])
    assert found.folds[0] == pytest.approx(expected)
    assert found.mean > 0.95
    assert abs(probing.baseline(labels, parts, numeric=True).mean) < 0.2


@pytest.mark.parametrize("seed", range(4))
def test_groups_stand_in_one_fold_and_rows_in_each_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, groups = rng.choice(["a", "b"], 90), rng.integers(0, 9, 90)
    for numeric in (False, True):
        parts = probing.folds(labels, groups, 4, seed, numeric=numeric)
        assert sorted(np.concatenate([test for _, test in parts])) == list(range(90))
        for learn, test in parts:
            assert not set(groups[learn]) & set(groups[test])


def test_the_comparison_is_nadeau_and_bengios() -> None:
    sizes = ((80, 20),) * 5
    first = Scores((0.80, 0.82, 0.78, 0.81, 0.79), sizes)
    second = Scores((0.83, 0.84, 0.82, 0.82, 0.83), sizes)
    found = probing.compare(first, second)
    gaps = np.subtract(second.folds, first.folds)
    spread = np.sqrt((1 / 5 + 20 / 80) * gaps.var(ddof=1))
    assert found.mean == pytest.approx(gaps.mean())
    assert found.p_value == pytest.approx(2 * stats.t.sf(gaps.mean() / spread, 4))
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, 4) * spread)
    # a plain paired test would claim more than it knows
    assert found.p_value > stats.ttest_rel(second.folds, first.folds).pvalue
    same = probing.compare(first, first)
    assert (same.mean, same.p_value) == (0.0, 1.0)


def test_chance_is_seldom_called_a_difference() -> None:
    claims = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels = rng.choice(["a", "b"], 80)
        both = [rng.normal(size=(80, 3)) for _ in range(2)]
        parts = probing.folds(labels, None, 5, seed, numeric=False)
        scores = [probing.knn(rows, labels, parts, "l2", numeric=False) for rows in both]
        claims += probing.compare(*scores).p_value < 0.05
    assert claims <= 8  # 3 are to be expected; more than 8 with a probability of 0.003


# --- over a store ---------------------------------------------------------------------------------


def measure(project: Project, *names: str, **asked: Any) -> Probed:  # noqa: ANN401 - keys of Asked
    return probe(project.settings(), names or ("notes",), Asked(**{"label": "label"} | asked))


@pytest.fixture
def two(project: Project) -> Project:
    """The same texts by what they teach, and by an encoder that knows nothing of them."""
    rows = [(*row, f"author {n % 6}", str(n % 7)) for n, row in enumerate(texts(120))]
    topical(project, [], dim=6)
    project.source = {"keep": ["label", "author", "number"]}
    project.write(rows, ("id", "text", "label", "author", "number"))
    project.more = (
        f'[encoders.blind]\nkind = "letters"\nlog = "{project.root}/blind.jsonl"\n'
        '[features.blind]\nsource = "notes"\nencoder = "blind"\nmax_deleted = 1.0\n'
    )
    project.run()
    project.run(name="blind")
    return project


def test_two_features_are_compared_on_the_same_records(two: Project) -> None:
    found = measure(two, "blind", "notes")
    assert (found.records, found.classes) == (120, 3)
    scores = {key: scores.mean for key, scores in found.scores.items()}
    assert min(scores["notes_v1", "linear"], scores["notes_v1", "knn"]) > 0.9
    assert max(scores["blind_v1", "linear"], scores["blind_v1", "knn"]) < 0.6
    assert found.baseline.mean == pytest.approx(1 / 3, abs=0.02)
    for gap in found.compared.values():
        assert gap.low > 0.2
        assert gap.p_value < 0.01
    again = measure(two, "blind", "notes")
    assert again.table() == found.table()


def test_records_that_one_feature_lacks_or_that_are_copies_are_left_out(two: Project) -> None:
    rows = [(*row, "x", "1") for row in texts(120)]
    rows += [(f"copy {n}", *row[1:]) for n, row in enumerate(rows[:30])]
    two.write([*rows, *((*row, "x", "1") for row in texts(30, 8, begin=120))],
              ("id", "text", "label", "author", "number"))  # fmt: skip
    two.run()
    assert measure(two).records == 150
    assert measure(two, "notes", "blind").records == 120


def test_groups_are_kept_apart(two: Project) -> None:
    found = measure(two, group="author")
    assert (found.groups, len(found.baseline.folds)) == (6, 5)
    assert "no 'author' on both sides of a fold" in "\n".join(found.sentences())
    with pytest.raises(UsageError, match="each 'label' is met in one group alone"):
        measure(two, group="label")
    with pytest.raises(UsageError, match=r"6 groups, and each must .*; --folds must be 2 to 6"):
        measure(two, group="author", folds=7)


def test_numbers_are_told_by_how_much_of_them_is_explained(two: Project) -> None:
    found = measure(two, label="number", numeric=True)
    assert "r2" in found.table()[0]
    assert found.baseline.mean < 0.05
    with pytest.raises(UsageError, match="--numeric takes a column of numbers, and 'label' of not"):
        measure(two, numeric=True)


def test_labels_too_rare_for_the_folds_are_left_out_and_told(two: Project) -> None:
    rows = [(*row, "x", "1") for row in [*texts(60), ("odd", "newsa newsb", "rare")]]
    two.write(rows, ("id", "text", "label", "author", "number"))
    two.run()
    found = measure(two)
    assert (found.records, found.rare, found.classes) == (60, 1, 3)
    assert "1 record was left out: fewer than" in "\n".join(found.sentences())


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        (("notes", "notes"), {}, "the feature 'notes' is named more than once"),
        (("notes",), {"label": "lable"}, "--label: notes_v1 has no kept column 'lable'; the kept"),
        (("notes",), {"group": "who"}, "--group: notes_v1 has no kept column 'who'"),
        (("notes",), {"folds": 1}, "--folds must be at least 2, got 1"),
        (("notes",), {"folds": 61}, "notes_v1: 0 records of different content have 'label'"),
        (("notes",), {"size": 3}, "--sample must be 20 to 50,000, got 3"),
    ],
)
def test_misuse_is_told(
    two: Project, names: tuple[str, ...], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        measure(two, *names, **asked)


def test_too_few_records_or_classes_are_told(project: Project) -> None:
    topical(project, texts(15))
    project.run()
    with pytest.raises(UsageError, match=r"notes_v1: 15 records of .*; 20 or more are needed"):
        measure(project)
    project.write([(one, text, "same") for one, text, _ in texts(30)])
    project.run()
    with pytest.raises(UsageError, match="'label' has 1 different value over 30 records"):
        measure(project)


def test_the_command_prints(two: Project, capsys: pytest.CaptureFixture[str]) -> None:
    conf = ["--conf", str(two.settings().conf)]
    asked = ["probe", "blind", "notes", "--label", "label", *conf]
    assert run_command(asked) == 0
    assert "knn: notes_v1 less blind_v1: +0." in capsys.readouterr().out
    assert run_command([*asked, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["feature"], row["probe"]) for row in rows] == [
        ("blind", "linear"), ("blind", "knn"), ("notes", "linear"), ("notes", "knn"),
    ]  # fmt: skip
    assert all(len(row["folds"]) == 5 for row in rows)
    assert run_command(["probe", "--label", "label", *conf]) == 2


@pytest.mark.realdata
def test_penguins_tell_their_species_by_their_measures(project: Project, data: Path) -> None:
    project.source = {
        "kind": "table", "path": str(data / "tabular" / "penguins.csv"), "keep": ["species"],
        "content": ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"],
    }  # fmt: skip
    project.encoder = {"kind": "tabular"}
    project.run()
    found = probe(project.settings(), ["notes"], Asked("species"))
    assert found.scores["notes_v1", "linear"].mean > 0.97
    assert found.baseline.mean == pytest.approx(0.44, abs=0.02)
