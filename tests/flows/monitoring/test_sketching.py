"""Sketches of runs and states: what they hold, where they are kept, and when they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitoring.calibrating import calibrate
from flows.monitoring.looking import monitor
from flows.monitoring.references import Reference
from flows.monitoring.sketch_files import Files
from flows.monitoring.sketching import BASIS_SHARE, Limits, Sketching
from flows.monitors import _analytic
from flows.output.progress import Silent
from flows.pipeline.refusals import RunError
from flows.upkeep.erase import Eraser
from flows.upkeep.gc import Collector
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from flows.monitors._sketch import Sketch
    from storage.model import FindingRow, Manifest
    from tests.flows.project import Project

NUMBERS = ("id", "size", "weight")
BEFORE, MORE = 1600, 400

Row = tuple[object, ...]


def drawn(first: int, count: int, shift: float = 0.0) -> list[Row]:
    rng = np.random.default_rng(first + 1)
    numbers = rng.normal((5 + shift, 0), (1, 2), (count, 2))
    return [(first + n, *map(float, pair)) for n, pair in enumerate(numbers)]


@pytest.fixture
def numbers(project: Project) -> Project:
    project.source = {"content": ["size", "weight"], "keep": []}
    project.encoder = {"kind": "tabular"}
    project.feature = {"monitors": ["drift"]}
    project.engine = {"shard_size": 5000}
    project.more = "[monitors.drift]\nmax_rows = 300\n"
    return project


def ran(project: Project, rows: list[Row]) -> str:
    project.write(rows, NUMBERS)
    return project.run().run


def found(project: Project) -> FindingRow:
    (finding,) = monitor(project.settings(), "notes", Silent())
    return finding


def manifests(project: Project) -> list[Manifest]:
    stores = project.stores()
    return stores.catalog.manifests(stores.catalog.versions("notes")[0])


def pair(
    project: Project, reference: Reference, limits: Limits | None = None
) -> tuple[Sketch | None, Sketch | None]:
    stores, published = project.stores(), manifests(project)
    version = stores.catalog.versions("notes")[0]
    given = (stores, version, published, lambda _: None, limits or Limits())
    return Sketching(*given).pair(reference, published[-1])


def previous(project: Project) -> Reference:
    return Reference("the state before the run", manifests(project)[-2], grows=True)


def sizes(project: Project, reference: Reference) -> tuple[int, int]:
    before, now = pair(project, reference)
    assert before is not None
    assert now is not None
    return before.count, now.count


def kept(project: Project) -> list[str]:
    return project.stores().sketches.names("notes_v1")


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_all_contents_are_judged_where_there_are_more_than_are_drawn(
    numbers: Project, shift: float
) -> None:
    ran(numbers, drawn(0, BEFORE))
    run = ran(numbers, drawn(0, BEFORE) + drawn(BEFORE, MORE, shift))
    finding = found(numbers)
    assert finding.verdict == ("watch" if shift else "quiet"), finding.summary
    assert finding.detail["permutations"] == 0
    assert bool(finding.record_ids) == bool(shift)
    for seen, there in ((finding.n_reference, BEFORE), (finding.n_current, MORE)):
        assert there * (1 - 1.5 * BASIS_SHARE) < seen < there * (1 - BASIS_SHARE / 2)
    assert found(numbers) == finding, "from what is kept the same must come"
    cells = numbers.stores().catalog.query("FROM occupancy WHERE run_id = ?", run).to_pylist()
    assert sum(cell["contents"] for cell in cells) == finding.n_current


def noted(project: Project) -> set[str]:
    """The runs in the table of occupancy."""
    found = project.stores().catalog.query("SELECT DISTINCT run_id FROM occupancy")
    return set(found.column("run_id").to_pylist())


def test_of_a_run_that_was_not_published_no_occupancy_is_kept(numbers: Project) -> None:
    rows = drawn(0, BEFORE)
    ran(numbers, rows)
    numbers.more += 'blocks = "publishing"\n'
    numbers.feature = {"monitors": ["drift", "records"]}
    blocking = '[monitors.records]\nblocks = "publishing"\nmin_records = 100000\n'
    first = noted(numbers)
    numbers.write([*rows, *drawn(BEFORE, MORE)], NUMBERS)
    numbers.more += blocking
    with pytest.raises(RunError, match="blocks publishing"):
        numbers.run()
    assert any(name not in {"basis", *first} for name in kept(numbers)), "its monitor has looked"
    assert noted(numbers) == first
    numbers.more = numbers.more.removesuffix(blocking)
    run = numbers.run().run
    assert noted(numbers) == {*first, run}


def test_the_null_rate_is_measured_on_rows_that_are_split(numbers: Project) -> None:
    numbers.more += "alpha = 0.3\npermutations = 99\nfeatures = 16\n"
    ran(numbers, drawn(0, BEFORE))
    ran(numbers, drawn(0, BEFORE) + drawn(BEFORE, MORE))
    heard = Heard()
    (rate,) = calibrate(numbers.settings(), "notes", 30, heard)
    assert rate.inside
    assert rate.flagged > 0, "the halves of a split were the same"
    assert any("last look compared sketches" in note for note in heard.notes)


def test_a_next_run_looks_at_no_row_of_those_before(numbers: Project) -> None:
    rows = drawn(0, BEFORE)
    ran(numbers, rows)
    runs = []
    for start in (BEFORE, BEFORE + MORE):
        rows += drawn(start, MORE)
        runs.append(ran(numbers, rows))
        found(numbers)
    states = [name for name in kept(numbers) if name.startswith("STATE")]
    assert len(states) == 1, "the second reference is the first with the run that followed it"
    assert sorted(set(kept(numbers)) - {"basis", *states}) == sorted(runs)
    merged = sizes(numbers, previous(numbers))
    numbers.stores().sketches.remove("notes_v1", [*states, *runs])
    assert sizes(numbers, previous(numbers)) == merged, "made anew from the rows"


def test_the_whole_is_the_sum_of_its_runs(numbers: Project) -> None:
    rows = drawn(0, BEFORE) + drawn(BEFORE, MORE)
    ran(numbers, drawn(0, BEFORE))
    ran(numbers, rows)
    found(numbers)
    ran(numbers, rows + drawn(BEFORE + MORE, MORE))
    merged, _ = pair(numbers, previous(numbers))
    numbers.stores().sketches.remove("notes_v1", set(kept(numbers)) - {"basis"})
    anew, _ = pair(numbers, Reference("anew", manifests(numbers)[-2], grows=True))
    assert merged is not None
    assert anew is not None
    for name, array in merged.arrays().items():
        np.testing.assert_allclose(array, anew.arrays()[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_contents_that_come_again_fall_to_either_side_evenly(numbers: Project) -> None:
    ran(numbers, drawn(0, BEFORE))
    again = [(f"again {n}", *row[1:]) for n, row in enumerate(drawn(0, BEFORE)[:600])]
    ran(numbers, [*drawn(0, BEFORE), *again, *drawn(BEFORE, MORE)])
    before, now = sizes(numbers, previous(numbers))
    contents = (1 - BASIS_SHARE) * (BEFORE + MORE)
    assert before + now == pytest.approx(contents, rel=0.05), "each content must count once"
    fell = (1 - BASIS_SHARE) * (MORE + 600 / 2)
    assert now == pytest.approx(fell, rel=0.1), "of two rows of a content either decides"


def test_popular_contents_that_come_again_are_no_change(numbers: Project) -> None:
    rng = np.random.default_rng(0)
    stock = drawn(0, 2500)
    popularity = np.exp([1.5 * float(str(row[1])) for row in stock])
    chosen = rng.choice(len(stock), (2, 4000), p=popularity / popularity.sum())
    rows = [[(f"{run} {n}", *stock[c][1:]) for n, c in enumerate(run_of)]
            for run, run_of in enumerate(chosen.tolist())]  # fmt: skip
    ran(numbers, rows[0])
    run = ran(numbers, rows[0] + rows[1])
    before, now = pair(numbers, previous(numbers))
    assert before is not None
    assert now is not None
    assert _analytic.mmd(before, now).p_value > 0.01
    files = Files.open(numbers.stores().sketches, "notes_v1")
    assert files is not None
    alone = files.run(run)
    assert alone is not None
    assert _analytic.mmd(before + alone.moved, alone.novel).p_value < 1e-6, "rare ones are left"


def test_copies_within_a_run_count_once(numbers: Project) -> None:
    ran(numbers, drawn(0, BEFORE))
    copies = [(f"copy {n}", *drawn(BEFORE, MORE)[n % MORE][1:]) for n in range(2 * MORE)]
    ran(numbers, drawn(0, BEFORE) + copies)
    _, now = sizes(numbers, previous(numbers))
    assert now == pytest.approx((1 - BASIS_SHARE) * MORE, rel=0.1)


def test_a_state_of_which_much_is_gone_is_sketched_anew(numbers: Project) -> None:
    rows = drawn(0, BEFORE)
    ran(numbers, rows)
    rows += drawn(BEFORE, MORE)
    ran(numbers, rows)
    found(numbers)
    first = kept(numbers)
    rows = rows[BEFORE // 2 :]
    ran(numbers, rows)
    ran(numbers, rows + drawn(BEFORE + MORE, MORE))
    before, _ = sizes(numbers, previous(numbers))
    assert before == pytest.approx((1 - BASIS_SHARE) * len(rows), rel=0.05)
    (fresh,) = {name for name in kept(numbers) if name.startswith("STATE")} - {*first}
    assert fresh == f"STATE-{manifests(numbers)[-2].lance_version}"


def test_windows_of_runs_are_put_together(numbers: Project) -> None:
    rows = drawn(0, BEFORE)
    ran(numbers, rows)
    runs = []
    for start in (BEFORE, BEFORE + MORE, BEFORE + 2 * MORE):
        rows += drawn(start, MORE)
        runs.append(ran(numbers, rows))
    window = Reference("two runs", manifests(numbers)[-2], tuple(runs[:2]))
    before, now = sizes(numbers, window)
    assert (before, now) == pytest.approx((2 * 0.9 * MORE, 0.9 * MORE), rel=0.1)
    again = [(f"again {n}", *row[1:]) for n, row in enumerate(rows[:100])]
    rows += [*again, *drawn(5000, MORE)]
    runs.append(ran(numbers, rows))
    window = Reference("two runs", manifests(numbers)[-2], tuple(runs[1:3]))
    assert pair(numbers, window) == (None, None), "nobody knows which side contents fall to"


def test_many_runs_are_put_together_and_what_is_gone_is_not_forgotten(numbers: Project) -> None:
    rows = drawn(0, BEFORE)
    ran(numbers, rows)
    limits = Limits(merged_runs=2)
    for start in (2000, 2300, 2600, 2900):
        rows = rows[5:] + drawn(start, 250)
        ran(numbers, rows)
        before, _ = pair(numbers, previous(numbers), limits)
    states = manifests(numbers)
    sketches = numbers.stores().sketches
    assert sketches.states("notes_v1") == [states[0].lance_version, states[2].lance_version]
    kept = sketches.load("notes_v1", f"STATE-{states[2].lance_version}")
    assert kept is not None
    assert kept[1]["gone"] == 10
    assert before is not None
    assert before.count == pytest.approx((1 - BASIS_SHARE) * states[-2].rows, rel=0.03)


def test_of_a_history_what_is_current_is_sketched(numbers: Project) -> None:
    numbers.source = {"content": ["size", "weight"], "keep": [], "event_time": "at"}
    numbers.feature |= {"history": True}
    header = (*NUMBERS, "at")
    rows = [(*row, "2026-01-01") for row in drawn(0, BEFORE)]
    numbers.write(rows, header)
    numbers.run()
    changed = [(n, *row[1:], "2026-02-01") for n, row in enumerate(drawn(BEFORE, MORE))]
    numbers.write([*changed, *rows[MORE:]], header)
    numbers.run()
    more = [(*row, "2026-03-01") for row in drawn(BEFORE + MORE, MORE)]
    numbers.write([*changed, *rows[MORE:], *more], header)
    numbers.run()
    before, now = sizes(numbers, previous(numbers))
    assert before == pytest.approx((1 - BASIS_SHARE) * BEFORE, rel=0.05)
    assert now == pytest.approx((1 - BASIS_SHARE) * MORE, rel=0.1)


def test_few_rows_are_looked_at_one_by_one(numbers: Project) -> None:
    numbers.more = ""
    ran(numbers, drawn(0, BEFORE))
    ran(numbers, drawn(0, BEFORE) + drawn(BEFORE, MORE))
    assert found(numbers).detail["permutations"] > 0
    assert numbers.stores().sketches.tables() == []


@pytest.mark.parametrize("name", ["basis", "STATE", "run"])
def test_damaged_files_are_made_anew(numbers: Project, name: str) -> None:
    ran(numbers, drawn(0, BEFORE))
    ran(numbers, drawn(0, BEFORE) + drawn(BEFORE, MORE))
    finding = found(numbers)
    (path,) = (
        path
        for path in (numbers.root / "data" / "sketches" / "notes_v1").iterdir()
        if path.stem.startswith(name if name != "run" else "2")
    )
    path.write_bytes(path.read_bytes()[:2000])
    again = found(numbers)
    assert (again.verdict, again.n_current) == (finding.verdict, finding.n_current)


def test_files_of_a_release_that_kept_less_are_made_anew(numbers: Project) -> None:
    ran(numbers, drawn(0, BEFORE))
    ran(numbers, drawn(0, BEFORE) + drawn(BEFORE, MORE))
    first = found(numbers)
    sketches = numbers.stores().sketches
    for name in set(kept(numbers)) - {"basis"}:
        arrays, meta = sketches.load("notes_v1", name) or ({}, {})
        older = {key: array for key, array in arrays.items() if not key.endswith("moments")}
        assert len(older) < len(arrays)
        sketches.save("notes_v1", name, older, meta)
    assert found(numbers) == first
    for name in set(kept(numbers)) - {"basis"}:
        arrays, _ = sketches.load("notes_v1", name) or ({}, {})
        assert any(key.endswith("moments") for key in arrays)


def test_an_erasure_takes_all_sketches_and_proves_it(numbers: Project) -> None:
    ran(numbers, drawn(0, BEFORE))
    rows = drawn(0, BEFORE) + drawn(BEFORE, MORE)
    ran(numbers, rows)
    before = found(numbers)
    gone = [f"{n}" for n in range(BEFORE, BEFORE + 20)]
    receipt = Eraser(numbers.settings(), "notes", gone).erase(Silent())
    assert receipt["removed"]["sketches of notes_v1"] == 3
    assert receipt["proved"]
    assert kept(numbers) == []
    after = found(numbers)
    assert after.n_current == before.n_current, "what was found stays, its reference being gone"
    assert after.reference == f"{before.reference}, which `vecmill erase` has cleaned away since"
    receipt = Eraser(numbers.settings(), "notes", ["0"]).erase(Silent())
    assert receipt["proved"]


def test_sketches_go_with_their_version_and_with_runs_that_came_to_nothing(
    numbers: Project,
) -> None:
    ran(numbers, drawn(0, BEFORE))
    ran(numbers, drawn(0, BEFORE) + drawn(BEFORE, MORE))
    found(numbers)
    sketches = numbers.stores().sketches
    arrays, meta = sketches.load("notes_v1", manifests(numbers)[-1].run_id) or ({}, {})
    sketches.save("notes_v1", "20200101T000000-00000000000", arrays, meta)
    broken = numbers.root / "data" / "sketches" / "notes_v1" / "basis.1.tmp"
    broken.write_bytes(b"half")
    numbers.more += "[gc]\ngrace_hours = 0.0\n"
    before = kept(numbers)
    policy = numbers.settings().gc
    Collector(numbers.settings(), policy).collect(["notes"], Silent())
    assert set(before) - {*kept(numbers)} == {"20200101T000000-00000000000"}
    assert not broken.exists()
