"""What the bench of other tools hangs on: which records change, and whether a store is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.bench.others import _environments
from tests.bench.others._checks import held
from tests.bench.others._records import difference
from tests.bench.others._steps import changed

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {f"n{number}": f"text {number}" for number in range(2000)}
SPARE = {f"m{number}": f"more {number}" for number in range(200)}


@pytest.mark.parametrize(("records", "edited", "apart"), [(200, 2, 1), (2000, 10, 5)])
def test_a_share_of_the_records_is_edited_added_and_deleted(
    records: int, edited: int, apart: int
) -> None:
    before = dict([*TEXTS.items()][:records])
    after = changed(before, SPARE)
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys()) == apart
    assert sum(before[name] != after[name] for name in before.keys() & after.keys()) == edited
    assert changed(before, SPARE) == after, "another draw would be another benchmark"


def test_the_difference_is_what_makes_one_of_the_other() -> None:
    after = changed(TEXTS, SPARE, 0.02)
    found = difference(TEXTS, after)
    left = {name: text for name, text in TEXTS.items() if name not in found.gone}
    assert left | found.put == after
    assert (len(found.put), len(found.gone)) == (30, 10)
    assert difference(after, after).put == {}


@pytest.mark.parametrize(
    ("holds", "told"),
    [
        ({"a": "one", "b": "two"}, "2 rows, cosine 1.000000"),
        ({"a": "one"}, "1 rows, 1 missing"),
        ({"a": "one", "b": "old"}, "2 rows, 1 not changed"),
        ({"a": "one", "b": "two", "c": "old"}, "3 rows, 1 not deleted"),
    ],
)
def test_a_store_that_is_not_as_its_source_is_told(
    tmp_path: Path, holds: dict[str, str], told: str
) -> None:
    unit = np.eye(3, dtype=np.float32)
    reference = dict(zip(("one", "two", "old"), unit, strict=True))
    vectors = np.array([reference[text] for text in holds.values()])
    np.savez(tmp_path / "dump.npz", ids=[*holds], texts=[*holds.values()], vectors=vectors)
    found = held(tmp_path / "dump.npz", {"a": "one", "b": "two"}, reference)
    assert str(found) == told
    assert found.right == ("cosine" in told)


def test_a_vector_that_is_not_the_models_is_told(tmp_path: Path) -> None:
    off = np.array([[1, 0.1]], np.float32)
    np.savez(tmp_path / "dump.npz", ids=["a"], texts=["one"], vectors=off)
    found = held(tmp_path / "dump.npz", {"a": "one"}, {"one": np.array([1, 0], np.float32)})
    assert not found.right
    assert str(found) == "1 rows, cosine 0.995037"


def test_every_tool_has_its_module_and_names_the_version_of_itself() -> None:
    same = ("sentence-transformers", "torch", "transformers")
    assert {*_environments.pinned()} == {"cocoindex", "daft", "lancedb", "pixeltable", "txtai"}
    encoding: list[list[str]] = []
    for name, pins in _environments.pinned().items():
        assert (_environments.HERE / f"with_{name}.py").exists()
        versions = _environments.versions(pins)
        assert versions[name][0].isdigit()
        encoding.append([versions[one] for one in same])
    assert encoding[1:] == encoding[:-1], "other versions of what encodes would be compared too"


def test_a_tool_cannot_be_had_without_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(_environments.MissingError, match="uv is not installed"):
        _environments.python("txtai", tmp_path)
