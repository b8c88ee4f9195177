"""Quality against dimensions: what is measured is what is there, and misuse is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.analysis import dims
from flows.analysis.widths import measure
from flows.cli import run_command
from storage.model import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.flows.project import Project

LABELS = ("mill", "pets", "news")


def ordered(n: int, dim: int, seed: int = 0) -> NDArray[np.float64]:
    """Rows that vary less and less from dimension to dimension."""
    rng = np.random.default_rng(seed)
    drawn: NDArray[np.float64] = rng.normal(size=(n, dim)) * 0.5 ** np.arange(dim)
    return drawn


def turned(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same rows, no dimension of which says more than another."""
    rng = np.random.default_rng(1)
    orthogonal, _ = np.linalg.qr(rng.normal(size=(rows.shape[1], rows.shape[1])))
    found: NDArray[np.float64] = rows @ orthogonal
    return found


def overlaps(rows: NDArray[np.float64], metric: str, *wanted: int) -> dict[tuple[str, int], float]:
    found = dims.widths(rows, metric, wanted, np.random.default_rng(0))
    return {(width.how, width.dim): width.overlap for width in found}


@pytest.mark.parametrize("metric", ["cosine", "l2", "dot"])
def test_principal_directions_keep_what_the_first_dimensions_do_not(metric: str) -> None:
    rows = ordered(400, 8)
    found = overlaps(turned(rows), metric, 4, 2)
    assert list(found) == [("whole", 8), ("first", 4), ("principal", 4), ("first", 2),
                           ("principal", 2)]  # fmt: skip
    assert found["whole", 8] == 1
    assert found["principal", 4] > 0.8
    assert found["first", 4] < 0.75
    assert found["principal", 2] > found["first", 2]
    # where dimensions come in their order, the first are the principal ones
    plain = overlaps(rows, metric, 4)
    assert plain["first", 4] == pytest.approx(plain["principal", 4], abs=0.03)


@pytest.mark.parametrize("metric", ["cosine", "l2", "dot"])
def test_as_many_directions_as_the_vectors_span_lose_nothing(metric: str) -> None:
    rows = np.zeros((200, 9))
    rows[:, :4] = ordered(200, 4) + 2
    assert overlaps(turned(rows), metric, 5)["principal", 5] == pytest.approx(1, abs=0.01)


def test_a_wide_space_that_few_rows_are_learned_on_has_no_principal_directions() -> None:
    found = overlaps(ordered(60, 50), "cosine", 40, 30)
    assert list(found) == [("whole", 50), ("first", 40), ("first", 30), ("principal", 30)]


def test_a_probe_is_judged_on_rows_that_it_has_not_seen() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 400)
    rows = rng.normal(size=(400, 64))
    [blind] = dims.widths(rows, "l2", [], rng, labels)
    assert blind.accuracy is not None
    assert abs(blind.accuracy - 0.5) < 0.15
    rows[:, 0] += 4 * labels
    [whole, first, _] = dims.widths(rows, "l2", [1], rng, labels)
    assert whole.accuracy is not None
    assert first.accuracy is not None
    assert min(whole.accuracy, first.accuracy) > 0.9


@pytest.mark.parametrize("seed", range(8))
def test_a_probe_learns_from_each_label_however_rare(seed: int) -> None:
    labels = np.array(["common"] * 59 + ["rare"])
    rng = np.random.default_rng(seed)
    [whole] = dims.widths(rng.normal(size=(60, 4)), "l2", [], rng, labels)
    assert whole.accuracy is not None  # with one label in a half, there is nothing to learn


def test_sizes_and_speed_are_told() -> None:
    for width in dims.widths(ordered(60, 32), "cosine", [8], np.random.default_rng(0)):
        assert width.vector_bytes == 4 * width.dim
        assert width.speed > 0
        assert 0 <= width.overlap_error < 0.2


def test_speed_is_the_best_of_a_few_searches() -> None:
    ticks = iter([0.0, 5.0, 5.0, 7.0, 7.0, 10.0, 10.0, 14.0, 14.0, 20.0])
    assert dims.search_seconds(ordered(50, 2), lambda: next(ticks)) == 2.0


def test_impossible_widths_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="44 rows or more are needed, got 43"):
        list(dims.widths(ordered(43, 8), "l2", [2], rng))
    with pytest.raises(ValueError, match=r"widths must be 1 to 8, got \[9\]"):
        list(dims.widths(ordered(50, 8), "l2", [9], rng))


@pytest.fixture
def texts(project: Project) -> Project:
    """A hundred texts of three kinds, encoded by what they teach."""
    rng = np.random.default_rng(2)
    words = {label: [f"{label}{n}" for n in range(12)] for label in LABELS}
    rows = []
    for n in range(100):
        label = LABELS[n % 3]
        common = [f"word{i}" for i in rng.integers(0, 30, 4)]
        rows.append((f"r{n}", " ".join([*rng.choice(words[label], 4), *common]), label))
    project.encoder = {"kind": "lsa", "dim": 24, "min_texts": 1}
    project.write([*rows, ("copy", rows[0][1], "mill")])
    return project


def test_a_feature_is_measured_by_its_published_vectors(texts: Project) -> None:
    texts.run()
    found = measure(texts.settings(), "notes", label="label", size=80)
    table = found.table()
    assert [(row["how"], row["dim"]) for row in table] == [
        ("whole", 24),
        ("first", 16),
        ("principal", 16),
    ]
    assert [row["vector_bytes"] for row in table] == [96, 64, 64]
    assert table[0]["feature_bytes"] == 96 * 101
    assert (found.rows, found.sampled, found.nested) == (101, 80, True)
    assert found.guess == pytest.approx(1 / 3, abs=0.1)
    for row in table:
        assert row["accuracy"] > 0.8
    again = measure(texts.settings(), "notes", label="label", size=80).table()
    for one, other in zip(table, again, strict=True):
        assert one | {"search_speed": 0} == other | {"search_speed": 0}


def test_a_content_counts_once(texts: Project) -> None:
    texts.run()
    assert measure(texts.settings(), "notes", [4]).sampled == 100


def test_the_first_dimensions_of_nested_kinds_are_those_of_a_narrower_fit(texts: Project) -> None:
    texts.run()
    wide = {key: row["vector"][:4] for key, row in texts.rows().items()}
    texts.encoder = texts.encoder | {"dim": 4}
    texts.run()
    narrow = texts.rows("notes_v2")
    for key, vector in wide.items():
        unit = np.array(vector) / np.linalg.norm(vector)
        assert unit @ np.array(narrow[key]["vector"]) > 0.99


def test_the_command_prints_and_draws(
    texts: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts.run()
    conf = str(texts.settings().conf)
    picture = tmp_path / "dims.png"
    asked = ["dims", "notes", "--try", "4, 12", "--label", "label", "--conf", conf]
    assert run_command([*asked, "--png", str(picture)]) == 0
    printed = capsys.readouterr()
    assert "overlap@10" in printed.out
    assert "the first k dimensions are what kind 'lsa' gives for dim = k" in printed.out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run_command([*asked, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["dim"] for row in rows] == [24, 12, 12, 4, 4]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"wanted": [25]}, "takes widths of 1 to 24, which is what vectors of notes_v1 have"),
        ({"wanted": [0]}, "takes widths of 1 to 24"),
        ({"label": "lable"}, "no kept column 'lable'; the kept columns are: 'label'"),
        ({"size": 9}, "--sample must be 44 to 20,000, got 9"),
        ({"number": 7}, "notes has no version v7"),
    ],
)
def test_misuse_is_told(texts: Project, asked: dict[str, Any], message: str) -> None:
    texts.run()
    with pytest.raises(UsageError, match=message):
        measure(texts.settings(), "notes", **asked)


def test_a_label_that_no_record_has_is_told(texts: Project) -> None:
    texts.write([(n, f"text {n}", "") for n in range(60)])
    texts.source = {"null_values": [""]}
    texts.run()
    with pytest.raises(UsageError, match="has 0 records of different content with a vector and 'l"):
        measure(texts.settings(), "notes", label="label")


def test_too_few_rows_or_no_version_are_told(texts: Project) -> None:
    with pytest.raises(UsageError, match="notes has no live version yet; run `vecmill run notes`"):
        measure(texts.settings(), "notes")
    texts.write([(n, f"text {n}", f"label {n}") for n in range(43)])
    texts.run()
    with pytest.raises(UsageError, match="has 43 records of different content with a vector; 44"):
        measure(texts.settings(), "notes")
    texts.write([(n, f"text {n}", f"label {n}") for n in range(50)])
    texts.run()
    with pytest.raises(
        UsageError, match="'label' has 50 different values over 50 records; a probe"
    ):
        measure(texts.settings(), "notes", label="label")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--try", "4;8"], "--try takes numbers with commas between them, as 32,64; got '4;8'"),
        (["--png", "{}/no/such.png"], "there is no folder"),
        (["--png", "{}/dims.words"], "--png cannot be written as dims.words"),
    ],
)
def test_the_command_tells_of_misuse(
    texts: Project,
    asked: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts.run()
    filled = [word.format(tmp_path) for word in asked]
    assert run_command(["dims", "notes", *filled, "--conf", str(texts.settings().conf)]) == 2
    assert message in capsys.readouterr().err
