"""Tiny checkpoints of transformers with weights drawn from a fixed seed, saved as real ones are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.encoders.samples import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WIDTH, LAYERS, POSITIONS = 32, 3, 64
_SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


def save_bert(folder: Path) -> None:
    """A BERT over a few words."""
    from transformers import BertConfig, BertModel, BertTokenizer

    words = [*SPECIAL, *WORDS]
    config = BertConfig(vocab_size=len(words), max_position_embeddings=POSITIONS, **_SIZES)
    _save(folder, lambda: BertModel(config))
    BertTokenizer(vocab=_numbered(words)).save_pretrained(folder)


def save_distilbert(folder: Path) -> None:
    """A DistilBERT over the same words: it knows no token types."""
    from transformers import BertTokenizer, DistilBertConfig, DistilBertModel

    words = [*SPECIAL, *WORDS]
    config = DistilBertConfig(
        vocab_size=len(words),
        max_position_embeddings=POSITIONS,
        dim=WIDTH,
        n_layers=LAYERS,
        n_heads=4,
        hidden_dim=64,
    )
    _save(folder, lambda: DistilBertModel(config))
    tokenizer = BertTokenizer(vocab=_numbered(words), model_max_length=POSITIONS)
    tokenizer.save_pretrained(folder)


def save_roberta(folder: Path) -> None:
    """A RoBERTa over bytes: its positions begin behind the number of its padding."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizer

    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    config = RobertaConfig(
        vocab_size=len(words), max_position_embeddings=POSITIONS + 2, type_vocab_size=1, **_SIZES
    )
    _save(folder, lambda: RobertaModel(config))
    RobertaTokenizer(vocab=_numbered(words), merges=[]).save_pretrained(folder)


def save_t5(folder: Path) -> None:
    """A T5 with its decoder, as it is published."""
    from transformers import T5Config, T5Model

    words = ["<pad>", "</s>", "<unk>", *WORDS]
    config = T5Config(
        vocab_size=len(words),
        d_model=WIDTH,
        d_kv=8,
        d_ff=64,
        num_layers=LAYERS,
        num_heads=4,
    )
    _save(folder, lambda: T5Model(config))
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    _save_plain_tokenizer(folder, words, special, ending="</s>")


def save_gpt2(folder: Path) -> None:
    """A decoder without a token for padding."""
    from transformers import GPT2Config, GPT2Model

    words = ["<|endoftext|>", *WORDS]
    config = GPT2Config(
        vocab_size=len(words),
        n_positions=POSITIONS,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    _save(folder, lambda: GPT2Model(config))
    end = "<|endoftext|>"
    _save_plain_tokenizer(folder, words, {"eos_token": end, "bos_token": end, "unk_token": end})


def save_fnet(folder: Path) -> None:
    """An FNet, whose Fourier transform runs over padding as well."""
    from transformers import BertTokenizer, FNetConfig, FNetModel

    words = [*SPECIAL, *WORDS]
    config = FNetConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
    )
    _save(folder, lambda: FNetModel(config))
    BertTokenizer(vocab=_numbered(words)).save_pretrained(folder)


def save_clip(folder: Path) -> None:
    """A CLIP, which wants a picture with each text."""
    from transformers import BertTokenizer, CLIPConfig, CLIPModel

    words = [*SPECIAL, *WORDS]
    sizes = {**_SIZES, "num_hidden_layers": 1}
    vision = {**sizes, "image_size": 8, "patch_size": 4}
    config = CLIPConfig(text_config={**sizes, "vocab_size": len(words)}, vision_config=vision)
    _save(folder, lambda: CLIPModel(config))
    BertTokenizer(vocab=_numbered(words)).save_pretrained(folder)


def _save(folder: Path, make: Callable[[], Any]) -> None:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(7)
        make().save_pretrained(folder)


def _save_plain_tokenizer(
    folder: Path, words: list[str], special: dict[str, str], *, ending: str | None = None
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(_numbered(words), unk_token=special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if ending is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {ending}", special_tokens=[(ending, words.index(ending))]
        )
    inputs = ["input_ids", "attention_mask"]
    made = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call] # the library's omission
        tokenizer_object=tokenizer, model_input_names=inputs, **special
    )
    made.save_pretrained(folder)


def _numbered(words: list[str]) -> dict[str, int]:
    return {word: number for number, word in enumerate(words)}
