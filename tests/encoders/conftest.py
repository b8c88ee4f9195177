"""Small, real encoders: saved once a session in the formats that large ones come in."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from encoders import base
from tests.encoders.samples import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

CONF = Path(__file__).parents[2] / "conf" / "test.toml"


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder ``VECMILL_TEST_WEIGHTS``, filled with what conf/test.toml names in it."""
    folder = tmp_path_factory.mktemp("weights")
    save_sentence_model(folder / "sentence-tiny")
    save_squeezenet(folder / "squeezenet1_1.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VECMILL_TEST_WEIGHTS", str(folder))
        yield folder


def entries() -> dict[str, dict[str, Any]]:
    """The ``[encoders.*]`` of conf/test.toml, ``${NAME}`` left as it stands."""
    with CONF.open("rb") as stream:
        found: dict[str, dict[str, Any]] = tomllib.load(stream)["encoders"]
    return found


def params(name: str, **changes: object) -> tuple[str, Any]:
    """Kind and parameters of one entry, variables taken from the environment."""
    entry = {key: expand(value) for key, value in entries()[name].items()}
    kind = entry.pop("kind")
    return kind, base.params_type(kind)(**{**entry, **changes})


def expand(value: Any) -> Any:  # noqa: ANN401 - any value that TOML has
    """Replace ``${NAME}`` in strings by the environment's; arrays become tuples."""
    if isinstance(value, list):
        return tuple(expand(item) for item in value)
    if not isinstance(value, str):
        return value
    return re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], value)


def save_sentence_model(folder: Path, *, dim: int = 32) -> None:
    """A two-layer BERT over a few words, with weights drawn from a fixed seed."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizer

    bert = folder.with_name(f"{folder.name}-bert")
    bert.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    vocabulary = bert / "vocab.txt"
    vocabulary.write_text("\n".join(words))
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=dim,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * dim,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        BertModel(config).save_pretrained(bert)
    BertTokenizer(vocab=str(vocabulary)).save_pretrained(bert)
    model = SentenceTransformer(modules=[Transformer(str(bert)), Pooling(dim, "mean")])
    model.save(str(folder), create_model_card=False)


def save_squeezenet(file: Path) -> None:
    """SqueezeNet 1.1 with weights drawn from a fixed seed, as float16."""
    import torch
    from safetensors.torch import save_file
    from torchvision.models import squeezenet1_1

    with torch.random.fork_rng():
        torch.manual_seed(7)
        save_file(squeezenet1_1().half().state_dict(), file)
