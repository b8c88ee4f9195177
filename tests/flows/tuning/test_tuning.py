"""Tuning: what is tried and chosen, and what is written and said of it; never how fast it is."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from encoders import machine
from flows.cli import run_command
from flows.config.configuration import load
from flows.output.progress import Silent
from flows.tuning import measuring as tuning
from flows.tuning import tuned
from flows.tuning.trials import Choice, Trial, Tuned
from storage.model import UsageError
from tests.encoders.conftest import save_sentence_model

if TYPE_CHECKING:
    from tests.flows.project import Project

ROWS = [
    ("a", "the cat is a dog", "x"),
    ("b", "the mill ground the grain", "y"),
    ("c", "stone", "x"),
]
OTHER = '[features.other]\nsource = "notes"\nencoder = "mill"\n'


@pytest.fixture
def texts(project: Project) -> Project:
    """A project whose encoder is a small sentence model."""
    save_sentence_model(project.root / "tiny")
    project.encoder = {"kind": "sentence", "model": "tiny", "batch_size": 8}
    project.write(ROWS)
    return project


class Counting(Silent):
    """Counts what a reporter is told of the last stage."""

    total: int | None = None
    done = 0

    def stage(self, feature: str, name: str, total: int | None) -> None:
        del feature, name
        self.total, self.done = total, 0

    def advance(self, records: int) -> None:
        self.done += records


def measured(project: Project, **asked: Any) -> Tuned:  # noqa: ANN401 - as `tuning.measure`
    return tuning.measure(project.settings(), "notes", Silent(), **asked)


def test_each_setting_is_tried_in_turn(texts: Project) -> None:
    usual = machine.threads()
    found = measured(texts)
    first = found.trials[0]
    assert first.choice == Choice({}, usual)
    assert first.faster == 1
    assert first.cosine == pytest.approx((1, 1), abs=1e-6)
    assert found.records == len(ROWS)
    tried = [trial.choice.keys for trial in found.trials]
    assert all("batch_tokens" not in keys for keys in tried), "three texts are one batch anyhow"
    short = [trial for trial in found.trials if trial.choice.keys.get("dtype") == "bfloat16"]
    assert [0.99 < trial.cosine[0] < 1 for trial in short][:1] == [True]
    assert machine.threads() == usual
    assert not (texts.root / "data").exists()


def test_only_batches_that_differ_are_tried(project: Project) -> None:
    save_sentence_model(project.root / "tiny")
    project.encoder = {"kind": "bert", "model": "tiny-bert", "batch_size": 128}
    project.write([(str(n), f"{n} {'mill ' * 6}", "x") for n in range(40)])
    tried = [trial.choice.keys for trial in measured(project, fidelity=1).trials]
    # 40 texts of 9 tokens: by 512 tokens and more they are one batch, as is configured.
    assert [keys["batch_tokens"] for keys in tried if "batch_tokens" in keys] == [256]


def test_all_trials_are_counted_beforehand(texts: Project) -> None:
    heard = Counting()
    tuning.measure(texts.settings(), "notes", heard)
    assert heard.total is not None
    assert heard.total >= 8, "one type, five budgets, threads, and what is configured"
    assert heard.done == heard.total


@pytest.mark.skipif(len(machine.backends()) == 1, reason="openvino is not installed")
def test_another_backend_is_tried_and_held_against_torch(texts: Project) -> None:
    found = measured(texts)
    others = [trial for trial in found.trials if trial.choice.keys.get("backend") == "openvino"]
    assert others[0].problem is None
    assert others[0].cosine == pytest.approx((1, 1), abs=1e-5)


def test_what_is_not_faithful_is_never_best(texts: Project) -> None:
    found = measured(texts, fidelity=1)
    assert "dtype" not in found.best.choice.keys
    told = [row["verdict"] for row in tuned.table(found) if row["dtype"] == "bfloat16"]
    assert told == ["below a cosine of 1"]


def test_only_as_many_records_as_asked_are_encoded(texts: Project) -> None:
    assert measured(texts, size=2).records == 2


def test_a_setting_that_decides_vectors_is_not_tried(project: Project) -> None:
    project.write([(str(n), f"word {n % 7} of {n % 5}", "x") for n in range(40)])
    project.encoder = {"kind": "word2vec", "dim": 4, "min_count": 1}
    project.run()
    recipes = {trial.problem for trial in measured(project).trials}
    assert recipes <= {None, "it decides more than the speed, and so is not tried"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"size": 0}, r"--sample must be at least 1, got 0"),
        ({"fidelity": 2.0}, r"--fidelity is a cosine from 0 to 1, got 2\.0"),
    ],
)
def test_what_makes_no_sense_is_refused(
    texts: Project, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        measured(texts, **asked)


def test_an_encoder_that_has_to_learn_first_is_told(project: Project) -> None:
    project.write(ROWS)
    project.encoder = {"kind": "word2vec", "dim": 4, "min_count": 1}
    with pytest.raises(UsageError, match=r"has to learn first: `vecmill fit notes`"):
        measured(project)


def test_a_source_without_records_is_told(texts: Project) -> None:
    texts.write([])
    with pytest.raises(UsageError, match=r"'notes' has no record that can be read"):
        measured(texts)


def chosen(project: Project, keys: dict[str, str | int], threads: int = 2) -> Tuned:
    """Results in which other settings are best."""
    usual = Trial(Choice({}, 2), 1.0, 0.02, (1.0, 1.0))
    best = Trial(Choice(keys, threads), 2.5, 0.04, (0.9995, 0.9999))
    feature = project.settings().feature("notes")
    return Tuned(feature, ("other",), 3, 0.999, (usual, best), best, 100.0)


def test_what_is_best_is_written_and_holds(texts: Project) -> None:
    texts.more = f"# by hand\n{OTHER}"
    settings = texts.settings()
    before = settings.conf.read_text("utf-8")
    found = chosen(texts, {"dtype": "bfloat16", "batch_tokens": 512}, threads=1)
    lines = tuned.write(found, settings)
    assert len(lines) == 3
    assert 'wrote [encoders.mill] dtype = "bfloat16", batch_tokens = 512 into ' in lines[0]
    assert "wrote [engine] threads = 1 into " in lines[1]
    assert "the next run makes a new version: `vecmill compare notes`" in lines[2]
    assert "other have the same encoder, and get it too" in lines[2]
    after = settings.conf.read_text("utf-8")
    expected = tomllib.loads(before)
    expected["encoders"]["mill"] |= {"dtype": "bfloat16", "batch_tokens": 512}
    expected["engine"]["threads"] = 1
    assert tomllib.loads(after) == expected
    assert "# by hand" in after
    again = load(settings.conf)
    assert again.engine.threads == 1
    assert again.feature("notes").encoder.params.dtype == "bfloat16"


def test_another_backend_makes_a_new_version(texts: Project) -> None:
    line = tuned.advice(chosen(texts, {"backend": "openvino", "dtype": "bfloat16"}))
    assert line is not None
    assert "backend and dtype are part of the fingerprint" in line


def test_rates_and_how_much_faster_say_the_same(texts: Project) -> None:
    rows = tuned.table(chosen(texts, {"batch_tokens": 512}))
    assert [(row["records_per_second"], row["faster"]) for row in rows] == [(100, 1), (250, 2.5)]


def test_a_busy_machine_is_told_of(texts: Project) -> None:
    quiet = chosen(texts, {"batch_tokens": 512})
    assert not quiet.busy
    assert len(tuned.sentences(quiet)) == 2
    loaded = replace(quiet, load=0.6 * machine.cores())
    assert "the machine is busy" in tuned.sentences(loaded)[1]
    uneven = [replace(trial, spread=0.2) for trial in quiet.trials]
    told = tuned.sentences(replace(quiet, trials=tuple(uneven), best=uneven[1]))[1]
    assert "repeats of one setting differed by 20%: differences smaller than that are" in told


def test_what_may_be_chance_is_not_told_as_faster(texts: Project) -> None:
    usual, best = chosen(texts, {"batch_tokens": 512}).trials
    slow = [replace(trial, spread=0.4) for trial in (usual, replace(best, faster=1.3))]
    found = replace(chosen(texts, {"batch_tokens": 512}), trials=tuple(slow), best=slow[1])
    assert tuned.sentences(found)[-1].endswith("; that may be chance")
    assert (tuned.advice(found) or "").startswith("tune again before `vecmill tune notes --write`")
    clear = replace(found, best=replace(slow[1], faster=1.5))
    assert "chance" not in tuned.sentences(clear)[-1]


def test_batches_alone_make_no_new_version(texts: Project) -> None:
    found = chosen(texts, {"batch_tokens": 512})
    assert not found.renews
    line = tuned.advice(found)
    assert line is not None
    assert line.startswith("`vecmill tune notes --write` sets it")
    assert "new version" not in line
    assert "[encoders.mill] batch_tokens = 512 is 2.50 times as fast" in tuned.sentences(found)[1]


def test_what_is_configured_may_be_best(texts: Project) -> None:
    found = chosen(texts, {})
    found = replace(found, best=found.trials[0])
    before = texts.settings().conf.read_text("utf-8")
    assert tuned.advice(found) is None
    assert tuned.write(found, texts.settings()) == [
        "notes: what is configured is best, so nothing is written"
    ]
    assert texts.settings().conf.read_text("utf-8") == before
    assert tuned.table(found)[0]["verdict"] == "as configured, and best"


def test_the_command_prints_a_table(texts: Project, capsys: pytest.CaptureFixture[str]) -> None:
    conf = str(texts.settings().conf)
    before = texts.settings().conf.read_text("utf-8")
    assert run_command(["tune", "notes", "--sample", "2", "--json", "--conf", conf]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) >= 3
    assert '"verdict": "as configured' in said[0]
    assert texts.settings().conf.read_text("utf-8") == before


def test_threads_are_given_to_torch(texts: Project) -> None:
    usual = machine.threads()
    texts.engine = {"threads": usual + 1}
    try:
        assert texts.run().counts.encoded == len(ROWS)
        assert machine.threads() == usual + 1
    finally:
        machine.set_threads(usual)
