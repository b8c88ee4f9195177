"""Sentence models: what loading refuses, and what the default model means."""

from __future__ import annotations

import csv
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders import _hub
from encoders.abilities import Truncated
from encoders.base import EncoderError
from encoders.sentence import Params, SentenceEncoder, build
from tests.encoders import samples
from tests.encoders.conftest import save_sentence_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXTS = ["the cat is a dog", "the mill ground the grain", "stone"]


@pytest.fixture(scope="module")
def tiny(weights: Path) -> Path:
    return weights / "sentence-tiny"


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, to be damaged."""
    return shutil.copytree(tiny, tmp_path / "model")


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    return build(Params())


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and a hub at an address where nobody listens."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_vectors_are_those_of_the_library_itself(tiny: Path) -> None:
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(tiny), device="cpu").encode(
        TEXTS, normalize_embeddings=True, show_progress_bar=False
    )
    np.testing.assert_allclose(build(Params(model=str(tiny))).encode(TEXTS), expected, atol=1e-6)


def test_vectors_have_norm_one_unless_asked(tiny: Path) -> None:
    unit = build(Params(model=str(tiny))).encode(TEXTS)
    plain = build(Params(model=str(tiny), normalize=False)).encode(TEXTS)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    assert np.abs(lengths - 1).min() > 0.1
    np.testing.assert_allclose(unit, plain / lengths, atol=1e-6)


def test_a_prompt_is_put_before_every_text(tiny: Path) -> None:
    prompted = build(Params(model=str(tiny), prompt="passage: ")).encode(TEXTS)
    by_hand = build(Params(model=str(tiny))).encode([f"passage: {text}" for text in TEXTS])
    np.testing.assert_allclose(prompted, by_hand, atol=1e-6)


def test_truncated_vectors_are_the_first_dimensions_at_norm_one(tiny: Path) -> None:
    short = build(Params(model=str(tiny), truncate_dim=5))
    first = build(Params(model=str(tiny))).encode(TEXTS)[:, :5]
    assert short.dim == 5
    expected = first / np.linalg.norm(first, axis=1, keepdims=True)
    np.testing.assert_allclose(short.encode(TEXTS), expected, atol=1e-6)


def test_texts_over_the_limit_are_cut_and_counted(tiny: Path) -> None:
    encoder = build(Params(model=str(tiny), max_tokens=8))
    fits, over = "mill " * 6, "mill " * 7  # two special tokens come on top
    assert encoder.truncated([fits, over, "stone"]) == Truncated(1, 1, 20, 8)
    assert encoder.truncated([]) == Truncated()
    uncut, cut = encoder.encode([fits, over])
    np.testing.assert_allclose(cut, uncut, atol=1e-6)
    assert build(Params(model=str(tiny), max_tokens=8, prompt="a ")).truncated([fits]).texts == 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_short_types_compute_nearly_the_same(tiny: Path, dtype: Any) -> None:  # noqa: ANN401 - a Literal
    full, short = build(Params(model=str(tiny))), build(Params(model=str(tiny), dtype=dtype))
    found = short.encode(TEXTS)
    assert found.dtype == np.float32
    assert (found * full.encode(TEXTS)).sum(axis=1).min() > 0.999
    assert short.recipe() != full.recipe()


def test_how_many_texts_go_together_decides_nothing(tiny: Path) -> None:
    texts = samples.usual("text")
    usual = build(Params(model=str(tiny)))
    alone = build(Params(model=str(tiny), batch_tokens=1))
    np.testing.assert_allclose(alone.encode(texts), usual.encode(texts), atol=1e-6)
    assert alone.recipe() == usual.recipe()


def test_texts_that_were_just_encoded_are_told_from_others(tiny: Path) -> None:
    encoder = build(Params(model=str(tiny), max_tokens=5))
    texts = ["the mill ground the grain", "stone"]
    encoder.encode(texts)
    cut = encoder.truncated(texts)
    assert cut == build(Params(model=str(tiny), max_tokens=5)).truncated(texts)
    texts[0] = "the mill"
    assert encoder.truncated(texts).cut == 0 < cut.cut


def test_the_recipe_depends_on_contents_not_on_the_folder(copy: Path, tiny: Path) -> None:
    assert build(Params(model=str(copy))).recipe() == build(Params(model=str(tiny))).recipe()
    (copy / "README.md").write_text("a word more")
    assert build(Params(model=str(copy))).recipe() == build(Params(model=str(tiny))).recipe()


def test_other_weights_make_another_recipe(tiny: Path, tmp_path: Path) -> None:
    save_sentence_model(tmp_path / "other", dim=16)
    other = build(Params(model=str(tmp_path / "other"))).recipe()
    assert other != build(Params(model=str(tiny))).recipe()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tokens": 65}, r"max_tokens must be from 3 to 64 .* got 65"),
        ({"max_tokens": 2}, r"max_tokens must be from 3 to 64 .* got 2"),
        ({"truncate_dim": 33}, r"truncate_dim must be from 1 to the model's own 32 .* got 33"),
        ({"truncate_dim": 0}, r"truncate_dim must be from 1"),
        ({"dtype": "int8"}, r"dtype must be .* got 'int8'"),
        ({"device": "abacus"}, r"device 'abacus' cannot be used here .*expected 'auto'"),
        ({"batch_size": 0}, r"batch_size must be at least 1, got 0"),
        ({"batch_tokens": 0}, r"batch_tokens must be at least 1, got 0"),
        ({"revision": "main"}, r"revision 'main' was given for the local folder"),
    ],
)
def test_wrong_parameters_are_refused(tiny: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        build(Params(model=str(tiny), **changes))


def test_a_folder_without_pooling_is_refused(copy: Path) -> None:
    (copy / "modules.json").unlink()
    with pytest.raises(EncoderError, match=r"no modules\.json.*pooled"):
        build(Params(model=str(copy)))


def test_a_folder_without_weights_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="holds no weights"):
        build(Params(model=str(copy)))


def test_weights_that_lack_a_layer_are_refused(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    lost = "encoder.layer.1.output.dense.weight"
    del tensors[lost]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=rf"lack 1 of .*{re.escape(lost)}.* would be random"):
        build(Params(model=str(copy)))


def test_damaged_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(EncoderError, match="sentence-transformers cannot load"):
        build(Params(model=str(copy)))


def test_code_that_a_model_brings_is_not_run(copy: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (copy / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    modules = copy / "modules.json"
    modules.write_text(
        re.sub(r'"sentence_transformers\.[\w.]*Pooling"', '"own.Own"', modules.read_text())
    )
    assert "own.Own" in modules.read_text()
    with pytest.raises(EncoderError, match=r"wants code of its own to be run"):
        build(Params(model=str(copy)))
    assert not ran.exists()


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads change places at every chance."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_texts_are_cut_while_others_are_counted(tiny: Path) -> None:
    encoder = build(Params(model=str(tiny), max_tokens=8))
    texts = ["mill stone wheel grain flour " * 30, "a mill"] * 4
    alone = encoder.encode(texts)
    with ThreadPoolExecutor(4) as pool:
        calls = [
            (pool.submit(encoder.truncated, texts), pool.submit(encoder.encode, texts))
            for _ in range(60)
        ]
    for count, vectors in calls:
        assert count.result().texts == 4
        np.testing.assert_allclose(vectors.result(), alone, atol=1e-5)


def test_pickled_weights_are_read_as_tensors_alone(copy: Path, tiny: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    encoder = build(Params(model=str(copy)))
    assert "pytorch_model.bin" in str(encoder.recipe()["files"])
    np.testing.assert_array_equal(
        encoder.encode(TEXTS), build(Params(model=str(tiny))).encode(TEXTS)
    )


def test_pickled_code_is_not_run(copy: Path, tmp_path: Path) -> None:
    import torch

    torch.save({"weight": _Opens(tmp_path / "ran")}, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"pickled weights .* hold more than tensors"):
        build(Params(model=str(copy)))
    assert not (tmp_path / "ran").exists()


class _Opens:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.file), "w")


@pytest.mark.usefixtures("no_hub")
def test_a_model_that_cannot_be_fetched_says_how_to_get_it() -> None:
    with pytest.raises(
        EncoderError, match=r"'nobody/nothing' is not in .*cache.*model = \"path/to"
    ):
        build(Params(model="nobody/nothing"))


def test_a_path_that_is_not_there_is_not_taken_for_a_name(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="neither a folder here nor a name on the hub"):
        build(Params(model=str(tmp_path / "gone")))


def test_a_file_other_than_published_is_refused(copy: Path) -> None:
    with pytest.raises(
        EncoderError, match=rf"sha256 [0-9a-f]{{64}}, expected {_hub.MINILM_SHA256}"
    ):
        _hub.verify(copy / "model.safetensors", _hub.MINILM_SHA256)


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_hub_names_of_minilm_are_the_packaged_files(name: str) -> None:
    folder = _hub.locate(name, None)
    assert _hub.digest_files(folder)["model.safetensors"] == _hub.MINILM_SHA256


@pytest.mark.slow
def test_minilm_knows_what_is_alike(minilm: SentenceEncoder) -> None:
    near, far, query = minilm.encode(
        ["A man is eating food.", "The rocket left its orbit.", "Somebody has a meal."]
    )
    assert minilm.dim == 384
    assert query @ near > 0.5 > query @ far + 0.3


@pytest.mark.slow
@pytest.mark.realdata
def test_minilm_agrees_with_people_on_sts(minilm: SentenceEncoder, data: Path) -> None:
    from scipy.stats import spearmanr

    with (data / "text" / "stsb_dev.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[::3]
    left, right = (minilm.encode([row[at] for row in rows]) for at in (0, 1))
    found = spearmanr((left * right).sum(axis=1), [float(row[2]) for row in rows]).statistic
    assert found > 0.83, "published for the whole test split: 0.82"
