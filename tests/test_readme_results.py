"""The README's table of results is what the kept results say, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench import _kept
from tests.bench._arms import Ratio
from tests.bench._targets import Measure

if TYPE_CHECKING:
    from pathlib import Path


def test_the_readme_shows_what_is_kept() -> None:
    text = _kept.README.read_text(encoding="utf-8")
    shown = text.split(_kept.BEGIN)[1].split(_kept.END)[0].strip()
    assert shown == _kept.rendered()


def test_what_is_measured_comes_into_the_table(tmp_path: Path) -> None:
    readme, results = tmp_path / "README.md", tmp_path / "results"
    readme.write_text(f"before\n{_kept.BEGIN}\nold\n{_kept.END}\nafter\n", encoding="utf-8")
    name = "vecmill --help, CPU over import pydantic"
    measures = [Measure(name, Ratio(1.5, 1.25, 6, 5), most=5), Measure("of another", 3)]
    _kept.keep("start", measures, "start --turns 5", results)
    _kept.put(readme, results)
    before, *lines, after = readme.read_text(encoding="utf-8").strip().splitlines()
    assert (before, after) == ("before", "after")
    assert "| `vecmill --help` | 1.50 (1.25 to 6.00), 5 times |" in lines[-2]
    assert lines[-2].endswith("| ≤ 5 | met |")
    assert "old" not in lines


def test_figures_that_are_no_ratios_have_their_unit(tmp_path: Path) -> None:
    name = "1,000,000 rows, nothing changed: beyond start-up"
    _kept.keep("growth", [Measure(name, 21.5, "s", most=15)], "growth", tmp_path)
    assert _kept.rendered(tmp_path).endswith("| 21.5 s | time of 100 rows | ≤ 15 | missed |")
