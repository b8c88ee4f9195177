"""The kind ``clip``: the library's own vectors, one space for both towers, and what is refused."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders import abilities, registry
from encoders.abilities import Bridging
from encoders.base import EncoderError, EncoderUsageError
from encoders.clip import Params
from storage.ids import fingerprint
from tests.encoders import bridges, samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SAVED: dict[str, Callable[[Path], None]] = {
    "align": bridges.save_align,
    "chinese_clip": bridges.save_chinese_clip,
    "clip": bridges.save_clip,
    "siglip": bridges.save_siglip,
}
TEXTS = ["a cat", "the mill ground the grain", "", "stone " * 300, "wheel"]


@pytest.fixture(scope="module", params=sorted(SAVED))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of each type that is read."""
    made: Path = tmp_path_factory.mktemp("towers") / request.param
    SAVED[request.param](made)
    return made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP."""
    made = tmp_path_factory.mktemp("clip") / "tiny"
    bridges.save_clip(made)
    return made


def built(folder: Path, reads: str = "image", **more: Any) -> Any:  # noqa: ANN401 - an Encoder that is Bridging
    """An encoder of a checkpoint."""
    return registry.build("clip", Params(str(folder), reads, **more))  # type: ignore[arg-type] # a word


def image_processor(folder: Path) -> Any:  # noqa: ANN401 - the library ships no types
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(folder, backend="pil")  # type: ignore[no-untyped-call] # the library's omission


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


# --- the library's own vectors --------------------------------------------------------------------


def test_every_type_that_is_read_is_tested() -> None:
    from encoders.clip import TYPES

    assert {*SAVED} == {*TYPES}


def test_texts_get_the_librarys_own_vectors(folder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    encoder = built(folder, "text")
    limit = {"align": 64, "chinese_clip": 52, "clip": 77, "siglip": 64}[folder.name]
    padding = "max_length" if folder.name == "siglip" else "longest"
    for text, vector in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        given = tokenizer([text], padding=padding, truncation=True, max_length=limit,
                          return_tensors="pt")  # fmt: skip
        given.pop("token_type_ids", None)
        with torch.inference_mode():
            own = unit(model.get_text_features(**given).pooler_output.numpy())
        np.testing.assert_allclose(vector, own[0], atol=2e-6)


def test_images_get_the_librarys_own_vectors(folder: Path) -> None:
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder)
    processor = image_processor(folder)
    images = samples.usual("image")[:6]
    for image, vector in zip(images, built(folder).encode(images), strict=True):
        with torch.inference_mode():
            given = processor(images=image, return_tensors="pt")
            own = unit(model.get_image_features(**given).pooler_output.numpy())
        np.testing.assert_allclose(vector, own[0], atol=2e-6)


def test_the_scale_makes_the_librarys_own_logits(folder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    processor = image_processor(folder)
    images, texts = samples.usual("image")[:3], ["a cat", "the mill", "fine flour"]
    given = tokenizer(texts, padding="max_length", max_length=52, return_tensors="pt")
    if folder.name == "siglip":
        given = tokenizer(texts, padding="max_length", max_length=64, return_tensors="pt")
    with torch.inference_mode():
        pixels = torch.cat([processor(images=i, return_tensors="pt")["pixel_values"]
                            for i in images])  # fmt: skip
        own = model(pixel_values=pixels, **given).logits_per_image.softmax(dim=1).numpy()
    encoder = built(folder)
    logits = encoder.scale * encoder.encode(images) @ encoder.encode_other("text", texts).T
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, own, atol=1e-5)


# --- one space ------------------------------------------------------------------------------------


def test_both_towers_say_that_they_share_a_space(folder: Path) -> None:
    images, texts = built(folder, "image"), built(folder, "text")
    assert all(isinstance(encoder, Bridging) for encoder in (images, texts))
    assert (images.others, texts.others) == (("text",), ("image",))
    assert images.recipe()["space"] == texts.recipe()["space"]
    assert fingerprint(images.recipe()) != fingerprint(texts.recipe())
    np.testing.assert_array_equal(texts.encode(TEXTS), images.encode_other("text", TEXTS))


def space_of(folder: Path, **more: Any) -> object:  # noqa: ANN401 - parameters
    params = Params(str(folder), more.pop("reads", "image"), **more)
    recipe = registry.quick_recipe("clip", params)
    assert recipe is not None
    return recipe["space"]


def test_a_space_is_weights_and_norms_and_neither_prompt_nor_pixels(
    clip: Path, tmp_path: Path
) -> None:
    same = space_of(clip)
    assert space_of(clip, reads="text", prompt="a {}", dtype="bfloat16") == same
    assert space_of(clip, normalize=False) != same
    other = tmp_path / "other"
    shutil.copytree(clip, other)
    assert space_of(other) == same, "a copy of the files is the same model"
    pixels = other / "preprocessor_config.json"
    pixels.write_text(pixels.read_text("utf-8").replace('"resample": 3', '"resample": 2'), "utf-8")
    assert space_of(other) == same, "other pixels are other vectors of the same space"
    before, after = built(clip), built(other)
    assert fingerprint(before.recipe()) != fingerprint(after.recipe())
    bridges.save_clip(tmp_path / "another", words=[*samples.WORDS, "barley"])
    assert space_of(tmp_path / "another") != same, "another model is another space"


def test_a_prompt_of_images_decides_no_vector_that_is_kept(clip: Path) -> None:
    plain, prompted = built(clip), built(clip, prompt="a {}")
    assert fingerprint(plain.recipe()) == fingerprint(prompted.recipe())
    np.testing.assert_array_equal(
        prompted.encode_other("text", ["mill"]), plain.encode_other("text", ["a mill"])
    )
    texts = built(clip, "text", prompt="a {}.")
    assert fingerprint(texts.recipe()) != fingerprint(built(clip, "text").recipe())
    np.testing.assert_array_equal(
        texts.encode(["{mill}"]), built(clip, "text").encode(["a {mill}."])
    )


def test_what_is_cut_off_a_text_is_counted_with_its_prompt(clip: Path) -> None:
    encoder = built(clip, "text", prompt="the {}")
    cut = encoder.truncated(["mill " * 74, "mill " * 80, "mill"])
    assert (cut.texts, cut.cut, cut.limit, cut.tokens) == (1, 6, 77, 77 + 83 + 4)
    whole, longer = encoder.encode(["mill " * 74, "mill " * 80])
    np.testing.assert_allclose(whole, longer, atol=1e-6)
    assert built(clip).truncated(samples.usual("image")) == abilities.Truncated()


def test_the_middle_of_a_very_long_image_is_what_the_crop_would_see(clip: Path) -> None:
    from PIL import Image

    strip = np.random.default_rng(0).integers(0, 255, (40, 4000, 3), np.uint8)
    centre = strip[:, 2000 - 160 : 2000 + 160]
    found = built(clip).encode([Image.fromarray(strip), Image.fromarray(centre)])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_all_of_a_very_long_image_is_seen_where_nothing_is_cropped(tmp_path: Path) -> None:
    from PIL import Image

    bridges.save_siglip(tmp_path / "siglip")
    strip = np.full((4, 400, 3), 128, np.uint8)
    ends = strip.copy()
    ends[:, :100] = (255, 0, 0)
    found = built(tmp_path / "siglip").encode([Image.fromarray(strip), Image.fromarray(ends)])
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize("reads", ["image", "text"])
def test_rows_of_a_short_type_do_not_hang_on_their_batch_at_all(clip: Path, reads: Any) -> None:  # noqa: ANN401 - a word
    encoder = built(clip, reads, dtype="bfloat16", batch_size=5)
    batch = samples.usual(reads)
    together = encoder.encode(batch)
    for row in (0, 13, 47):
        np.testing.assert_array_equal(encoder.encode([batch[row]])[0], together[row])
    full = built(clip, reads).encode(batch)
    assert np.einsum("ij,ij->i", together, full).min() > 0.99


def test_vectors_may_keep_their_norms(clip: Path) -> None:
    kept = built(clip, normalize=False).encode(samples.usual("image"))
    assert np.linalg.norm(kept, axis=1).std() > 1e-3
    np.testing.assert_allclose(unit(kept), built(clip).encode(samples.usual("image")), atol=1e-6)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"reads": "audio"}, "reads must be one of image, text, got 'audio'"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"dtype": "float64"}, "dtype must be one of auto, float32"),
        ({"prompt": "a photo"}, "prompt must hold {} once"),
        ({"prompt": "{} {}"}, "prompt must hold {} once"),
    ],
)
def test_parameters_out_of_range_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("{", r"\{").replace("}", r"\}")):
        Params(**{"model": "./nowhere", "reads": "image", **keys})


def test_another_modality_is_refused(clip: Path) -> None:
    with pytest.raises(EncoderUsageError, match="puts text beside image, got 'audio'"):
        built(clip).encode_other("audio", [])


def test_an_image_that_is_not_rgb_is_refused(clip: Path) -> None:
    from PIL import Image

    with pytest.raises(EncoderError, match="image 0 of the batch has mode 'L', expected 'RGB'"):
        built(clip).encode([Image.new("L", (4, 4))])


def test_another_type_of_model_is_refused(weights: Path) -> None:
    with pytest.raises(EncoderError, match=r"is of type 'bert'; expected one of align, .* siglip"):
        built(weights / "sentence-tiny-bert")


def test_a_checkpoint_that_lacks_weights_is_refused(clip: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    shutil.copytree(clip, tmp_path / "short")
    file = tmp_path / "short" / "model.safetensors"
    kept = {k: v for k, v in load_file(file).items() if k != "visual_projection.weight"}
    save_file(kept, file, {"format": "pt"})
    with pytest.raises(EncoderError, match=r"lack 1 of .*'visual_projection.weight'"):
        built(tmp_path / "short")


@pytest.mark.parametrize("missing", ["model.safetensors", "config.json", "pixels"])
def test_a_checkpoint_that_lacks_a_file_is_refused(
    clip: Path, tmp_path: Path, missing: str
) -> None:
    shutil.copytree(clip, tmp_path / "short")
    pixels = ["preprocessor_config.json", "processor_config.json"]
    for name in pixels if missing == "pixels" else [missing]:
        (tmp_path / "short" / name).unlink()
    with pytest.raises(EncoderError, match=r"no weights|no config.json|cannot load"):
        built(tmp_path / "short")


def test_pixels_of_no_fixed_shape_are_refused(clip: Path, tmp_path: Path) -> None:
    shutil.copytree(clip, tmp_path / "loose")
    (tmp_path / "loose" / "processor_config.json").unlink()
    file = tmp_path / "loose" / "preprocessor_config.json"
    keys = json.loads(file.read_text("utf-8")) | {"do_center_crop": False}
    file.write_text(json.dumps(keys), encoding="utf-8")
    with pytest.raises(EncoderError, match="expected one shape for all"):
        built(tmp_path / "loose")


def test_a_tokenizer_without_padding_of_its_own_is_refused(tmp_path: Path) -> None:
    bridges.save_siglip(tmp_path / "siglip")
    file = tmp_path / "siglip" / "tokenizer_config.json"
    keys = json.loads(file.read_text("utf-8"))
    keys.pop("pad_token")
    file.write_text(json.dumps(keys), encoding="utf-8")
    with pytest.raises(EncoderError, match="names no token for padding"):
        built(tmp_path / "siglip")


def test_a_tower_that_reads_its_padding_is_refused(tmp_path: Path) -> None:
    bridges.save_chinese_clip(tmp_path / "loose")
    file = tmp_path / "loose" / "tokenizer_config.json"
    keys = json.loads(file.read_text("utf-8")) | {"model_input_names": ["input_ids"]}
    file.write_text(json.dumps(keys), encoding="utf-8")
    with pytest.raises(EncoderError, match=r"text vectors of .* depend on padding"):
        built(tmp_path / "loose")
