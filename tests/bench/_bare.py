"""What one would write by hand: read the records, encode them, save an array.

``python -m tests.bench._bare text …`` or ``images …``; a process of its own, measured by
`tests.bench.end_to_end`. It prints what the work took once the model was loaded: seconds of wall
time and of CPU, from the first record that is read to the array that is saved.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(words: Sequence[str]) -> None:
    """Encode, and save ``(n, dim)`` float32 beside the records' ids."""
    parser = argparse.ArgumentParser(prog="_bare")
    parser.add_argument("what", choices=("text", "images"))
    parser.add_argument("records", type=Path)
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=32)
    asked = parser.parse_args(words)
    if asked.what == "text":
        _texts(asked.records, asked.model, asked.output, asked.dtype, asked.batch)
    else:
        _images(asked.records, asked.model, asked.output, asked.batch)


def _texts(records: Path, model: str, output: Path, dtype: str, batch: int) -> None:
    import polars as pl
    import torch
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(
        model, device="cpu", model_kwargs={"dtype": getattr(torch, dtype)}
    )
    begun = _now()
    table = pl.read_csv(records)
    texts = (table["title"] + "\n\n" + table["body"]).to_list()
    found = encoder.encode(texts, batch_size=batch, show_progress_bar=False, convert_to_tensor=True)
    np.savez(
        output, ids=np.array(table["id"].cast(pl.String).to_list()), vectors=found.float().numpy()
    )
    _tell(begun)


def _images(folder: Path, weights: str, output: Path, batch: int) -> None:
    import torch
    from PIL import Image
    from safetensors.torch import load_file
    from torchvision import models

    name = Path(weights).stem
    network = models.get_model(name, weights=None)
    network.load_state_dict({key: value.float() for key, value in load_file(weights).items()})
    network.fc = torch.nn.Identity()
    network.eval()
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    begun = _now()
    paths = sorted(path for path in folder.rglob("*") if path.suffix in {".jpg", ".png", ".JPEG"})
    rows = []
    with torch.inference_mode():
        for at in range(0, len(paths), batch):
            opened = [Image.open(path).convert("RGB") for path in paths[at : at + batch]]
            rows.append(network(torch.stack([transforms(image) for image in opened])).numpy())
    np.savez(output, ids=[str(path.relative_to(folder)) for path in paths], vectors=np.vstack(rows))
    _tell(begun)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _tell(begun: tuple[float, float]) -> None:
    wall, cpu = (end - start for end, start in zip(_now(), begun, strict=True))
    sys.stdout.write(json.dumps({"wall": wall, "cpu": cpu}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
