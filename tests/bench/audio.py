"""Every encoder of recordings on spoken digits, in one table.

``VECMILL_TEST_DATA=... python -m tests.bench audio`` (or ``python -m tests.bench.audio lstm`` for
some of them) prints, for the Free Spoken Digit Dataset: how often a linear probe tells the digit,
with one recording in five left out, and with each of the four speakers left out in turn; and how
many recordings an encoder takes a second of CPU, as a multiple of mfcc's in the same process.

Neither the encoder nor the probe sees what is then told, nor, where a speaker is left out, any
recording of that voice.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from encoders import registry
from encoders.abilities import Labelled
from encoders.base import Learner
from encoders.media import decode_audio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from encoders.base import Encoder
    from encoders.media import Audio

    Rows = NDArray[np.int64]

YARDSTICK = "mfcc"
ENTRIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (YARDSTICK, "mfcc", {}),
    ("logmel", "logmel", {}),
    ("lstm, labels", "lstm", {"rate": 8000, "label": "digit"}),
    ("gru, labels", "lstm", {"rate": 8000, "label": "digit", "cell": "gru"}),
    ("lstm, no labels", "lstm", {"rate": 8000}),
)
"""What is measured: name, kind, parameters. The digits are recorded at 8 kHz."""

_TIMED = 300


@dataclass(frozen=True)
class Digits:
    """The recordings at hand, with what is said in each, and by whom."""

    audio: list[Audio]
    said: NDArray[np.str_]
    speakers: NDArray[np.str_]

    @classmethod
    def read(cls, data: Path) -> Digits:
        """Read them from the folder of test data."""
        files = sorted((data / "audio" / "fsdd").glob("*.wav"))
        names = [file.stem.split("_") for file in files]
        return cls(
            [decode_audio(file.read_bytes()) for file in files],
            np.array([name[0] for name in names]),
            np.array([name[1] for name in names]),
        )

    def parts(self) -> Iterator[tuple[str, Rows, Rows]]:
        """What is left out, the rows to learn from, and those to be told."""
        order = np.random.default_rng(0).permutation(len(self.audio))
        told = len(order) // 5
        yield "one in five", order[told:], order[:told]
        for speaker in sorted(set(self.speakers)):
            own = self.speakers == speaker
            yield speaker, np.flatnonzero(~own), np.flatnonzero(own)

    def fitted(self, kind: str, params: dict[str, Any], rows: Rows) -> Encoder:
        """An encoder that has learned from some of the recordings, where it learns."""
        encoder: Any = registry.build(kind, registry.params_type(kind)(**params))
        if not isinstance(encoder, Learner):
            return encoder  # type: ignore[no-any-return] # every encoder is one
        rng = np.random.default_rng(0)
        rows = rng.permutation(rows)[: encoder.fit_size]
        sample = [self.audio[row] for row in rows]
        if isinstance(encoder, Labelled) and encoder.label is not None:
            encoder.fit_labelled(sample, self.said[rows].tolist(), rng)
        else:
            encoder.fit(sample, rng)
        return encoder  # type: ignore[no-any-return] # as above

    def told(self, encoder: Encoder, train: Rows, test: Rows) -> float:
        """The accuracy of a linear probe on recordings that it has not seen."""
        from sklearn.linear_model import LogisticRegression

        size = encoder.batch_size
        cuts = range(0, len(self.audio), size)
        vectors = np.concatenate([encoder.encode(self.audio[at : at + size]) for at in cuts])
        # in every dimension alike, so that one penalty fits encoders of any scale
        rows = (vectors - vectors[train].mean(axis=0)) / (vectors[train].std(axis=0) + 1e-6)
        probe = LogisticRegression(max_iter=2000).fit(rows[train], self.said[train])
        return float(probe.score(rows[test], self.said[test]))

    def pace(self, encoder: Encoder) -> float:
        """Recordings a second of CPU."""
        encoder.encode(self.audio[:8])
        started = time.process_time()
        encoder.encode(self.audio[:_TIMED])
        return _TIMED / (time.process_time() - started)


def main(names: Sequence[str] = ()) -> None:
    """Print the table."""
    folder = os.environ.get("VECMILL_TEST_DATA")
    if not folder:
        sys.exit("VECMILL_TEST_DATA is not set; expected the folder of the test data")
    digits = Digits.read(Path(folder))
    parts = list(digits.parts())
    left_out = [name for name, _, _ in parts]
    table = Table("encoder", "dim", *left_out, "speakers", "speed", "fit, CPU s")
    yardstick = digits.pace(digits.fitted(YARDSTICK, {}, np.arange(64)))
    for name, kind, params in ENTRIES:
        if names and name not in names and kind not in names:
            continue
        scores, seconds = [], []
        for _, train, test in parts:
            started = time.process_time()
            encoder = digits.fitted(kind, params, train)
            seconds.append(time.process_time() - started)
            scores.append(digits.told(encoder, train, test))
        row = (
            str(encoder.dim),
            *(f"{score:.3f}" for score in scores),
            f"{np.mean(scores[1:]):.3f}",
            f"{digits.pace(encoder) / yardstick:.2f}",
            f"{seconds[0]:.0f}",
        )
        sys.stderr.write("\t".join([name, *row]) + "\n")  # the fits take long; the table comes last
        table.add_row(name, *row)
    Console(width=120).print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
