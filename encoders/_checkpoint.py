"""A checkpoint of transformers: tokenizer and weights of one folder, checked and run on texts."""

from __future__ import annotations

import inspect
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from encoders import _streams
from encoders._device import moved
from encoders._loading import loading_checkpoint
from encoders.base import EncoderError, EncoderUsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

_UNBOUNDED = 512
"""Tokens read by default of models that have no limit of their own, to bound memory."""
_NO_LIMIT = 1_000_000
"""Tokenizers that know none say some huge number."""
_SWITCHING = {"big_bird", "bigbird_pegasus", "reformer"}


@dataclass(frozen=True)
class Pooled:
    """What a batch of texts of tokens gave, on the device that computed it.

    Attributes:
        layers: ``(n, tokens, width)`` each, the embeddings first; the last one alone if no other
            was asked for.
        mask: ``(n, tokens)`` bool, False where a text was padded.
    """

    layers: Sequence[torch.Tensor]
    mask: torch.Tensor


class Checkpoint:
    """A tokenizer and a transformer whose every weight was in its files.

    Attributes:
        turns: how many threads may call `run` at once.
    """

    def __init__(self, folder: Path, name: str, device: str, dtype: str) -> None:
        self.name = name
        self._tokenizer, self._model = _load(folder, name, dtype)
        self._model.to(device)
        self._device = device
        self._inputs = _inputs(self._tokenizer, self._model, name)
        # The tokenizer keeps its truncation as a state of its own.
        self._lock = threading.Lock()
        self.least = int(self._tokenizer.num_special_tokens_to_add()) + 1
        self.most = _positions(self._model)
        known = (self.most, _said(folder), int(self._tokenizer.model_max_length))
        self.limit = min((n for n in known if n and n < _NO_LIMIT), default=_UNBOUNDED)
        self.turns = _streams.Turns(self._model, device, self._try, self.limit)

    def starts_with_cls(self) -> bool:
        """Whether the tokenizer puts a token for the whole text first."""
        first = self.tokens(["a"], self.limit)[0][0]
        return bool(first == self._tokenizer.cls_token_id)

    def tokens(self, texts: Sequence[str], limit: int | None) -> list[list[int]]:
        """The tokens of each text, at least one; cut after so many, special ones counted."""
        with self._lock:
            found: list[list[int]] = self._tokenizer(
                list(texts),
                truncation=limit is not None,
                max_length=limit,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )["input_ids"]
        return [ids or [self._nothing()] for ids in found]

    def run(self, tokens: Sequence[Sequence[int]], *, every_layer: bool) -> Pooled:
        """Run texts of tokens through the transformer, padded on the right to the longest.

        Raises:
            EncoderError: if the model wants more than the tokens of a text.
        """
        import torch

        longest = max(map(len, tokens))
        # The model's own number for padding: RoBERTa counts positions by it.
        pad = getattr(self._model.config, "pad_token_id", None) or 0
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in tokens])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in tokens])
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
        given = moved({key: given[key] for key in given if key in self._inputs}, self._device)
        with self.turns.turn, torch.inference_mode():
            try:
                out = self._model(**given, output_hidden_states=every_layer, return_dict=True)
                last = out.last_hidden_state
                layers = [*out.hidden_states[:-1], last] if every_layer else [last]
            except (TypeError, ValueError, AttributeError) as error:
                raise EncoderError(
                    f"{self.name!r}, of type {self._model.config.model_type!r}, cannot be run on "
                    f"the tokens of a text alone ({error}); expected a text encoder such as BERT, "
                    "RoBERTa, DistilBERT, MPNet, DeBERTa, the encoder of T5, or a decoder"
                ) from error
        return Pooled(layers, mask.to(self._device).bool())

    def _try(self, tokens: int) -> None:
        self.run([[self._nothing()] * min(tokens, self.limit)], every_layer=False)

    def _nothing(self) -> int:
        """What stands for a text without tokens, which decoders make of an empty one."""
        t = self._tokenizer
        known = (t.bos_token_id, t.eos_token_id, t.pad_token_id)
        return next((int(n) for n in known if n is not None), 0)


def _load(folder: Path, name: str, dtype: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig, AutoTokenizer

    local = {"local_files_only": True, "trust_remote_code": False}
    with loading_checkpoint(folder, name, "a model and its tokenizer"):
        config = AutoConfig.from_pretrained(folder, **local)
        loader = _loader(config, name)
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        model = loader.from_pretrained(folder, config=config, dtype=getattr(torch, dtype), **local)
    _check_vocabulary(tokenizer, model, name)
    return tokenizer, model.eval()


def _loader(config: Any, name: str) -> Any:  # noqa: ANN401 - one of the library's Auto classes
    from transformers import AutoModel, AutoModelForTextEncoding
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING

    if config.model_type in _SWITCHING:
        raise EncoderError(
            f"{name!r} is of type {config.model_type!r}, which attends otherwise by the length of "
            "its batch, so that a vector would depend on its neighbours; choose another model, "
            "such as a Longformer for long texts"
        )
    if not config.is_encoder_decoder:
        return AutoModel
    if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING:
        return AutoModelForTextEncoding
    raise EncoderError(
        f"{name!r} is an encoder-decoder of type {config.model_type!r}, whose encoder transformers "
        "cannot load by itself; of encoder-decoders T5, mT5 and UMT5 can be read, or choose an "
        "encoder such as BERT"
    )


def _check_vocabulary(tokenizer: Any, model: Any, name: str) -> None:  # noqa: ANN401 - of many classes
    if not set(tokenizer.get_vocab()).difference(tokenizer.all_special_tokens):
        raise EncoderError(
            f"{name!r} has no vocabulary: expected tokenizer.json, vocab.txt or a *.model file "
            "beside its weights; save the tokenizer there too (tokenizer.save_pretrained(folder))"
        )
    try:
        vectors = model.get_input_embeddings().num_embeddings
    except (AttributeError, NotImplementedError):
        return  # it has no table of tokens, such as a model of characters
    if len(tokenizer) > vectors:
        raise EncoderError(
            f"the tokenizer of {name!r} knows {len(tokenizer)} tokens, and its model has vectors "
            f"for {vectors}: they are not of one kind; copy both from the same place"
        )


def _inputs(tokenizer: Any, model: Any, name: str) -> set[str]:  # noqa: ANN401 - of many classes
    """What the model is given; GPT-2 would take token types, and mean something else by them."""
    made = tokenizer("a")
    if any(made.get("token_type_ids", ())):
        raise EncoderError(
            f"{name!r}, of type {model.config.model_type!r}, tells types of tokens apart within "
            "one text, which is not handled here; choose another model, such as a BERT or RoBERTa"
        )
    return set(made).intersection(inspect.signature(model.forward).parameters)


def _positions(model: Any) -> int | None:  # noqa: ANN401 - of many classes
    """How many tokens the model has positions for; None where it computes them."""
    import torch

    positions = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return None
    # RoBERTa and its heirs count positions from padding_idx + 1.
    for module in model.modules():
        padding = getattr(module, "padding_idx", None)
        table = getattr(module, "position_embeddings", None)
        if isinstance(padding, int) and isinstance(table, torch.nn.Embedding):
            return positions - padding - 1
    return positions


def _said(folder: Path) -> int | None:
    """The limit that a sentence model sets its transformer, where it does."""
    try:
        found = json.loads((folder / "sentence_bert_config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    limit = found.get("max_seq_length") if isinstance(found, dict) else None
    return limit if isinstance(limit, int) and limit > 0 else None


def check_limit(checkpoint: Checkpoint, wanted: int | None) -> int:
    """How many tokens of a text are read.

    Raises:
        EncoderUsageError: if the model cannot read so many, or so few.
    """
    if wanted is None:
        return checkpoint.limit
    if wanted < checkpoint.least or (checkpoint.most is not None and wanted > checkpoint.most):
        raise EncoderUsageError(
            f"max_tokens must be from {checkpoint.least} to {checkpoint.most or 'any number'} for "
            f"{checkpoint.name!r}, got {wanted}"
        )
    return wanted
