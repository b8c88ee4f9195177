"""Text by any sentence-transformers model, from a local folder or the Hugging Face hub.

Reimers & Gurevych 2019, "Sentence-BERT". The default is all-MiniLM-L6-v2, whose files a package
from the registry carries, so that it works where no hub can be reached.

Weights are read from safetensors. A model that has only ``pytorch_model.bin`` is read too, since
transformers and sentence-transformers both load that with ``weights_only=True``: tensors, never
code. A model that brings code of its own is refused, unless ``trust_remote_code`` lets it run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from encoders import _hub, _openvino, _streams
from encoders._chunks import Chunk  # noqa: TC001 - the configuration reads the types of Params
from encoders._features import vectors
from encoders._precision import Dtype  # noqa: TC001 - as above
from encoders._sentence_model import is_routed, is_static, load, set_max_tokens
from encoders._sentence_reader import Reader
from encoders._sentence_setup import Setup, check_chunk
from encoders.abilities import Truncated
from encoders.base import EncoderUsageError, Json, Metric, Modality

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders._chunks import Cutter
    from encoders.base import Splitter

Backend: TypeAlias = Literal["torch", "openvino"]

MODALITY: Modality = "text"
PATHS = ("model",)
REVISION = 1
"""To be raised with any change of the code that changes vectors."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "sentence"``.

    Attributes:
        model: a folder that sentence-transformers or model2vec saved, or a name on the hub. From
            Python, a relative path begins with ``./`` or ``../``.
        revision: a commit, tag or branch on the hub; a commit makes a first download repeatable.
        trust_remote_code: run the Python code that the model brings, with all that you may do.
            From the hub it needs a ``revision`` that is a full commit; the code's digest is part
            of the fingerprint.
        normalize: give vectors of L2 norm 1. Off, they are as the model's own modules leave them,
            which for all-MiniLM-L6-v2 is norm 1 as well.
        prompt: put before every text, as in ``"passage: "``; by default what the model's own
            configuration names for documents, which is mostly nothing.
        query_prompt: put before what is searched for, as in ``"query: "``; by default what the
            model's own configuration names for queries, else as before every text. It decides no
            vector that is kept, so it is no part of the fingerprint.
        truncate_dim: keep the first so many dimensions (Matryoshka models lose little by it), and
            bring what is left to norm 1 again.
        max_tokens: cut texts after so many tokens, special ones counted; by default what the
            model says, 256 for all-MiniLM-L6-v2. See `SentenceEncoder.truncated`.
        chunk: cut longer texts into windows instead, each a row of its own, or with ``pool`` one
            vector of them all.
        dtype: the precision to compute in; ``auto`` is bfloat16 on CUDA and on processors that
            compute in it, else float32, so that the fingerprint may differ between machines. The
            vectors are float32 in any case, and those of one text the same whatever its batch.
        backend: what computes the transformer: ``torch``, or ``openvino`` on a processor, which has
            to be installed (``vecmill[openvino]``) and is part of the fingerprint.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: texts that run through the model at a time, at most.
        batch_tokens: tokens that do, padding counted; by default 1024 on a CPU, whose caches hold
            no more, and on CUDA what half of its free memory holds. Neither of the two decides a
            vector, and neither holds where texts run in fixed shapes: in short types, and by
            OpenVINO.
    """

    model: str = _hub.MINILM
    revision: str | None = None
    trust_remote_code: bool = False
    normalize: bool = True
    prompt: str | None = None
    query_prompt: str | None = None
    truncate_dim: int | None = None
    max_tokens: int | None = None
    chunk: Chunk | None = None
    dtype: Dtype = "float32"
    backend: Backend = "torch"
    device: str = "auto"
    batch_size: int = 64
    batch_tokens: int | None = None


class SentenceEncoder:
    """A sentence-transformers model with its weights loaded and digested."""

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"

    def __init__(self, params: Params) -> None:
        if params.batch_size < 1:
            raise EncoderUsageError(f"batch_size must be at least 1, got {params.batch_size}")
        if params.batch_tokens is not None and params.batch_tokens < 1:
            raise EncoderUsageError(f"batch_tokens must be at least 1, got {params.batch_tokens}")
        setup = Setup.of(params)
        setup.check_backend()
        self._recipe = setup.recipe(REVISION)
        self._params = params
        self._prompts = setup.prompts
        self._reader = _reader(setup)
        self.batch_size = params.batch_size
        check_chunk(params, self._reader.limit)
        self._pooled: Cutter | None = None
        if params.chunk is not None and params.chunk.pool is not None:
            self._pooled = setup.cutter(params.chunk)
        self._dim = _kept_dim(params.truncate_dim, len(self._embed(["width"], query=True)[0]))

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self._dim

    def recipe(self) -> dict[str, Json]:
        """All that decides the vectors; the files by name and content, never by their place."""
        return dict(self._recipe)

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, L2 norm 1 unless ``normalize`` is off."""
        if len(batch) == 0:
            return np.empty((0, self.dim), dtype=np.float32)
        if self._pooled is None:
            return self._finished(self._embed(batch))
        return self._of_windows(batch, self._pooled)

    def encode_query(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode what is searched for, as `encode` does what is found; never cut into chunks."""
        if len(batch) == 0:
            return np.empty((0, self.dim), dtype=np.float32)
        return self._finished(self._embed(batch, query=True))

    def truncated(self, batch: Sequence[str]) -> Truncated:
        """How much of these texts the model does not read, prompt and all."""
        limit = self._reader.limit
        if limit is None or len(batch) == 0 or self._pooled is not None:
            return Truncated()
        return Truncated.of(self._reader.lengths(batch, self._prompts.document), limit)

    def together(self, batch: Sequence[str]) -> list[list[int]]:
        """The texts that run through the model together, by their places in the batch."""
        if self._pooled is not None:
            return [[*range(len(batch))]]
        return self._reader.together(batch, self._prompts.document)

    def _of_windows(self, batch: Sequence[str], cutter: Cutter) -> NDArray[np.float32]:
        """One vector a text, of the vectors of its windows."""
        cut = cutter.weighed(batch)
        found = self._finished(
            self._embed(
                [
                    text[start:end]
                    for text, (spans, _) in zip(batch, cut, strict=True)
                    for start, end in spans
                ]
            )
        )
        firsts = np.cumsum([0, *(len(spans) for spans, _ in cut[:-1])])
        return self._finished(_pool(found, firsts, [n for _, ns in cut for n in ns], self._params))

    def _finished(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        kept = vectors[:, : self.dim]
        if not self._params.normalize:
            return np.ascontiguousarray(kept)
        norms = np.linalg.norm(kept, axis=1, keepdims=True)
        # A model of word vectors gives zeros for a text none of whose words it knows.
        unit: NDArray[np.float32] = kept / np.maximum(norms, np.finfo(np.float32).tiny)
        return unit

    def _embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        prompt = self._prompts.query if query else self._prompts.document
        return self._reader.embed(texts, prompt, query=query)


def build(params: Params) -> SentenceEncoder:
    """Load a model; the weights of a large one take seconds to read and to digest."""
    return SentenceEncoder(params)


def recipe(params: Params) -> dict[str, Json]:
    """The recipe of the encoder that `build` gives, without loading the model.

    Raises:
        EncoderError: if the model is nowhere to be had.
    """
    setup = Setup.of(params)
    setup.check_backend()
    return setup.recipe(REVISION)


def splitter(params: Params) -> Splitter | None:
    """The chunks that are to be rows of their own, by the model's tokenizer alone.

    Returns:
        None where texts are encoded whole, or their chunks are pooled.

    Raises:
        EncoderError: if the model is nowhere to be had, or its tokenizer cannot cut.
    """
    if params.chunk is None or params.chunk.pool is not None:
        return None
    check_chunk(params, params.max_tokens)
    return Setup.of(params).cutter(params.chunk)


def _pool(
    vectors: NDArray[np.float32], firsts: NDArray[np.intp], tokens: Sequence[int], params: Params
) -> NDArray[np.float32]:
    """The rows from each of `firsts` to the next as one."""
    if params.chunk is not None and params.chunk.pool == "max":
        most: NDArray[np.float32] = np.maximum.reduceat(vectors, firsts)
        return most
    weights = np.maximum(np.array(tokens, np.float32), 1)[:, None]
    mean: NDArray[np.float32] = np.add.reduceat(vectors * weights, firsts)
    mean /= np.add.reduceat(weights, firsts)
    return mean


def _reader(setup: Setup) -> Reader:
    """The model, loaded."""
    params = setup.params
    whole = "float32" if params.backend == "openvino" else setup.dtype
    model = load(setup.folder, params.model, whole, params.device, params.trust_remote_code)
    if params.backend == "openvino":
        _openvino.replace(model, setup.dtype, params.model)
    streams = _may_stream(model, setup.folder, params)
    set_max_tokens(model, params.max_tokens, params.model)
    return Reader(
        model,
        params.batch_size,
        params.batch_tokens,
        fixed=setup.fixes_shapes,
        streams=streams,
    )


def _may_stream(model: Any, folder: Path, params: Params) -> bool:  # noqa: ANN401 - the library ships no types
    """Whether several threads may call a model at once on a processor."""
    if params.backend != "torch" or params.trust_remote_code or model.device.type != "cpu":
        return False
    if is_static(folder) or is_routed(folder):
        return False
    return _streams.at_once(
        model,
        lambda words: vectors(model, model.preprocess(["stone " * words])),
        model.max_seq_length or np.inf,
    )


def _kept_dim(wanted: int | None, dim: int) -> int:
    if wanted is None:
        return dim
    if not 1 <= wanted <= dim:
        raise EncoderUsageError(
            f"truncate_dim must be from 1 to the model's own {dim} dimensions, got {wanted}"
        )
    return wanted
