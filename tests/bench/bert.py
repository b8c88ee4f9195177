"""What pooling and layers do to a model: MiniLM on the STS benchmark's development part.

Spearman's rank correlation of the cosine with what people said, over 1,500 pairs of sentences. The
model was trained for its mean; how much the others lose says what a pooling is worth.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path

from encoders import _hub, bert

VARIANTS: tuple[dict[str, object], ...] = (
    {},
    {"pooling": "cls"},
    {"pooling": "max"},
    {"pooling": "last"},
    {"layers": 0},
    {"layers": -2},
    {"layers": (-1, -2, -3, -4)},
    {"layers": (-1, -2, -3, -4), "combine": "concat"},
)


def main() -> None:
    """Print a line a variant."""
    from scipy.stats import spearmanr

    folder = os.environ.get("VECMILL_TEST_DATA")
    if not folder:
        sys.exit("VECMILL_TEST_DATA is not set; expected the folder of the test data")
    with (Path(folder) / "text" / "stsb_dev.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    texts = [row[at] for at in (0, 1) for row in rows]
    for keys in VARIANTS:
        encoder = bert.build(bert.Params(_hub.MINILM, **keys))  # type: ignore[arg-type] # each its own
        begun = time.process_time()
        found = encoder.encode(texts)
        spent = time.process_time() - begun
        alike = (found[: len(rows)] * found[len(rows) :]).sum(axis=1)
        people = [float(row[2]) for row in rows]
        figure = spearmanr(alike, people).statistic
        said = ", ".join(f"{key} = {value}" for key, value in keys.items()) or "mean, last layer"
        print(f"{figure:.4f}  {len(texts) / spent:6.0f} texts a CPU second  {said}", flush=True)  # noqa: T201 - a benchmark prints


if __name__ == "__main__":
    main()
