"""Checkpoints of transformers whose batches several threads compute: the vectors of one thread."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from encoders import _streams
from encoders.base import EncoderError
from flows.pipeline.batches import Batches
from flows.pipeline.deadline import Worker
from tests.encoders import bridges, checkpoints, samples, speech_files, test_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from encoders.base import Encoder, Modality

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert-tiny", {"batch_tokens": 64}),
    "bert, all layers": ("bert-tiny", {"batch_tokens": 64, "layers": (1, 2)}),
    "clip": ("clip-tiny", {"reads": "image"}),
    "clip of texts": ("clip-tiny", {"reads": "text", "batch_size": 8}),
    "clip in bfloat16": ("clip-tiny", {"reads": "image", "dtype": "bfloat16"}),
    "clip of texts in bfloat16": ("clip-tiny", {"reads": "text", "dtype": "bfloat16"}),
    "clap": ("clap-tiny", {"reads": "audio"}),
    "clap of texts": ("clap-tiny", {"reads": "text", "batch_size": 8}),
    "wav2vec2": ("wav2vec2-layer", {}),
    "wav2vec2, of one length": ("wav2vec2-group", {"layers": (0, -1)}),
}


@pytest.fixture
def names(torch: Any) -> Iterator[set[str]]:  # noqa: ANN401 - a module
    """The threads in which modules of torch are called."""
    found: set[str] = set()
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda *_: found.add(threading.current_thread().name)
    )
    yield found
    hook.remove()


def built(weights: Path, name: str) -> Encoder:
    folder, keys = KINDS[name]
    if folder == "bert-tiny" and not (weights / folder).exists():
        checkpoints.save_bert(weights / folder)
    kind = name.partition(" ")[0].strip(",")
    found: Encoder = made(kind, model=str(weights / folder), **keys)
    return found


def made(kind: str, **keys: Any) -> Any:  # noqa: ANN401 - an Encoder
    module = import_module(f"encoders.{kind}")
    return module.build(module.Params(**keys))


@pytest.mark.parametrize("name", KINDS)
def test_records_have_the_vectors_that_one_thread_gives_them(
    weights: Path,
    torch: Any,  # noqa: ANN401 - a module
    names: set[str],
    name: str,
) -> None:
    encoder = built(weights, name)
    batch = samples.usual(encoder.modality)
    encoder.encode(batch)  # the first tries what the model keeps
    names.clear()
    found = encoder.encode(batch)
    assert names == {"stream"}
    torch.set_num_threads(1)
    np.testing.assert_array_equal(found, encoder.encode(batch))
    some = [0, 1, 2, 30, 47]
    alone = np.concatenate([encoder.encode([batch[at]]) for at in some])
    np.testing.assert_allclose(found[some], alone, atol=1e-5)


@pytest.mark.parametrize("postprocess", ["none", "quantized"])
def test_examples_of_vggish_have_the_vectors_that_one_thread_gives_them(
    weights: Path,
    torch: Any,  # noqa: ANN401 - a module
    monkeypatch: pytest.MonkeyPatch,
    postprocess: str,
) -> None:
    pca = {} if postprocess == "none" else {"pca": str(weights / "vggish_pca_params.npz")}
    file = str(weights / "vggish.npz")
    encoder = made("vggish", weights=file, postprocess=postprocess, batch_size=4, **pca)
    batch, seen = samples.usual("audio"), set()
    embedded = encoder._embedded  # noqa: SLF001 - to see who calls it

    def named(heard: Any) -> Any:  # noqa: ANN401 - arrays
        seen.add(threading.current_thread().name)
        return embedded(heard)

    monkeypatch.setattr(encoder, "_embedded", named)
    found = encoder.encode(batch)
    assert "stream" in seen
    torch.set_num_threads(1)
    np.testing.assert_array_equal(found, encoder.encode(batch))


@pytest.mark.parametrize(
    ("kind", "keys", "records", "parts"),
    [
        ("siamese", {"epochs": 1}, 24, 3),
        ("siamese", {"epochs": 1, "backbone": "squeezenet1_1"}, 10, 2),
        ("conv_autoencoder", {"epochs": 1, "size": 64}, 12, 3),
        ("lstm", {"epochs": 1}, 40, 2),
    ],
)
def test_what_was_learned_is_computed_by_several_threads_in_parts_of_one_size(
    weights: Path,
    torch: Any,  # noqa: ANN401 - a module
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    keys: dict[str, Any],
    records: int,
    parts: int,
) -> None:
    if "backbone" in keys:
        keys = {**keys, "weights": str(weights / "squeezenet1_1.safetensors")}
    encoder = made(kind, device="cpu", **keys)
    batch, seen = samples.usual(encoder.modality)[:records], []
    encoder.fit(batch[:10], np.random.default_rng(0))
    mapped = _streams.mapped

    def counted(work: Any, given: Any, device: str) -> Any:  # noqa: ANN401 - as `mapped`
        seen.append(len(given := list(given)))
        return mapped(work, given, device)

    monkeypatch.setattr(_streams, "mapped", counted)
    found = encoder.encode(batch)
    torch.set_num_threads(1)
    np.testing.assert_array_equal(found, encoder.encode(batch))
    assert seen == [parts, parts]
    alone = np.concatenate([encoder.encode([each]) for each in batch[:3]])
    np.testing.assert_allclose(found[:3], alone, atol=1e-4 * np.abs(found).max())


@pytest.mark.parametrize("kind", ["siamese", "conv_autoencoder"])
def test_an_image_that_is_not_rgb_is_named_by_its_place_in_the_batch(kind: str) -> None:
    encoder = made(kind, device="cpu", epochs=1)
    batch = samples.usual("image")
    encoder.fit(batch[:16], np.random.default_rng(0))
    batch[40] = batch[40].convert("L")
    with pytest.raises(EncoderError, match="image 40 of the batch has mode 'L'"):
        encoder.encode(batch)


@pytest.mark.usefixtures("torch")
def test_an_image_that_breaks_in_its_stream_is_lost_alone(weights: Path, names: set[str]) -> None:
    encoder = built(weights, "clip")
    images = samples.usual("image")[:32]
    expected = encoder.encode(images)
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(whole, "png")
    images[20] = Image.open(io.BytesIO(whole.getvalue()[:2000]))
    names.clear()
    batches = Batches(encoder, "clip", Worker(0), iter(images))
    numbers = [str(n) for n in range(32)]
    batches.encode(pl.DataFrame({"content_hash": numbers, "place": numbers}))
    assert "stream" in names
    staged = batches.take(datetime.now(UTC))
    assert (len(staged.hashes), len(staged.dead)) == (31, 1)
    np.testing.assert_allclose(staged.vectors, np.delete(expected, 20, axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "other", "save"),
    [
        *(("clip", "image", save) for save in test_clip.SAVED.values()),
        ("clap", "audio", bridges.save_clap),
        ("clap", "audio", partial(bridges.save_clap, fusion=True)),
    ],
)
def test_towers_keep_nothing_between_calls(
    kind: str, other: Modality, save: Callable[[Path], None], tmp_path: Path
) -> None:
    save(tmp_path)
    encoder = made(kind, model=str(tmp_path), reads="text")
    batch = samples.usual(other)[:2]

    def run(tokens: int) -> None:
        encoder.encode(["stone " * tokens])
        encoder.encode_other(other, batch)

    assert _streams.keeps_nothing(encoder._towers.model, run, 80)  # noqa: SLF001 - that threads call


@pytest.mark.usefixtures("torch")
def test_a_conformer_whose_positions_grow_is_called_by_one_thread(
    tmp_path: Path, names: set[str]
) -> None:
    speech_files.save(tmp_path, "conformer", position_embeddings_type="relative")
    encoder = made("wav2vec2", model=str(tmp_path))
    names.clear()
    encoder.encode(samples.usual("audio")[:4])
    assert names == {threading.current_thread().name}


def test_a_model_that_keeps_something_is_called_in_turns_by_one_thread(torch: Any) -> None:  # noqa: ANN401 - a module
    class Keeping(torch.nn.Module):  # type: ignore[misc]  # a module, found by its name
        """Keeps what it was given last."""

        def forward(self, tokens: int) -> str:
            self.last = object(), tokens
            return threading.current_thread().name

    here = threading.current_thread().name
    for model, expected in ((Keeping(), here), (torch.nn.Identity(), "stream")):
        turns = _streams.Turns(model, "cpu", model)

        def work(part: int, model: Any = model, turns: Any = turns) -> str:  # noqa: ANN401 - as above
            with turns.turn:
                model(part)
            return threading.current_thread().name

        assert turns.mapped(work, range(3)) == [expected] * 3


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize(("device", "parts"), [("cuda:0", 3), ("cpu", 1), ("cpu", 0), (None, 3)])
def test_elsewhere_than_on_a_processor_and_for_one_part_nothing_is_tried(
    device: str | None, parts: int
) -> None:
    from torch import nn

    tried: list[int] = []
    turns = _streams.Turns(nn.Identity(), device, tried.append)
    found = turns.mapped(lambda _: threading.current_thread(), range(parts))
    assert found == [threading.current_thread()] * parts
    assert tried == []
