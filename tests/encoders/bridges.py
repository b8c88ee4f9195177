"""Tiny models of two towers, saved as the published ones are: config, tokenizer, preprocessor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.encoders.samples import WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SEED = 7
SIDE = 32
"""Pixels a side that the tiny models see."""


def save_clip(folder: Path, words: Sequence[str] = WORDS, **text: Any) -> None:  # noqa: ANN401 - keys of CLIPTextConfig
    """A CLIP with two layers a tower, and its byte-level tokenizer."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    tokenizer = clip_tokenizer(folder, words)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    layers = {"num_hidden_layers": 2}
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
               "pad_token_id": tokenizer.pad_token_id}  # fmt: skip
    config = CLIPConfig(
        text_config={"vocab_size": len(tokenizer), **special, **size, **layers, **text},
        vision_config={"image_size": SIDE, "patch_size": 8, **size, **layers},
        projection_dim=24,
    )
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        CLIPModel(config).save_pretrained(folder)
    pixels = CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    CLIPProcessor(  # type: ignore[no-untyped-call] # the library's omission
        image_processor=pixels, tokenizer=tokenizer
    ).save_pretrained(folder)
    pixels.save_pretrained(folder)  # where older releases, and most published models, have it


def clip_tokenizer(folder: Path, words: Sequence[str]) -> Any:  # noqa: ANN401 - the library ships no types
    """Byte-level BPE whose merges make one token of each word, by vocab.json and merges.txt."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges: list[tuple[str, str]] = []
    for word in words:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            pair = (parts[0], parts[1])
            if pair not in merges:
                merges.append(pair)
                vocabulary.append("".join(pair))
            parts[:2] = ["".join(pair)]
    vocabulary = [*dict.fromkeys(vocabulary), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {token: number for number, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


def save_siglip(folder: Path) -> None:
    """A SigLIP, whose texts are padded to 64 tokens that no mask hides."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    tokenizer = word_tokenizer(["input_ids"])
    size = {"hidden_size": 24, "intermediate_size": 32, "num_attention_heads": 2,
            "num_hidden_layers": 1}  # fmt: skip
    config = SiglipConfig(
        text_config={"vocab_size": len(tokenizer), "max_position_embeddings": 64,
                     "projection_size": 24, **size},
        vision_config={"image_size": SIDE, "patch_size": 8, **size},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        SiglipModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    SiglipImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)


def save_align(folder: Path) -> None:
    """An ALIGN: BERT beside EfficientNet, with a temperature in place of its inverse."""
    import torch
    from transformers import AlignConfig, AlignModel, EfficientNetImageProcessor

    tokenizer = word_tokenizer(["input_ids", "attention_mask"])
    text = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48,
            "num_attention_heads": 2, "num_hidden_layers": 1}  # fmt: skip
    vision = {"image_size": SIDE, "in_channels": [32, 16], "out_channels": [16, 24],
              "kernel_sizes": [3, 3], "strides": [1, 2], "num_block_repeats": [1, 1],
              "expand_ratios": [1, 2], "depthwise_padding": [], "hidden_dim": 24,
              "width_coefficient": 1.0, "depth_coefficient": 1.0}  # fmt: skip
    config = AlignConfig(text_config=text, vision_config=vision, projection_dim=24)
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        AlignModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    square = {"height": SIDE, "width": SIDE}
    EfficientNetImageProcessor(size=square, crop_size=square).save_pretrained(folder)


def save_chinese_clip(folder: Path) -> None:
    """A Chinese CLIP, whose text tower is a BERT without a pooler."""
    import torch
    from transformers import ChineseCLIPConfig, ChineseCLIPImageProcessor, ChineseCLIPModel

    tokenizer = word_tokenizer(["input_ids", "attention_mask"])
    size = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2,
            "num_hidden_layers": 1}  # fmt: skip
    config = ChineseCLIPConfig(
        text_config={"vocab_size": len(tokenizer), **size},
        vision_config={"image_size": SIDE, "patch_size": 8, **size},
        projection_dim=24,
    )
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        ChineseCLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    square = {"height": SIDE, "width": SIDE}
    ChineseCLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=square).save_pretrained(
        folder
    )


def save_clap(folder: Path, *, fusion: bool = False, words: Sequence[str] = WORDS) -> None:
    """A CLAP that hears a second at 16 kHz; with ``fusion``, as laion/clap-htsat-fused is made."""
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    tokenizer = word_tokenizer(["input_ids", "attention_mask"], words)
    size = {"hidden_size": 32, "num_attention_heads": 4}
    config = ClapConfig(
        text_config={"vocab_size": len(tokenizer), "intermediate_size": 64,
                     "num_hidden_layers": 2, "max_position_embeddings": 120, "pad_token_id": 1,
                     "projection_dim": 24, **size},
        audio_config={"num_mel_bins": 32, "spec_size": 64, "window_size": 4, "patch_size": 4,
                      "patch_stride": [4, 4], "patch_embeds_hidden_size": 16,
                      "depths": [1, 1], "num_attention_heads": [2, 4], "hidden_size": 32,
                      "enable_fusion": fusion, "fusion_type": None, "projection_dim": 24,
                      "aff_block_r": 2},
        projection_dim=24,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        ClapModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ClapFeatureExtractor(
        feature_size=32,
        sampling_rate=16_000,
        hop_length=160,
        max_length_s=1,
        fft_window_size=512,
        frequency_max=8000,
        truncation="fusion" if fusion else "rand_trunc",
    ).save_pretrained(folder)


def word_tokenizer(inputs: Sequence[str], words: Sequence[str] = WORDS) -> Any:  # noqa: ANN401 - as above
    """A token a word, and one before and one after all of a text's."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = ["<s>", "<pad>", "</s>", "<unk>", *words]
    special = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), known, strict=False))
    numbers = {word: number for number, word in enumerate(known)}
    made = Tokenizer(models.WordLevel(numbers, special["unk_token"]))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call] # as above
        tokenizer_object=made, model_input_names=list(inputs), model_max_length=512, **special
    )
