"""Batches side by side, by one thread each, and one after the other by all threads together.

``python -m tests.bench.streams [bert clip clap wav2vec2 ...] [--many RECORDS]`` encodes the same
records both ways with models of the published shapes whose weights are drawn at random, which cost
what trained ones do. Each way is run in turn, three times, and the least of each counts: clock, and
CPU of all threads.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.table import Table

from encoders import _streams
from encoders.media import Audio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from encoders.base import Encoder

TIMES = 3
_WORDS = ("stone", "mill", "flour", "grain", "wheel", "water", "river", "bread", "the", "a", "of")


def main(given: Sequence[str] | None = ()) -> None:
    """Print a line a kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*")
    parser.add_argument("--many", type=int)
    asked = parser.parse_args(given)
    table = Table("kind", "records", "clock", "of split", "CPU", "of split", "apart")
    for name in asked.kinds or MADE:
        save, params, records, many = MADE[name]
        rng = np.random.default_rng(0)
        batch = [records(rng) for _ in range(asked.many or many)]
        with tempfile.TemporaryDirectory(prefix="vecmill-bench-") as folder:
            save(Path(folder))
            module = import_module(f"encoders.{name.partition(' ')[0]}")
            encoder: Encoder = module.build(module.Params(model=folder, **params))
            table.add_row(name, str(len(batch)), *_compared(encoder, batch))
    Console().print(table)


def _compared(encoder: Encoder, batch: list[Any]) -> list[str]:
    encoder.encode(batch[:2])
    clock: dict[bool, list[float]] = {True: [], False: []}
    spent: dict[bool, list[float]] = {True: [], False: []}
    found = {}
    for _ in range(TIMES):
        for split in (False, True):
            with _split() if split else _as_it_is():
                begun, used = time.perf_counter(), time.process_time()
                found[split] = encoder.encode(batch)
                clock[split].append(time.perf_counter() - begun)
                spent[split].append(time.process_time() - used)
    told = []
    for figures in (clock, spent):
        told += [f"{min(figures[False]):.2f} s", f"{min(figures[True]):.2f} s"]
    return [*told, f"{np.abs(found[True] - found[False]).max():.1g}"]


@contextmanager
def _split() -> Iterator[None]:
    """Parts follow one another, each by all threads of torch, as elsewhere than on a processor."""

    def one_by_one(work: Callable[[Any], Any], parts: Iterable[Any], device: str | None) -> Any:  # noqa: ANN401 - as `mapped`
        del device
        return [work(part) for part in parts]

    with patch.object(_streams, "mapped", one_by_one):
        yield


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def _bert(folder: Path) -> None:
    from transformers import BertConfig, BertModel, BertTokenizer

    BertModel(BertConfig()).save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_WORDS]
    numbers = {word: number for number, word in enumerate(words)}
    BertTokenizer(vocab=numbers, model_max_length=512).save_pretrained(folder)


def _clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    from tests.encoders.bridges import clip_tokenizer

    tokenizer = clip_tokenizer(folder, _WORDS)
    special = {
        key: getattr(tokenizer, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")
    }
    CLIPModel(CLIPConfig(text_config=special)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)


def _clap(folder: Path) -> None:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    from tests.encoders.bridges import word_tokenizer

    ClapModel(ClapConfig()).save_pretrained(folder)
    word_tokenizer(["input_ids", "attention_mask"], _WORDS).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)


def _wav2vec2(folder: Path) -> None:
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)  # type: ignore[no-untyped-call] # the library's omission


def _text(rng: np.random.Generator) -> str:
    """As long as news items are."""
    return " ".join(rng.choice(_WORDS, int(rng.integers(20, 70))))


def _picture(rng: np.random.Generator) -> Any:  # noqa: ANN401 - an image
    from PIL import Image

    return Image.fromarray(rng.integers(0, 255, (300, 400, 3), np.uint8))


def _sound(seconds: tuple[float, float]) -> Callable[[np.random.Generator], Audio]:
    def drawn(rng: np.random.Generator) -> Audio:
        samples = int(rng.uniform(*seconds) * 16_000)
        return Audio(rng.normal(0, 0.1, samples).astype(np.float32), 16_000)

    return drawn


MADE: dict[str, tuple[Callable[[Path], None], dict[str, Any], Callable[..., Any], int]] = {
    "bert": (_bert, {}, _text, 64),
    "clip images": (_clip, {"reads": "image"}, _picture, 32),
    "clip texts": (_clip, {"reads": "text"}, _text, 64),
    "clap recordings": (_clap, {"reads": "audio"}, _sound((3, 10)), 16),
    "wav2vec2": (_wav2vec2, {}, _sound((1, 6)), 16),
}
"""Name, how its model is made, parameters, how a record is drawn, and how many are."""


if __name__ == "__main__":
    main(None)
