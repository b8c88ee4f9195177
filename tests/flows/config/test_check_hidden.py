"""vecmill check: no fault hides another, and each is told once."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from flows.config import checking, configuration
from flows.config.settings import SettingsError
from tests.flows.config.checked import ask

if TYPE_CHECKING:
    import pytest

STARTER = Path(configuration.__file__).with_name("starter.toml")

HIDDEN = """\
[sources.good]
kind = "table"
path = "good.csv"
id = "idd"
content = "text"

[sources.bad]
kind = "table"
path = "bad.csv"
content = ["text"]
colour = 1
separator = 5

[encoders.bad]
kind = "sentence"
batch_size = 0
devise = "cpu"
pooling = "men"

[encoders.gone]
kind = "bert"
model = "./gone"

[features.a]
source = "good"
encoder = "bad"
monitors = ["drft", "helth"]
max_dead = 2
canaries = -1

[features.a.gates]
min_fresh = 7

[features.b]
source = "bad"
encoder = "gone"
shedule = "0 * * * *"
schedule = "daily"

[features.c]
source = "godo"
encoder = "nothing"
vanished = "forget"

[features.d]
over = ["a", "e"]
encoder = "bad"
max_deleted = -1

[schedules.daily]
features = ["a", "aa", "bb"]
every = "1 dya"
retries = 99
"""


def test_no_fault_hides_another_and_each_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.csv").write_text("id,text\n1,a\n", encoding="utf-8")
    conf = tmp_path / "vecmill.toml"
    conf.write_text(HIDDEN, encoding="utf-8")
    code, rows = ask(capsys, conf)
    assert code == 2
    lines = HIDDEN.splitlines()
    told = [lines[row["line"] - 1] for row in rows if row["state"] == "fault"]
    # Each faulty line once, but for those that hold two faults.
    assert sorted(told) == sorted(
        [
            *("colour = 1", "separator = 5", 'devise = "cpu"', 'pooling = "men"'),
            *('monitors = ["drft", "helth"]', 'monitors = ["drft", "helth"]'),
            *("max_dead = 2", "canaries = -1", "min_fresh = 7"),
            *('shedule = "0 * * * *"', 'schedule = "daily"'),
            *('source = "godo"', 'encoder = "nothing"', 'vanished = "forget"'),
            *("[features.d]", "max_deleted = -1"),
            *('features = ["a", "aa", "bb"]', 'features = ["a", "aa", "bb"]'),
            *('every = "1 dya"', "retries = 99", 'id = "idd"', 'model = "./gone"'),
        ]
    )
    notes = [row["where"] for row in rows if row["state"] == "note"]
    assert notes == ["sources.bad"]


_ODD = ("3", "-1", "true", "[]", "{}", "'x'", "[[1]]", "{ a = 1 }", "'${VECMILL_NOT_SET}'")


def spoilt(lines: list[str], rng: random.Random) -> str:
    """A configuration with a few values, keys or names of tables that are not as they were."""
    lines = list(lines)
    for place in rng.sample(range(len(lines)), 5):
        key, sign, value = lines[place].partition("=")
        if lines[place].startswith("["):
            lines[place] = lines[place].replace("]", "x]", 1)
        elif sign and not key.startswith("#"):
            others = (f"{key}= {rng.choice(_ODD)}", f"{key.strip()}x ={value}", "")
            lines[place] = rng.choice(others)
    return "\n".join(lines)


def test_whatever_is_wrong_is_told_once_and_nothing_that_is_not(tmp_path: Path) -> None:
    lines = STARTER.read_text(encoding="utf-8").splitlines()
    conf = tmp_path / "vecmill.toml"
    for seed in range(100):
        rng = random.Random(seed)  # noqa: S311 - no secret
        conf.write_text(spoilt(lines, rng), encoding="utf-8")
        found = checking.check(conf).faults
        told = [(fault.where, fault.found) for fault in found]
        assert len(told) == len({*told}), seed
        try:
            configuration.load(conf)
        except SettingsError:
            assert any(fault.fault for fault in found), seed
        else:
            assert not told, seed
