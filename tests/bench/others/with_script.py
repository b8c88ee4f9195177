"""What one would write by hand: encode all records, save an array, and do all of it each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.bench.others._records import command

if TYPE_CHECKING:
    from tests.bench.others._records import Job, Vectors


def whole(job: Job) -> None:
    """Encode and save."""
    from sentence_transformers import SentenceTransformer

    texts = job.texts()
    model = SentenceTransformer(str(job.model), device="cpu")
    vectors = model.encode([*texts.values()], show_progress_bar=False)
    np.savez(job.store / "news.npz", ids=[*texts], texts=[*texts.values()], vectors=vectors)


def dump(job: Job) -> Vectors:
    """What was saved."""
    with np.load(job.store / "news.npz") as saved:
        rows = zip(saved["ids"], saved["texts"], saved["vectors"], strict=True)
        return {str(name): (str(text), vector.tolist()) for name, text, vector in rows}


if __name__ == "__main__":
    command(whole, dump)
