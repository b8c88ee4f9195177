"""What the parameters and the files of a sentence model decide before it is loaded.

So a recipe, and where texts are cut, are known without reading weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from encoders import _chunks, _hub, _openvino, _shapes
from encoders._chunks import Chunk, Cutter
from encoders._code import check_code
from encoders._libraries import majors
from encoders._precision import resolved
from encoders._prompts import Prompts, prompts_of
from encoders._sentence_model import is_routed, is_static
from encoders._tokenizer import tokenizer_of
from encoders.base import EncoderUsageError

if TYPE_CHECKING:
    from pathlib import Path

    from encoders.base import Json
    from encoders.sentence import Params


@dataclass(frozen=True)
class Setup:
    """A model that was found, and how it is to be used.

    Attributes:
        folder: of its files.
        params: of the encoder.
    """

    folder: Path
    params: Params

    @classmethod
    def of(cls, params: Params) -> Setup:
        """Find the model.

        Raises:
            EncoderError: if it is nowhere to be had, or brings code that is not trusted.
        """
        folder = _hub.locate(params.model, params.revision, code=params.trust_remote_code)
        check_code(folder, trusted=params.trust_remote_code)
        return cls(folder, params)

    @cached_property
    def prompts(self) -> Prompts:
        """What is put before texts."""
        return prompts_of(self.folder, self.params.prompt, self.params.query_prompt)

    @cached_property
    def dtype(self) -> str:
        """The precision that is computed in.

        Raises:
            EncoderUsageError: if it is none of the known ones.
        """
        short = not is_static(self.folder)
        return resolved(self.params.dtype, self.params.device, short=short)

    @property
    def fixes_shapes(self) -> bool:
        """Whether texts run in a few shapes.

        So they do for short types, and since OpenVINO prepares for each.
        """
        if is_static(self.folder) or is_routed(self.folder):
            return False
        return self.params.backend == "openvino" or self.dtype != "float32"

    def check_backend(self) -> None:
        """Refuse what the backend cannot compute.

        Raises:
            EncoderError: says what, or what is not installed.
        """
        _openvino.check(self.params.backend, self.dtype, self.params.device)
        if self.params.backend == "openvino" and (is_static(self.folder) or is_routed(self.folder)):
            raise EncoderUsageError(
                f"backend = 'openvino' is for models of one transformer, and {self.params.model!r} "
                "is none; leave backend out"
            )

    def cutter(self, chunk: Chunk) -> Cutter:
        """What cuts texts by the model's tokenizer.

        Raises:
            EncoderError: if the tokenizer cannot cut.
        """
        return Cutter(tokenizer_of(self.folder), chunk, self.prompts.document)

    def recipe(self, code: int) -> dict[str, Json]:
        """All that decides the vectors; the files by name and content, never by their place.

        Args:
            code: the revision of the encoder's own code.
        """
        params, prompts = self.params, self.prompts
        # Said only where it is so: the fingerprints of all others are what they were.
        said: dict[str, Json] = {}
        if params.trust_remote_code:
            said["trust_remote_code"] = True
        if params.chunk is not None:
            said["chunk"] = {**asdict(params.chunk), "code": _chunks.REVISION}
        if is_routed(self.folder):
            said["task"] = "document"
        if self.fixes_shapes:
            said["shapes"] = _shapes.REVISION
        libraries = ["sentence-transformers", "tokenizers", "transformers"]
        if params.backend == "openvino":
            said["backend"] = {"name": params.backend, "code": _openvino.REVISION}
            libraries.append("openvino")
        named = params.prompt is None and prompts.document != prompts.usual
        return {
            **said,
            "kind": "sentence",
            "code": code,
            "files": dict(_hub.digest_files(self.folder, code=params.trust_remote_code)),
            "normalize": params.normalize,
            "prompt": prompts.document if named else params.prompt,
            "truncate_dim": params.truncate_dim,
            "max_tokens": params.max_tokens,
            "dtype": self.dtype,
            "libraries": majors(*libraries),
        }


def check_chunk(params: Params, limit: int | None) -> None:
    """Refuse windows longer than a model reads, where that is known.

    Raises:
        EncoderUsageError: says how much it reads.
    """
    if params.chunk is not None and limit is not None and params.chunk.tokens > limit:
        raise EncoderUsageError(
            f"chunk = {{tokens = {params.chunk.tokens}}} is more than the {limit} tokens that "
            f"{params.model!r} reads; set tokens to {limit} or less"
        )
