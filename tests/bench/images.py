"""Images through the encode step of a run, and through the loop that one would write by hand.

``python -m tests.bench.images [images [megapixels]]`` makes JPEG files, and encodes them with
SqueezeNet 1.1 (random weights, which cost what trained ones do). The loop decodes a batch and
encodes it, in turn; the encode step decodes the next batch meanwhile, and stages the vectors. Each
is done five times, in turn, and the best time of each counts.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from PIL import Image

from encoders import vision
from encoders.media import decode_image
from flows.output.progress import Silent
from flows.pipeline.encode import Bounds, encode_shard
from storage.ids import hash_bytes
from storage.staging import Spool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from encoders.base import Encoder

IMAGES, MEGAPIXELS = 192, 1.0
TIMES = 5


def main() -> None:
    """Print images a second of both, and the ratio."""
    given = sys.argv[1:] if __name__ == "__main__" else []
    count = int(given[0]) if given else IMAGES
    megapixels = float(given[1]) if len(given) > 1 else MEGAPIXELS
    with tempfile.TemporaryDirectory(prefix="vecmill-bench-") as name:
        folder = Path(name)
        paths = [folder / f"{n:05d}.jpg" for n in range(count)]
        for n, path in enumerate(paths):
            _photograph(path, megapixels, n)
        encoder = _squeezenet(folder / "squeezenet.safetensors")
        by_hand, ours = [], []
        for turn in range(TIMES):
            begun = time.perf_counter()
            expected = _loop(encoder, paths)
            by_hand.append(time.perf_counter() - begun)
            shard = _shard(folder / f"run-{turn}", paths)
            begun = time.perf_counter()
            receipt = encode_shard(encoder, shard, Silent(), Bounds())
            ours.append(time.perf_counter() - begun)
            staged = pl.concat([pl.read_parquet(part) for part in receipt.staged])
            found = np.array(staged["vector"].to_list(), np.float32)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    loop, step = min(by_hand), min(ours)
    _told(f"{count} JPEG files of {megapixels:g} MP, {os.cpu_count()} cores, SqueezeNet 1.1")
    _told(f"loop by hand  {count / loop:7.1f} images/s")
    _told(f"encode step   {count / step:7.1f} images/s")
    _told(f"ratio         {loop / step:7.2f}")


def _loop(encoder: Encoder, paths: list[Path]) -> NDArray[np.float32]:
    batches = []
    for at in range(0, len(paths), encoder.batch_size):
        images = [decode_image(path.read_bytes()) for path in paths[at : at + encoder.batch_size]]
        batches.append(encoder.encode(images))
    return np.concatenate(batches)


def _photograph(path: Path, megapixels: float, seed: int) -> None:
    """Soft shapes with some noise, 4 to 3: it packs about as well as a photograph does."""
    rng = np.random.default_rng(seed)
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    size = (width, width * 3 // 4)
    soft = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
    pixels = np.asarray(soft.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
    noise = rng.normal(0, 6, (*pixels.shape[:2], 1)).astype(np.int16)
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(path, quality=90)


def _squeezenet(file: Path) -> Encoder:
    import torch
    from safetensors.torch import save_file
    from torchvision import models

    torch.manual_seed(0)
    save_file(models.squeezenet1_1(weights=None).state_dict(), file)
    return vision.build(vision.Params("squeezenet1_1", str(file)))


def _shard(folder: Path, paths: list[Path]) -> Path:
    names = [str(path) for path in paths]
    spool = Spool(folder, len(paths))
    spool.add(
        pl.DataFrame(
            {
                "record_id": names,
                "place": names,
                "content": names,
                "content_hash": [hash_bytes(path.read_bytes()) for path in paths],
            }
        )
    )
    (shard,) = spool.close()
    return shard


def _told(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a benchmark prints


if __name__ == "__main__":
    main()
