"""Transformers pooled as asked, held to what the library itself gives for a text alone."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from encoders import sentence
from encoders.abilities import Truncated
from encoders.base import EncoderError
from encoders.bert import Params, build
from encoders.registry import quick_recipe
from flows.config.parsing import parse_params
from flows.pipeline.fitting import params_json
from tests.encoders import checkpoints, samples
from tests.encoders.conftest import save_sentence_model
from tests.safety.test_pickles import Malice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders._precision import Dtype

TEXTS = ["the cat is a dog", "stone", "the mill ground the grain so fine", "", "a b c " * 9]
FAMILIES = ("bert", "roberta", "distilbert", "t5", "gpt2")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny checkpoint of each family."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for family in (*FAMILIES, "fnet"):
        getattr(checkpoints, f"save_{family}")(folder / family)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """A copy of the tiny BERT, to be damaged."""
    return shutil.copytree(saved / "bert", tmp_path / "model")


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no hub that could be asked."""
    from huggingface_hub import constants

    cache = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


def alone(folder: Path, text: str) -> list[NDArray[np.float32]]:
    """Every layer of the library's own model for one text, ``(tokens, width)`` each."""
    import torch
    from transformers import AutoModel, AutoTokenizer, T5EncoderModel

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = T5EncoderModel if folder.name == "t5" else AutoModel
    with torch.inference_mode():
        given = tokenizer(text, return_tensors="pt")
        out = model.from_pretrained(folder).eval()(**given, output_hidden_states=True)
    return [layer[0].numpy() for layer in out.hidden_states]


POOLINGS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "mean": lambda tokens: tokens.mean(axis=0),
    "cls": lambda tokens: tokens[0],
    "max": lambda tokens: tokens.max(axis=0),
    "last": lambda tokens: tokens[-1],
}


@pytest.mark.parametrize(
    ("family", "pooling"),
    [
        (family, pooling)
        for family in FAMILIES
        for pooling in POOLINGS
        if pooling != "cls" or family not in {"t5", "gpt2"}
    ],
)
def test_vectors_are_those_of_the_library_for_each_text_alone(
    saved: Path, family: str, pooling: Literal["mean", "cls", "max", "last"]
) -> None:
    texts = [text for text in TEXTS if text or family != "gpt2"]  # which makes no token of none
    encoder = build(Params(str(saved / family), pooling=pooling, normalize=False))
    expected = [POOLINGS[pooling](alone(saved / family, text)[-1]) for text in texts]
    np.testing.assert_allclose(encoder.encode(texts), expected, atol=2e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "t5", "gpt2"])
def test_layers_are_those_of_the_library(saved: Path, family: str) -> None:
    layers = alone(saved / family, TEXTS[0])
    assert len(layers) == checkpoints.LAYERS + 1
    for asked in (0, 1, -2, checkpoints.LAYERS):
        encoder = build(Params(str(saved / family), layers=asked, normalize=False))
        expected = layers[asked].mean(axis=0)
        np.testing.assert_allclose(encoder.encode(TEXTS)[0], expected, atol=2e-5)


def test_layers_are_averaged_or_put_side_by_side(saved: Path) -> None:
    layers = alone(saved / "bert", TEXTS[2])
    model, asked = str(saved / "bert"), (-1, 0, 2)
    mean = build(Params(model, layers=asked, pooling="max", normalize=False))
    expected = np.mean([layers[layer] for layer in asked], axis=0).max(axis=0)
    np.testing.assert_allclose(mean.encode(TEXTS)[2], expected, atol=2e-5)
    concat = build(Params(model, layers=asked, combine="concat", pooling="cls", normalize=False))
    assert concat.dim == 3 * checkpoints.WIDTH
    expected = np.concatenate([layers[layer][0] for layer in asked])
    np.testing.assert_allclose(concat.encode(TEXTS)[2], expected, atol=2e-5)


def test_vectors_have_norm_one_unless_asked(saved: Path) -> None:
    unit = build(Params(str(saved / "bert"))).encode(TEXTS)
    plain = build(Params(str(saved / "bert"), normalize=False)).encode(TEXTS)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert np.abs(lengths - 1).min() > 0.1
    np.testing.assert_allclose(unit, plain / lengths, atol=1e-6)


def test_a_prompt_is_put_before_every_text(saved: Path) -> None:
    prompted = build(Params(str(saved / "bert"), prompt="passage: ")).encode(TEXTS)
    by_hand = build(Params(str(saved / "bert"))).encode([f"passage: {text}" for text in TEXTS])
    np.testing.assert_allclose(prompted, by_hand, atol=1e-6)


def test_texts_over_the_limit_are_cut_and_counted(saved: Path) -> None:
    encoder = build(Params(str(saved / "bert"), max_tokens=8))
    fits, over = "mill " * 6, "mill " * 7  # two special tokens come on top
    assert encoder.truncated([fits, over, "stone"]) == Truncated(1, cut=1, tokens=20, limit=8)
    assert encoder.truncated([]) == Truncated()
    uncut, cut = encoder.encode([fits, over])
    np.testing.assert_allclose(cut, uncut, atol=1e-6)
    prompted = build(Params(str(saved / "bert"), max_tokens=8, prompt="a "))
    assert prompted.truncated([fits]).texts == 1


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_texts_are_read_up_to_the_last_position(saved: Path, family: str) -> None:
    encoder = build(Params(str(saved / family)))
    letters = "a" * (checkpoints.POSITIONS - 2) if family == "roberta" else "mill " * 62
    assert encoder.truncated([letters, letters + "a stone"]).texts == 1
    assert np.isfinite(encoder.encode([letters, letters + "a stone"])).all()


def test_a_decoder_takes_a_text_of_no_tokens(saved: Path) -> None:
    encoder = build(Params(str(saved / "gpt2"), pooling="last"))
    together = encoder.encode(["", "stone the mill"])
    np.testing.assert_allclose(together[:1], encoder.encode([""]), atol=1e-5)
    assert np.linalg.norm(together[0]) == pytest.approx(1, abs=1e-5)


def test_the_transformer_of_a_sentence_model_is_read(weights: Path) -> None:
    folder = weights / "sentence-tiny"
    expected = sentence.build(sentence.Params(model=str(folder))).encode(TEXTS)
    encoder = build(Params(str(folder)))
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)
    files = encoder.recipe()["files"]
    assert isinstance(files, dict)
    assert "modules.json" not in files


def test_a_transformer_in_a_folder_of_its_own_is_found(tmp_path: Path) -> None:
    save_sentence_model(tmp_path / "model")
    expected = build(Params(str(tmp_path / "model")))
    inner = tmp_path / "model" / "0_Transformer"
    inner.mkdir()
    for file in [path for path in (tmp_path / "model").iterdir() if path.is_file()]:
        if file.name not in {"modules.json", "config_sentence_transformers.json", "README.md"}:
            file.rename(inner / file.name)
    modules = json.loads((tmp_path / "model" / "modules.json").read_text())
    modules[0]["path"] = inner.name
    (tmp_path / "model" / "modules.json").write_text(json.dumps(modules))
    assert build(Params(str(tmp_path / "model"))).recipe() == expected.recipe()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_short_types_compute_nearly_the_same(saved: Path, dtype: Dtype) -> None:
    full = build(Params(str(saved / "bert"))).encode(TEXTS)
    short = build(Params(str(saved / "bert"), dtype=dtype))
    assert (short.encode(TEXTS) * full).sum(axis=1).min() > 0.999
    assert short.recipe()["dtype"] == dtype


def test_the_recipe_depends_on_contents_not_on_the_folder(copy: Path, saved: Path) -> None:
    kept = build(Params(str(saved / "bert"))).recipe()
    (copy / "README.md").write_text("a word more")
    assert quick_recipe("bert", Params(str(copy))) == kept
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    assert build(Params(str(copy))).recipe() != kept


def test_layers_come_back_from_the_catalog_as_they_were() -> None:
    for layers in (-2, (-1, -2)):
        params = Params("some/model", layers=layers)
        kept = json.loads(params_json({"model": "some/model", "layers": layers}))
        assert parse_params("bert", kept) == params


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tokens": 65}, r"max_tokens must be from 3 to 64 .* got 65"),
        ({"max_tokens": 2}, r"max_tokens must be from 3 to 64 .* got 2"),
        ({"layers": 4}, r"has 3 layers, so layers must be from -4 to 3 .* got 4"),
        ({"layers": (-1, -5)}, r"layers must be from -4 to 3 .* got -5"),
        ({"layers": (3, -1)}, r"layers = \[3, -1\] names a layer of .* twice"),
        ({"device": "abacus"}, r"device 'abacus' cannot be used here .*expected 'auto'"),
        ({"revision": "main"}, r"revision 'main' was given for the local folder"),
    ],
)
def test_wrong_parameters_are_refused(saved: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        build(Params(str(saved / "bert"), **changes))


def test_how_many_texts_go_together_decides_nothing(saved: Path) -> None:
    texts = samples.usual("text")
    usual = build(Params(str(saved / "bert")))
    alone = build(Params(str(saved / "bert"), batch_tokens=1))
    np.testing.assert_allclose(alone.encode(texts), usual.encode(texts), atol=1e-5)
    assert alone.recipe() == usual.recipe()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "int8"}, r"dtype must be one of auto, float32, bfloat16, float16, got 'int8'"),
        ({"pooling": "min"}, r"pooling must be one of mean, cls, max, last, got 'min'"),
        ({"combine": "sum"}, r"combine must be one of mean, concat, got 'sum'"),
        ({"layers": ()}, r"layers names no layer"),
        ({"batch_size": 0}, r"batch_size must be at least 1, got 0"),
        ({"batch_tokens": 0}, r"batch_tokens must be at least 1, got 0"),
    ],
)
def test_values_that_no_model_allows_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params("some/model", **changes)


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_a_first_token_that_is_no_cls_is_not_pooled(saved: Path, family: str) -> None:
    with pytest.raises(EncoderError, match=r'puts no \[CLS\] first; use "mean", or "last"'):
        build(Params(str(saved / family), pooling="cls"))


def test_a_model_that_mixes_padding_in_runs_text_by_text_or_not_at_all(saved: Path) -> None:
    with pytest.raises(EncoderError, match=r"depend on padding: .* set batch_size = 1"):
        build(Params(str(saved / "fnet")))
    encoder = build(Params(str(saved / "fnet"), batch_size=1, normalize=False))
    expected = [alone(saved / "fnet", text)[-1].mean(axis=0) for text in TEXTS]
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=2e-5)


def test_weights_that_lack_a_layer_are_refused(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"lack 1 of .*layer.1.output.* would be random"):
        build(Params(str(copy)))


def test_a_masked_language_model_lacks_a_pooler_and_nothing_else(saved: Path, copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("pooler")}
    assert len(kept) < len(tensors)
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    expected = build(Params(str(saved / "bert"))).encode(TEXTS)
    np.testing.assert_array_equal(build(Params(str(copy))).encode(TEXTS), expected)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("model.safetensors", r"holds no weights; expected \*\.safetensors"),
        ("config.json", r"has no config\.json, so it is no checkpoint of transformers"),
        ("tokenizer", r"has no vocabulary: expected tokenizer\.json|cannot load"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(copy: Path, lost: str, message: str) -> None:
    for file in copy.glob(f"{lost}*"):
        file.unlink()
    with pytest.raises(EncoderError, match=message):
        build(Params(str(copy)))


def test_a_folder_above_a_checkpoint_names_it(saved: Path) -> None:
    with pytest.raises(EncoderError, match=r"has no config\.json, .*; its folder '\w+' is one"):
        build(Params(str(saved)))


def test_damaged_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(EncoderError, match="transformers cannot load"):
        build(Params(str(copy)))


def test_the_tokenizer_of_another_model_is_refused(copy: Path, saved: Path) -> None:
    for file in (saved / "roberta").glob("tokenizer*"):
        shutil.copy(file, copy / file.name)
    with pytest.raises(EncoderError, match=r"knows 261 tokens, and its model has vectors for 23"):
        build(Params(str(copy)))


def test_an_adapter_is_refused(copy: Path) -> None:
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(EncoderError, match="is an adapter to another model; merge the two"):
        build(Params(str(copy)))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("bart", r"encoder-decoder of type 'bart', .* T5, mT5 and UMT5 can be read"),
        ("big_bird", r"of type 'big_bird', which attends otherwise by the length of its batch"),
        ("no_such", r"transformers cannot load .*no_such"),
    ],
)
def test_models_of_other_kinds_are_refused(copy: Path, kind: str, message: str) -> None:
    (copy / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(EncoderError, match=message):
        build(Params(str(copy)))


def test_a_model_that_reads_pictures_too_is_refused(tmp_path: Path) -> None:
    checkpoints.save_clip(tmp_path / "clip")
    with pytest.raises(
        EncoderError, match=r"of type 'clip', cannot be run on the tokens of a text"
    ):
        build(Params(str(tmp_path / "clip")))


def test_code_that_a_model_brings_is_not_run(copy: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (copy / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    (copy / "config.json").write_text(json.dumps(own))
    with pytest.raises(EncoderError, match="cannot load"):
        build(Params(str(copy)))
    assert not ran.exists()


def test_pickled_code_is_not_run(copy: Path, tmp_path: Path) -> None:
    import torch

    torch.save({"weight": Malice(tmp_path / "ran")}, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"pickled weights .* hold more than tensors"):
        build(Params(str(copy)))
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("no_hub")
def test_a_model_that_cannot_be_fetched_says_how_to_get_it() -> None:
    with pytest.raises(
        EncoderError, match=r"'bert-base-uncased' is not in .*cache.*model = \"path/to/bert-base"
    ):
        build(Params("bert-base-uncased"))


def test_a_path_that_is_not_there_is_not_taken_for_a_name(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="neither a folder here nor a name on the hub"):
        build(Params(str(tmp_path / "gone")))


def test_a_model_in_the_cache_of_the_hub_is_found(saved: Path, no_hub: Path) -> None:
    commit = "0" * 40
    cached = no_hub / "models--some--model"
    shutil.copytree(saved / "bert", cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    found = build(Params("some/model"))
    assert found.recipe() == build(Params(str(saved / "bert"))).recipe()


@pytest.mark.slow
@pytest.mark.realdata
def test_the_mean_of_minilm_is_what_its_authors_published(data: Path) -> None:
    from scipy.stats import spearmanr

    with (data / "text" / "stsb_dev.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    left, right = ([row[at] for row in rows] for at in (0, 1))
    ours, theirs = build(Params(sentence.Params().model)), sentence.build(sentence.Params())
    some = [*left[::15], "a word " * 400]
    np.testing.assert_allclose(ours.encode(some), theirs.encode(some), atol=1e-5)
    assert ours.truncated(some) == theirs.truncated(some) != Truncated()
    alike = (ours.encode(left) * ours.encode(right)).sum(axis=1)
    found = spearmanr(alike, [float(row[2]) for row in rows]).statistic
    assert found == pytest.approx(0.867, abs=0.002)
