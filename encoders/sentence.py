"""Text by any sentence-transformers model, from a local folder or the Hugging Face hub.

Reimers & Gurevych 2019, "Sentence-BERT". The default is all-MiniLM-L6-v2, whose files a package
from the registry carries, so that it works where no hub can be reached.

Weights are read from safetensors. A model that has only ``pytorch_model.bin`` is read too, since
transformers and sentence-transformers both load that with ``weights_only=True``: tensors, never
code. A model that brings code of its own is refused, unless ``trust_remote_code`` lets it run.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from encoders import _cached, _chunks, _hub, _openvino, _shapes, _streams
from encoders._chunks import Chunk, Cutter
from encoders._code import check_code
from encoders._features import Features, vectors
from encoders._libraries import majors
from encoders._precision import Dtype, resolved
from encoders._prompts import Prompts, prompts_of
from encoders._sentence_model import is_routed, is_static, load, set_max_tokens
from encoders._tokenizer import tokenizer_of
from encoders.abilities import Truncated
from encoders.base import EncoderUsageError, Json, Metric, Modality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders.base import Splitter

Backend: TypeAlias = Literal["torch", "openvino"]

MODALITY: Modality = "text"
PATHS = ("model",)
REVISION = 1
"""To be raised with any change of this file that changes vectors."""


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
        folder = _located(params)
        dtype = _dtype(folder, params)
        _check_backend(folder, params, dtype)
        self._recipe = _recipe(folder, params)
        self._params = params
        self._prompts = _prompts(folder, params)
        # The tokenizer keeps its padding and truncation as its own state: a call at a time.
        self._lock = threading.Lock()
        self._read: tuple[list[str], list[list[int]]] = ([], [])
        self._features: dict[str, Features | None] = {}
        self._fixed = _fixes_shapes(folder, params.backend, dtype)
        whole = "float32" if params.backend == "openvino" else dtype
        self._model = load(folder, params.model, whole, params.device, params.trust_remote_code)
        if params.backend == "openvino":
            _openvino.replace(self._model, dtype, params.model)
        self._streams = _may_stream(self._model, folder, params)
        self.batch_size = params.batch_size
        self._budget = params.batch_tokens or self._room()
        set_max_tokens(self._model, params.max_tokens, params.model)
        _check_chunk(params, self._limit())
        self._pooled: Cutter | None = None
        if params.chunk is not None and params.chunk.pool is not None:
            self._pooled = _cutter(folder, params.chunk, params)
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
        limit = self._limit()
        if limit is None or len(batch) == 0 or self._pooled is not None:
            return Truncated()
        with self._lock:
            tokens = self._tokens([self._prompts.document + text for text in batch])
            return Truncated.of([*map(len, tokens)], limit)

    def together(self, batch: Sequence[str]) -> list[list[int]]:
        """The texts that run through the model together, by their places in the batch."""
        limit = self._limit()
        if limit is None or self._fixed or self._pooled is not None:
            return [[*range(len(batch))]]
        with self._lock:
            tokens = self._tokens([self._prompts.document + text for text in batch])
        read = [min(len(own), limit) for own in tokens]
        return [*_cached.parts(read, self.batch_size, self._budget)]

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
        limit = self._limit()
        encode = self._model.encode_query if query else self._model.encode_document
        with self._lock:
            # One that knows no limit looks tokens up, and pads nothing.
            if limit is None or (self._budget is None and not self._fixed):
                return self._encoded(encode, texts, prompt, self.batch_size)
            tokens = self._tokens([prompt + text for text in texts])
            if self._fixed:
                made = self._made(prompt)
                streams = self._streams
                return _shapes.embed(self._model, texts, prompt, tokens, made, streams=streams)
            read = [min(len(own), limit) for own in tokens]
            parts = [*_cached.parts(read, self.batch_size, self._budget)]
            made = self._made(prompt) if self._streams else None

            def found(part: list[int]) -> NDArray[np.float32]:
                if made is None:
                    return self._encoded(encode, [texts[at] for at in part], prompt, len(part))
                longest = max(read[at] for at in part)
                return vectors(self._model, made.made([tokens[at] for at in part], longest))

            device = None if made is None else self._model.device.type
            rows = np.concatenate(_streams.mapped(found, parts, device))
        ordered = np.empty_like(rows)
        ordered[[at for part in parts for at in part]] = rows
        return ordered

    def _encoded(
        self, encode: Callable[..., Any], texts: Sequence[str], prompt: str, rows: int
    ) -> NDArray[np.float32]:
        """What the library makes of texts, so many at a time."""
        found = encode(
            list(texts),
            prompt=prompt,
            batch_size=rows,
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors

    def _room(self) -> int | None:
        width = self._model.get_embedding_dimension() or _cached.WIDE
        return _cached.budget(str(self._model.device), int(width))

    def _made(self, prompt: str) -> Features | None:
        if prompt not in self._features:
            self._features[prompt] = Features.of(self._model, prompt)
        return self._features[prompt]

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        """The tokens of each text, special ones too, none cut off; only while holding the lock.

        A run asks what was cut of the texts that it has just encoded: they are read once.
        """
        known, tokens = self._read
        if known != texts:
            found = self._model.tokenizer(
                texts, truncation=False, padding=False, return_attention_mask=False, verbose=False
            )
            tokens = found["input_ids"]
            self._read = (texts, tokens)
        return tokens

    def _limit(self) -> int | None:
        limit = self._model.max_seq_length
        return None if limit is None or not np.isfinite(limit) else int(limit)


def build(params: Params) -> SentenceEncoder:
    """Load a model; the weights of a large one take seconds to read and to digest."""
    return SentenceEncoder(params)


def recipe(params: Params) -> dict[str, Json]:
    """The recipe of the encoder that `build` gives, without loading the model.

    Raises:
        EncoderError: if the model is nowhere to be had.
    """
    folder = _located(params)
    _check_backend(folder, params, _dtype(folder, params))
    return _recipe(folder, params)


def splitter(params: Params) -> Splitter | None:
    """The chunks that are to be rows of their own, by the model's tokenizer alone.

    Returns:
        None where texts are encoded whole, or their chunks are pooled.

    Raises:
        EncoderError: if the model is nowhere to be had, or its tokenizer cannot cut.
    """
    if params.chunk is None or params.chunk.pool is not None:
        return None
    _check_chunk(params, params.max_tokens)
    return _cutter(_located(params), params.chunk, params)


def _check_chunk(params: Params, limit: int | None) -> None:
    if params.chunk is not None and limit is not None and params.chunk.tokens > limit:
        raise EncoderUsageError(
            f"chunk = {{tokens = {params.chunk.tokens}}} is more than the {limit} tokens that "
            f"{params.model!r} reads; set tokens to {limit} or less"
        )


def _cutter(folder: Path, chunk: Chunk, params: Params) -> Cutter:
    return Cutter(tokenizer_of(folder), chunk, _prompts(folder, params).document)


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


def _located(params: Params) -> Path:
    folder = _hub.locate(params.model, params.revision, code=params.trust_remote_code)
    check_code(folder, trusted=params.trust_remote_code)
    return folder


def _prompts(folder: Path, params: Params) -> Prompts:
    return prompts_of(folder, params.prompt, params.query_prompt)


def _dtype(folder: Path, params: Params) -> str:
    return resolved(params.dtype, params.device, short=not is_static(folder))


def _check_backend(folder: Path, params: Params, dtype: str) -> None:
    _openvino.check(params.backend, dtype, params.device)
    if params.backend == "openvino" and (is_static(folder) or is_routed(folder)):
        raise EncoderUsageError(
            f"backend = 'openvino' is for models of one transformer, and {params.model!r} is none; "
            "leave backend out"
        )


def _fixes_shapes(folder: Path, backend: str, dtype: str) -> bool:
    """Whether texts run in a few shapes: for short types, and since OpenVINO prepares for each."""
    if is_static(folder) or is_routed(folder):
        return False
    return backend == "openvino" or dtype != "float32"


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


def _recipe(folder: Path, params: Params) -> dict[str, Json]:
    prompts, dtype = _prompts(folder, params), _dtype(folder, params)
    # Said only where it is so: the fingerprints of all others are what they were.
    said: dict[str, Json] = {}
    if params.trust_remote_code:
        said["trust_remote_code"] = True
    if params.chunk is not None:
        said["chunk"] = {**asdict(params.chunk), "code": _chunks.REVISION}
    if is_routed(folder):
        said["task"] = "document"
    if _fixes_shapes(folder, params.backend, dtype):
        said["shapes"] = _shapes.REVISION
    libraries = ["sentence-transformers", "tokenizers", "transformers"]
    if params.backend == "openvino":
        said["backend"] = {"name": params.backend, "code": _openvino.REVISION}
        libraries.append("openvino")
    named = params.prompt is None and prompts.document != prompts.usual
    return {
        **said,
        "kind": "sentence",
        "code": REVISION,
        "files": dict(_hub.digest_files(folder, code=params.trust_remote_code)),
        "normalize": params.normalize,
        "prompt": prompts.document if named else params.prompt,
        "truncate_dim": params.truncate_dim,
        "max_tokens": params.max_tokens,
        "dtype": dtype,
        "libraries": majors(*libraries),
    }


def _kept_dim(wanted: int | None, dim: int) -> int:
    if wanted is None:
        return dim
    if not 1 <= wanted <= dim:
        raise EncoderUsageError(
            f"truncate_dim must be from 1 to the model's own {dim} dimensions, got {wanted}"
        )
    return wanted
