"""What is tried of an encoder, what came of each, and what that comes to."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import machine

if TYPE_CHECKING:
    from flows.config.settings import Feature

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
    """What `flows.tuning.measuring.measure` finds.

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
