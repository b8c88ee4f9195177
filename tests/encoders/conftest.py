"""Small, real encoders: saved once a session in the formats that large ones come in."""

from __future__ import annotations

import os
import re
import tomllib
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders import registry
from tests.encoders.samples import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.encoders.endpoints import Endpoint

CONF = Path(__file__).parents[2] / "conf" / "test.toml"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder ``VECMILL_TEST_WEIGHTS``, filled with what conf/test.toml names in it.

    An endpoint for encoders that ask one is at ``VECMILL_TEST_ENDPOINT``.
    """
    from tests.encoders import bridges, elmo_files, speech_files, vggish_files
    from tests.encoders.endpoints import endpoint

    folder = tmp_path_factory.mktemp("weights")
    save_sentence_model(folder / "sentence-tiny")
    save_squeezenet(folder / "squeezenet1_1.safetensors")
    save_word_vectors(folder / "words.bin")
    vggish_files.save(folder)
    for family in ("wav2vec2-group", "wav2vec2-layer"):
        speech_files.save(folder / family, family)
    elmo_files.save(folder / "elmo-tiny")
    bridges.save_clip(folder / "clip-tiny")
    bridges.save_clap(folder / "clap-tiny")
    with pytest.MonkeyPatch.context() as patch, endpoint() as server:
        patch.setenv("VECMILL_TEST_WEIGHTS", str(folder))
        patch.setenv("VECMILL_TEST_ENDPOINT", server.url)
        yield folder


@pytest.fixture
def server() -> Iterator[Endpoint]:
    """An endpoint on this machine that answers as it is told."""
    from tests.encoders.endpoints import endpoint

    with endpoint() as found:
        yield found


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for an address by urllib, as torch does for weights, is refused at once."""
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")  # where nobody listens
    # It is made at the first request, and keeps the proxies that there were: so a new one here.
    monkeypatch.setattr(urllib.request, "_opener", None)


def entries() -> dict[str, dict[str, Any]]:
    """The ``[encoders.*]`` of conf/test.toml, ``${NAME}`` left as it stands."""
    with CONF.open("rb") as stream:
        found: dict[str, dict[str, Any]] = tomllib.load(stream)["encoders"]
    return found


@pytest.fixture
def torch() -> Iterator[Any]:
    """Torch with three threads, whatever the machine has; as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield torch
    torch.set_num_threads(before)


def params(name: str, **changes: object) -> tuple[str, Any]:
    """Kind and parameters of one entry, variables taken from the environment."""
    from pydantic import TypeAdapter

    from tests.encoders import saved_models

    entry = {key: expand(value) for key, value in entries()[name].items()}
    kind = entry.pop("kind")
    if kind == "use":  # which takes too long to be made for every session
        saved_models.made()
    # As a configuration is read, so that tables within a table become what they stand for.
    return kind, TypeAdapter(registry.params_type(kind)).validate_python({**entry, **changes})


def lacking(name: str) -> list[str]:
    """Variables that an entry names, no fixture sets, and this machine has not."""
    named = _VARIABLE.findall(str(entries()[name]))
    return [v for v in named if not v.startswith("VECMILL_TEST_") and v not in os.environ]


def expand(value: Any) -> Any:  # noqa: ANN401 - any value that TOML has
    """Replace ``${NAME}`` in strings by the environment's; arrays become tuples."""
    if isinstance(value, list):
        return tuple(expand(item) for item in value)
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(lambda match: os.environ[match[1]], value)


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


def save_word_vectors(file: Path, *, dim: int = 12) -> None:
    """Vectors of a few words in the binary format of word2vec, drawn from a fixed seed."""
    drawn = np.random.default_rng(7).standard_normal((len(WORDS), dim)).astype("<f4")
    lines = [word.encode() + b" " + row.tobytes() + b"\n"
             for word, row in zip(WORDS, drawn, strict=True)]  # fmt: skip
    file.write_bytes(b"%d %d\n" % drawn.shape + b"".join(lines))
