"""Two versions of a feature held against each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.config.configuration import load
from flows.lifecycle.compare import compare, space_of
from storage.model import FindingRow, UsageError
from storage.pairs import Pairs

if TYPE_CHECKING:
    from pathlib import Path

    from flows.lifecycle.comparison import Comparison
    from tests.flows.project import Project

ROWS = [(f"r{n:03}", f"text {n}", "x") for n in range(120)]


def versions(project: Project, after: list[tuple[str, str, str]] = ROWS, **encoder: object) -> None:
    """A version of the rows, and one of another encoder of the rows as they are after."""
    project.write(ROWS)
    project.run()
    project.write(after)
    project.encoder = {"revision": 2, **encoder}
    project.run()


def held(project: Project, **how: int) -> Comparison:
    return compare(project.settings(), "notes", 1, 2, **how)


def test_two_random_encoders_agree_by_chance(project: Project) -> None:
    versions(project, dim=12, metric="l2")
    found = held(project)
    space = found.space
    assert space is not None
    assert (space.k, space.sampled, space.depth) == (10, 120, 30)
    assert space.overlap is not None
    assert space.churn is not None
    assert space.cka is not None
    assert space.procrustes is not None
    for measure in (space.overlap, space.churn, space.cka, space.procrustes):
        assert measure.value == pytest.approx(measure.by_chance, abs=0.06)
    assert (found.first.bytes_per_vector, found.second.bytes_per_vector) == (32, 48)
    assert (found.second.metric, found.second.dim) == ("l2", 12)
    assert len({record_id for record_id, _ in space.moved}) == 10
    assert held(project) == found, "the same states compare the same"


def test_the_same_vectors_are_the_same() -> None:
    """Of a space and itself turned, scaled and shifted, under two metrics that agree on it."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((80, 6))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    ids = [f"r{n}" for n in range(80)]
    pairs = Pairs(ids, first.astype(np.float32), (3 * first @ rotation).astype(np.float32))
    space = space_of(pairs, ("cosine", "l2"), 10, rng)
    assert space.overlap is not None
    assert space.churn is not None
    assert space.cka is not None
    assert space.procrustes is not None
    assert (space.overlap.value, space.overlap.standard_error) == (1, 0)
    assert (space.churn.value, space.cka.value) == pytest.approx((0, 1), abs=1e-9)
    assert space.procrustes.value == pytest.approx(0, abs=1e-6)


def test_the_records_that_moved_are_named() -> None:
    """Two of sixty records change places; all others stay where they are."""
    first = np.random.default_rng(1).standard_normal((60, 3)).astype(np.float32)
    first[[7, 33]] += [[4, 4, 4], [-4, -4, -4]]
    second = first.copy()
    second[[7, 33]] = first[[33, 7]]
    ids = [f"r{n}" for n in range(60)]
    space = space_of(Pairs(ids, first, second), ("l2", "l2"), 5, np.random.default_rng(0))
    assert {record_id for record_id, kept in space.moved[:2] if kept == 0} == {"r7", "r33"}


def test_rows_that_are_not_finite_are_left_out() -> None:
    rng = np.random.default_rng(1)
    first = rng.standard_normal((30, 3)).astype(np.float32)
    broken = first.copy()
    broken[4, 1], broken[9, 0] = np.nan, np.inf
    space = space_of(Pairs([str(n) for n in range(30)], first, broken), ("l2", "l2"), 5, rng)
    assert space.sampled == 28
    assert space.overlap is not None
    assert space.overlap.value == 1


def test_rows_are_counted_on_either_side(project: Project) -> None:
    after = [(name, f"new {name}" if n < 30 else text, x) for n, (name, text, x) in enumerate(ROWS)]
    versions(project, [*after[:100], ("new", "text", "x"), ("bad", "FAIL", "x")])
    row = held(project).row()
    assert (row["first"]["records"], row["second"]["records"], row["both"]) == (120, 101, 100)
    assert (row["only_first"], row["only_second"], row["coverage"]) == (20, 1, 100 / 120)
    assert (row["stale"], row["stale_in"], row["missing"][0]) == (30, 1, "r100")
    assert (row["first"]["dead"], row["second"]["dead"], row["sampled"]) == (0, 1, 70)
    json.dumps(row, default=str, allow_nan=False)


def test_too_few_records_is_an_answer(project: Project) -> None:
    versions(project, [(name, f"new {name}", x) for name, _, x in ROWS[:110]] + ROWS[110:])
    found = held(project)
    assert found.space is not None
    assert (found.space.sampled, found.space.overlap) == (10, None)
    assert "neighbours cannot be compared: that needs 12 records or more" in list(found.sentences())
    assert held(project, k=4).space is not None


def test_it_says_how_to_read_what_it_found(project: Project) -> None:
    versions(project)
    catalog = project.stores().catalog
    (published,) = catalog.manifests(catalog.versions("notes")[1])
    for verdict, run in (("quiet", published.run_id), ("alarm", "one never published")):
        row = FindingRow("drift", verdict, "seen", None, None, None, None, 1, 1, None)
        catalog.add_findings("notes", 2, run, [row])
    found = held(project, size=50)
    told = "\n".join(found.sentences())
    for part in (
        "on 50 records",
        "overlap@10 0.",
        "±",
        "by chance",
        "Webber",
        "Kornblith",
        "Procr",
    ):
        assert part in told
    assert found.second.monitors == {"drift": ("quiet", "seen")}
    assert found.first.rate is not None
    assert found.row()["first"]["seconds_per_1000"] == pytest.approx(1000 / found.first.rate)


@pytest.mark.parametrize(
    ("first", "second", "how", "said"),
    [
        (1, 3, {}, "notes has no version v3; there are: v1, v2"),
        (1, 2, {"k": 0}, "-k must be at least 1, got 0"),
        (1, 2, {"size": 11}, "--sample must be 12 to 10,000 for k = 10, got 11"),
    ],
)
def test_what_cannot_be_compared(
    project: Project, first: int, second: int, how: dict[str, int], said: str
) -> None:
    versions(project)
    with pytest.raises(UsageError, match=said):
        compare(project.settings(), "notes", first, second, **how)


@pytest.mark.slow
@pytest.mark.realdata
def test_real_texts_under_a_model_and_half_of_it(tmp_path: Path, data: Path) -> None:
    """MiniLM against its first 192 dimensions, over news: alike, and told to be so."""
    from flows.engines.engine import Direct
    from flows.output.progress import Silent
    from flows.pipeline import stages as pipeline

    lines = (data / "text" / "ag_news.csv").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "news.csv").write_text("".join(lines[:151]), encoding="utf-8")
    conf = tmp_path / "vecmill.toml"
    for more in ("", "truncate_dim = 192\n"):
        conf.write_text(
            '[sources.news]\nkind = "table"\npath = "news.csv"\nid = "id"\n'
            'content = ["title"]\n[features.notes]\nsource = "news"\nencoder = "minilm"\n'
            f'[encoders.minilm]\nkind = "sentence"\nmax_tokens = 32\n{more}',
            encoding="utf-8",
        )
        pipeline.embed(load(conf), "notes", Direct(), Silent())
    space = compare(load(conf), "notes", 1, 2).space
    assert space is not None
    assert space.overlap is not None
    assert space.cka is not None
    assert space.procrustes is not None
    assert space.overlap.value > 5 * space.overlap.by_chance
    assert space.cka.value > space.cka.by_chance + 0.2
    assert space.procrustes.value < space.procrustes.by_chance - 0.2
