"""What a run says of texts that its encoder does not read to their end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from encoders.abilities import Truncated
from flows import cli
from flows.engines.engine import Direct
from flows.lifecycle.status import status
from flows.pipeline.scope import Scope
from storage.model import Cut
from tests.encoders.conftest import save_sentence_model
from tests.flows.interruptions import Interruption, Stopping

if TYPE_CHECKING:
    from tests.flows.project import Project

ROWS = [("a", "mill " * 6, "x"), ("b", "mill " * 9, "x"), ("c", "stone " * 16, "y")]
"""Of 8, 11 and 18 tokens, two special ones in each."""


@pytest.fixture
def cut(project: Project) -> Project:
    """A project whose encoder reads eight tokens."""
    save_sentence_model(project.root / "tiny")
    project.encoder = {"kind": "sentence", "model": "./tiny", "max_tokens": 8}
    project.write(ROWS)
    return project


def test_truncated_texts_add_up() -> None:
    one, other = Truncated.of([8, 11], 8), Truncated.of([18], 8)
    assert one + other == Truncated.of([8, 11, 18], 8) == Truncated(2, 13, 37, 8)
    assert Truncated() + one == one


def test_a_run_says_how_much_was_cut(cut: Project, capsys: pytest.CaptureFixture[str]) -> None:
    cut.settings()
    conf = ["--conf", str(cut.root / "vecmill.toml")]
    with pytest.raises(SystemExit, match="0"):
        cli.main(["run", "--direct", "--json", *conf])
    printed = capsys.readouterr()
    row = json.loads(printed.out)
    assert (row["cut_texts"], row["cut_tokens"], row["text_tokens"]) == (2, 13, 37)
    told = " ".join(printed.err.split())
    assert "2 of 3 texts were longer than the encoder reads (8 tokens)" in told
    assert "13 of 37 tokens were cut, and are not in the vectors; set chunk" in told
    with pytest.raises(SystemExit, match="0"):
        cli.main(["status", *conf])
    told = " ".join(capsys.readouterr().err.split())
    assert "2 texts were longer than the encoder reads and 13 of 37 tokens were cut" in told


def test_status_keeps_what_the_last_encoding_cut(cut: Project) -> None:
    cut.run()
    assert cut.run().cut.cut_texts == 0
    assert status(cut.settings())[0]["cut_tokens"] == 13
    cut.write([*ROWS, ("d", "a cat", "z")])
    cut.run()
    assert status(cut.settings())[0]["cut_tokens"] == 0


def test_pooled_chunks_lose_nothing(cut: Project) -> None:
    cut.encoder |= {"chunk": {"tokens": 8, "overlap": 2, "pool": "mean"}}
    outcome = cut.run()
    assert outcome.cut.cut_texts == 0
    assert outcome.rows == 3


LONG = [(f"r{n}", "word " * (3 + n), "x") for n in range(12)]
"""Of 3 to 14 words; all but the first are cut to three."""
ALL = Cut(11, 66, 102)


@pytest.fixture
def brief(project: Project) -> Project:
    """A project whose encoder reads three words."""
    project.encoder = {"kind": "brief", "log": str(project.root / "encoded.jsonl")}
    project.write(LONG)
    return project


def noted(project: Project) -> tuple[int, int, int]:
    row = status(project.settings())[0]
    return row["cut_texts"], row["cut_tokens"], row["text_tokens"]


def test_what_was_encoded_before_a_retry_counts(brief: Project) -> None:
    brief.encoder["outage"] = 4
    outcome = brief.run(Direct(retries=1))
    assert (brief.root / "encoded.jsonl.outage").exists()
    assert (outcome.counts.encoded, outcome.cut) == (12, ALL)
    assert noted(brief) == (11, 66, 102)


@pytest.mark.parametrize(("point", "resumed"), [("shard", 8), ("encode", 12)])
def test_what_an_interrupted_run_has_encoded_counts_in_the_next(
    brief: Project, point: str, resumed: int
) -> None:
    with pytest.raises(Interruption, match="stopped here"):
        brief.run(Stopping(point=point))
    outcome = brief.run()
    assert (outcome.counts.resumed, outcome.cut) == (resumed, ALL)
    assert noted(brief) == (11, 66, 102)


def test_what_was_staged_for_other_records_does_not_count(brief: Project) -> None:
    brief.engine = {"shard_size": 4}
    with pytest.raises(Interruption, match="stopped here"):
        brief.run(Stopping(point="encode"))
    brief.write(LONG[4:8])
    assert brief.run(scope=Scope(limit=10)).cut == Cut(4, 22, 34)


def test_texts_cut_by_an_encoder_that_tells_no_limit(
    brief: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    brief.encoder["tells"] = False
    brief.write([*LONG[:2], ("d", "FAIL", "x")])
    conf = ["--conf", str(brief.settings().conf)]
    with pytest.raises(SystemExit, match="0"):
        cli.main(["run", "--direct", *conf])
    told = " ".join(capsys.readouterr().err.split())
    assert "1 of 2 texts was longer than the encoder reads: 1 of 7 tokens were cut" in told
