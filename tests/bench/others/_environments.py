"""An environment for each tool, made once by ``uv`` from the versions pinned beside this."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


class MissingError(RuntimeError):
    """An environment that can't be made; the message says why."""


def pinned() -> dict[str, Path]:
    """The tools, each with the file of its versions."""
    return {file.stem: file for file in sorted(HERE.glob("*.txt"))}


def python(tool: str, cache: Path) -> Path:
    """The interpreter of a tool's environment, which is made if it is not there.

    Raises:
        MissingError: if there is no ``uv``, or it can't install the tool.
    """
    pins = pinned()[tool]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(pins.read_bytes() + version.encode()).hexdigest()[:8]
    folder = cache / f"{tool}-{digest}"
    found = folder / "bin/python"
    if (folder / "complete").exists():
        return found
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise MissingError("uv is not installed: `pip install uv` brings it")
    _do(uv, "venv", "--clear", "--python", sys.executable, str(folder))
    _do(uv, "pip", "install", "--python", str(found), "-r", str(pins))
    (folder / "complete").touch()
    return found


def versions(pins: Path) -> dict[str, str]:
    """What a file pins: versions by name."""
    lines = [line.partition(";")[0].strip() for line in pins.read_text("utf-8").splitlines()]
    pairs = [line.split("==") for line in lines if "==" in line and line[0] != "#"]
    return {name.partition("[")[0]: version for name, version in pairs}


def default_cache() -> Path:
    """Where environments are kept unless told otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vecmill-bench"


def _do(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - uv
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        raise MissingError(f"{' '.join(words[1:3])} failed: {last[0]}")
