"""How fast a feature's encoder is with other settings on this machine, and how faithful.

One setting after the other is changed, and what is faster is kept: first the device, then what
computes there, then the type, then how much goes through the model at a time, then the threads. A
challenger is timed turn by turn with what is best so far, so that whatever else the machine does
slows both of them; the least time of each counts.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from encoders import machine, registry
from encoders.abilities import Grouping
from encoders.base import EncoderError, Learner
from encoders.metering import Metered
from flows.config.stores import Stores
from flows.output.redact import redact
from flows.pipeline import fitting, over, versions
from flows.pipeline.chunking import sample_cutter
from flows.pipeline.decode import decode
from flows.pipeline.learning import sample
from flows.sources.base import Deferred
from storage.ids import seed
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from encoders.base import Encoder
    from flows.config.settings import Feature, Settings
    from flows.output.progress import Reporter

Matrix: TypeAlias = "NDArray[np.float32]"
Batches: TypeAlias = list[list[int]]

SAMPLE = 128
FIDELITY = 0.999
_TURNS = 3
_FASTER = 1.05
"""What a challenger has to be faster by: less is within what a machine varies by."""

_TYPES = ("float32", "bfloat16")
_OF_BATCHES = {"batch_tokens", "batch_size"}
_TOKENS = (256, 512, 1024, 2048, 4096)
_ROWS = (4, 8, 16, 32, 64, 128)
_OF_TYPES = {"dtype", "shapes", "backend", "libraries"}
"""Of a recipe, what the type that is computed in decides, and what computes."""
KEYS = ("device", "backend", "dtype", "batch_tokens", "batch_size")
"""Of an encoder, such as may be tried."""
RENEWING = ("backend", "dtype")
"""Those of them that are part of the fingerprint."""

_BUSY = 0.5
"""Of other processes for each core, at the start: with more the least of a few times is chance."""
_UNSTEADY = 0.15
"""By how much repeats of one setting may differ, as a share of the least."""


@dataclass(frozen=True)
class Choice:
    """Settings that are tried.

    Attributes:
        keys: of the encoder, where they are other than configured.
        threads: that torch computes with.
    """

    keys: dict[str, str | int]
    threads: int

    def having(self, key: str, value: str | int) -> Choice:
        """The same but for one of them."""
        if key == "threads":
            return Choice(self.keys, int(value))
        return Choice({**self.keys, key: value}, self.threads)


@dataclass(frozen=True)
class Trial:
    """What came of a choice.

    Attributes:
        faster: its rate as a multiple of that of the configured settings, by the clock.
        spread: how far its times were apart, as a share of the least.
        cosine: the least and the mean cosine of a record's vector to that in float32.
        problem: why it cannot encode.
    """

    choice: Choice
    faster: float = 0.0
    spread: float = 0.0
    cosine: tuple[float, float] = (0.0, 0.0)
    problem: str | None = None


@dataclass(frozen=True)
class Tuned:
    """What `measure` finds.

    Attributes:
        feature: whose encoder it is.
        sharing: the other features of the same encoder.
        records: how many were encoded each time.
        fidelity: the least cosine that was asked for.
        trials: the configured settings first.
        best: the fastest that is faithful.
        rate: records a second with the configured settings, by the clock.
        load: processes that ran or waited to run on this machine before the first trial.
    """

    feature: Feature
    sharing: tuple[str, ...]
    records: int
    fidelity: float
    trials: tuple[Trial, ...]
    best: Trial
    rate: float
    load: float = 0.0

    @property
    def spread(self) -> float:
        """By how much repeats of one setting differed, the median over the trials."""
        return statistics.median(trial.spread for trial in self.trials if trial.problem is None)

    @property
    def busy(self) -> bool:
        """Whether the machine did too much else for the times to be trusted."""
        return self.load > _BUSY * machine.cores() or self.spread > _UNSTEADY

    @property
    def threads(self) -> int | None:
        """What `[engine]` is to have; None where it is best as it is."""
        usual, best = self.trials[0].choice.threads, self.best.choice.threads
        return None if usual == best else best

    @property
    def renews(self) -> bool:
        """Whether the best settings give other vectors, and so a new version."""
        return any(key in self.best.choice.keys for key in RENEWING)


@dataclass
class _Bench:
    """Builds and times one feature's encoder on some records."""

    feature: Feature
    stores: Stores
    state: str | None
    batch: Any
    records: int
    reference: Matrix | None = None
    rate: float = 0.0
    trials: list[Trial] = field(default_factory=list)

    def built(self, choice: Choice) -> Encoder:
        params = dataclasses.replace(self.feature.encoder.params, **choice.keys)
        plugin = dataclasses.replace(self.feature.encoder, params=params)
        given = fitting.params_json(fitting.params_of(plugin))
        try:
            return fitting.built(plugin.kind, given, self.state, self.stores.states)
        finally:
            fitting.forget()  # only what is being timed is to be in memory

    def seconds(self, encoder: Encoder, choice: Choice) -> tuple[float, Matrix]:
        """How long the records take once."""
        machine.set_threads(choice.threads)
        begun = time.perf_counter()
        vectors = encoder.encode(self.batch)
        return time.perf_counter() - begun, vectors

    def first(self, choice: Choice) -> tuple[Trial, Encoder]:
        """The configured settings, and their encoder."""
        encoder = self.built(choice)
        vectors = self.seconds(encoder, choice)[1]  # the first call is slower, and counts for none
        self.reference = self._in_full(vectors)
        took = [self.seconds(encoder, choice)[0] for _ in range(_TURNS)]
        self.rate = self.records / min(took)
        trial = Trial(choice, 1.0, _spread(took), self._cosine(vectors))
        self.trials.append(trial)
        return trial, encoder

    def against(
        self, best: Trial, holder: Encoder, choice: Choice, tried: list[Batches] | None
    ) -> tuple[Trial, Encoder] | None:
        """A challenger turn by turn with the best so far.

        Args:
            best: what is best so far.
            holder: its encoder.
            choice: the challenger.
            tried: batches that the same key has come to, of which none is tried twice; None
                where the key decides none.

        Returns:
            None where it cannot encode, or comes to batches that have been tried.
        """
        try:
            encoder = self.built(choice)
            _refuse_other(holder, encoder)
            if tried is not None and self._again(encoder, tried):
                return None
            vectors = self.seconds(encoder, choice)[1]
        except (EncoderError, ValueError, RuntimeError) as error:
            self.trials.append(Trial(choice, problem=redact(str(error).splitlines()[0])))
            return None
        turns = [
            (self.seconds(holder, best.choice)[0], self.seconds(encoder, choice)[0])
            for _ in range(_TURNS)
        ]
        held, took = zip(*turns, strict=True)
        faster = best.faster * min(held) / min(took)
        trial = Trial(choice, faster, _spread(took), self._cosine(vectors))
        self.trials.append(trial)
        return trial, encoder

    def _again(self, encoder: Encoder, tried: list[Batches]) -> bool:
        batches = self.batches(encoder)
        known = batches in tried
        tried.append(batches)
        return known

    def batches(self, encoder: Encoder) -> Batches:
        """The records that an encoder runs through its model together, by their places."""
        if isinstance(encoder, Grouping):
            return encoder.together(self.batch)
        size = encoder.batch_size
        return [[*range(at, min(at + size, self.records))] for at in range(0, self.records, size)]

    def _in_full(self, vectors: Matrix) -> Matrix:
        plain: dict[str, str | int] = {"dtype": "float32", "backend": "torch"}
        plain = {k: v for k, v in plain.items() if k in _knobs(self.feature.encoder.params)}
        if not plain:
            return vectors
        try:
            full = self.built(Choice(plain, 0))
        except EncoderError:  # one that computes in a type of its own
            return vectors
        return full.encode(self.batch)

    def _cosine(self, vectors: Matrix) -> tuple[float, float]:
        assert self.reference is not None  # noqa: S101 - set by `first`
        one, two = self.reference.astype(np.float64), vectors.astype(np.float64)
        norms = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        same = np.where(norms > 0, (one * two).sum(axis=1) / np.where(norms > 0, norms, 1), 1.0)
        return float(same.min()), float(same.mean())


def measure(
    settings: Settings,
    name: str,
    reporter: Reporter,
    *,
    size: int = SAMPLE,
    fidelity: float = FIDELITY,
) -> Tuned:
    """Try other settings of a feature's encoder on a sample of its records; writes nothing.

    Args:
        settings: the configuration.
        name: the feature.
        reporter: told of each trial.
        size: how many records to encode each time, at most.
        fidelity: the least cosine of a vector to the one in float32 that a choice must keep.

    Raises:
        UsageError: if there is nothing to try, or nothing to try it on.
        SourceError: if the source cannot be read.
    """
    if not size >= 1:
        raise UsageError(f"--sample must be at least 1, got {size}")
    if not 0 <= fidelity <= 1:
        raise UsageError(f"--fidelity is a cosine from 0 to 1, got {fidelity}")
    stores = Stores.of(settings, reporter)
    feature = over.resolved(settings.feature(name), stores.catalog)
    bench = _bench(settings, feature, stores, reporter, size)
    usual, load = machine.threads(), machine.load()
    start = Choice({}, settings.engine.threads or usual)
    ladder = [*_ladder(feature.encoder.params)]
    reporter.stage(name, "tune", 1 + sum(len(values(start)) for _, values in ladder))
    try:
        best, holder = bench.first(start)
        reporter.advance(1)
        for key, values in ladder:
            tried = [bench.batches(holder)] if key in _OF_BATCHES else None
            for value in values(best.choice):
                choice = best.choice.having(key, value)
                found = bench.against(best, holder, choice, tried)
                reporter.advance(1)
                if found is None:
                    continue
                trial, encoder = found
                if trial.cosine[0] >= fidelity and trial.faster >= best.faster * _FASTER:
                    best, holder = trial, encoder
    finally:
        machine.set_threads(usual)
    sharing = [n for n, f in settings.features.items() if f.encoder.name == feature.encoder.name]
    others = tuple(n for n in sharing if n != name)
    trials = tuple(bench.trials)
    return Tuned(feature, others, bench.records, fidelity, trials, best, bench.rate, load)


def _bench(
    settings: Settings, feature: Feature, stores: Stores, reporter: Reporter, size: int
) -> _Bench:
    kind, params = feature.encoder.kind, feature.encoder.params
    if not _knobs(params) - {"device"}:
        raise UsageError(
            f"{feature.name}: the encoder {feature.encoder.name!r} of kind {kind!r} has no dtype "
            "and no batches to be tuned"
        )
    state = fitting.state_of(feature, stores.catalog, stores.states)
    encoder = fitting.unfitted(feature, stores.states)
    if isinstance(encoder, Metered):
        raise UsageError(f"{feature.name}: {kind!r} encodes elsewhere, for money: nothing is tried")
    if isinstance(encoder, Learner) and state is None:
        raise UsageError(
            f"{feature.name}: the encoder {feature.encoder.name!r} has to learn first: `vecmill "
            f"fit {feature.name}`"
        )
    source = versions.open_source(settings, feature, None)
    rng = np.random.default_rng(seed(feature.name))
    reporter.stage(feature.name, "sample", None)
    content = sample(source, size, rng, reporter, cutter=sample_cutter(feature))
    if isinstance(source, Deferred):
        content = source.fetch(content)
    modality = registry.modality(kind, params)
    found = decode(modality, content["content"], limits=feature.limits) if len(content) else None
    if found is None or not found.rows:
        raise UsageError(
            f"{feature.name}: the source {feature.source.name!r} has no record that can be read; "
            f"see `vecmill plan {feature.name}`"
        )
    return _Bench(feature, stores, state, found.batch, len(found.rows))


def _ladder(params: Any) -> Iterator[tuple[str, Callable[[Choice], list[str | int]]]]:  # noqa: ANN401 - of many kinds
    """What is tried, one key after the other, given the best so far."""
    knobs = _knobs(params)

    def others(key: str, values: tuple[str | int, ...]) -> Callable[[Choice], list[str | int]]:
        def left(best: Choice) -> list[str | int]:
            held = best.keys.get(key, getattr(params, key)) or "float32"
            return [value for value in values if value != held]

        return left

    if "device" in knobs and len(machine.devices()) > 1:
        yield "device", others("device", machine.devices()[1:])
    if "backend" in knobs and len(machine.backends()) > 1:
        yield "backend", others("backend", machine.backends())
    if "dtype" in knobs:
        yield "dtype", others("dtype", _TYPES)
    if "batch_tokens" in knobs:
        yield "batch_tokens", others("batch_tokens", _TOKENS)
    elif "batch_size" in knobs:
        yield "batch_size", others("batch_size", _ROWS)
    cores = machine.cores()
    counts = sorted({1, max(1, cores // 2), cores})
    yield "threads", lambda best: [count for count in counts if count != best.threads]


def _spread(times: Sequence[float]) -> float:
    return max(times) / min(times) - 1


def _refuse_other(one: Encoder, other: Encoder) -> None:
    """Refuse a setting that decides more than a type: an encoder may learn by its batches.

    Raises:
        EncoderError: if the recipes differ in more than what a type decides.
    """
    recipes = [
        {key: value for key, value in encoder.recipe().items() if key not in _OF_TYPES}
        for encoder in (one, other)
    ]
    if recipes[0] != recipes[1]:
        raise EncoderError("it decides more than the speed, and so is not tried")


def _knobs(params: Any) -> set[str]:  # noqa: ANN401 - of many kinds
    return {f.name for f in dataclasses.fields(params)} & {*KEYS}
