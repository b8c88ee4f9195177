"""Where the demo's records come from: what the installed packages carry, read or synthesised.

Docstrings of Python's own library, scikit-learn's digits and cells, and notes of five timbres.
"""

from __future__ import annotations

import ast
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Row = dict[str, str]
    Named = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

SAMPLE_RATE = 16_000
TAKES = 5
NOTES = {"c4": 60, "d4": 62, "e4": 64, "f4": 65, "g4": 67, "a4": 69, "b4": 71, "c5": 72}
"""Names and MIDI numbers."""

_MODULES = (
    "abc argparse ast asyncio.events asyncio.streams base64 bisect calendar cmd code codecs "
    "concurrent.futures._base configparser contextlib copy csv datetime difflib dis doctest "
    "email.message enum fileinput fractions ftplib functools getpass gettext glob gzip hashlib "
    "heapq html.parser http.client http.cookiejar imaplib inspect io ipaddress json locale "
    "logging mailbox mimetypes multiprocessing.pool ntpath numbers os pathlib pdb pickle "
    "pickletools plistlib poplib posixpath pprint queue random sched selectors shelve shlex "
    "shutil signal smtplib socket socketserver ssl statistics string subprocess symtable tarfile "
    "tempfile textwrap threading timeit tokenize trace traceback turtle types typing "
    "unittest.case unittest.mock urllib.parse urllib.request uuid warnings wave weakref "
    "webbrowser xml.dom.minidom zipfile"
)
"""Kept by every Python from 3.11 on; read, never imported."""

_LEAST_DOCSTRING = 40
_LEAST_CODE = 200
_MISSING = 0.01


@dataclass(frozen=True)
class Timbre:
    """How a note sounds.

    Attributes:
        harmonics: loudness of the fundamental and its multiples.
        attack: seconds to full loudness.
        decay: seconds to 1/e of it.
        vibrato: depth, as a share of the pitch.
        noise: breath or bow, as a share of the loudness.
    """

    harmonics: tuple[float, ...]
    attack: float
    decay: float
    vibrato: float
    noise: float


TIMBRES = {
    "flute": Timbre((1.0, 0.25, 0.08), 0.08, 3.0, 0.006, 0.03),
    "clarinet": Timbre((1.0, 0.02, 0.6, 0.02, 0.35, 0.02, 0.2), 0.03, 4.0, 0.001, 0.005),
    "violin": Timbre((1.0, 0.8, 0.6, 0.5, 0.35, 0.3, 0.2, 0.15), 0.12, 5.0, 0.01, 0.01),
    "guitar": Timbre((1.0, 0.7, 0.4, 0.3, 0.15, 0.1), 0.004, 0.35, 0.0, 0.002),
    "bell": Timbre((0.6, 1.0, 0.0, 0.7, 0.0, 0.5, 0.0, 0.0, 0.4), 0.002, 0.6, 0.0, 0.001),
}


@cache
def docstrings() -> tuple[Row, ...]:
    """Docstrings of the standard library, an id once: id, module, kind, title, body."""
    rows: dict[str, Row] = {}
    for module, name, node in _nodes():
        body = ast.get_docstring(node)
        if body is not None and len(body) >= _LEAST_DOCSTRING:
            rows.setdefault(name, _row(name, module, _kind(node), _title(name, node), body))
    return tuple(rows.values())


@cache
def code() -> tuple[Row, ...]:
    """Bodies of the standard library's functions, less their docstrings, as rows like theirs."""
    rows: dict[str, Row] = {}
    for module, name, node in _nodes():
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            body = "\n".join(ast.unparse(statement) for statement in node.body[1:])
            if len(body) >= _LEAST_CODE:
                title = body.splitlines()[0]
                rows.setdefault(name, _row(f"code:{name}", module, "code", title, body))
    return tuple(rows.values())


def _row(name: str, module: str, kind: str, title: str, body: str) -> Row:
    # a lone surrogate in an example cannot be written as UTF-8
    written = body.encode("utf-8", "replace").decode("utf-8")
    return {"id": name, "module": module, "kind": kind, "title": title, "body": written}


def _nodes() -> Iterator[tuple[str, str, Named]]:
    """Public modules, classes, functions and methods: module, qualified name, syntax tree."""
    library = Path(sysconfig.get_path("stdlib"))
    for module in _MODULES.split():
        path = library / f"{module.replace('.', '/')}.py"
        path = path if path.exists() else path.with_suffix("") / "__init__.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield module, module, tree
        yield from ((module, name, node) for name, node in _below(tree, module))


def _below(parent: Named, prefix: str) -> Iterator[tuple[str, Named]]:
    for node in parent.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            name = f"{prefix}.{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from _below(node, name)


def _kind(node: Named) -> str:
    if isinstance(node, ast.Module):
        return "module"
    return "class" if isinstance(node, ast.ClassDef) else "function"


def _title(name: str, node: Named) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return f"{name}({ast.unparse(node.args)})"
    return name


def digits() -> list[tuple[str, NDArray[np.uint8]]]:
    """Handwritten digits, ``LABEL/INDEX.png`` and ``(32, 32)`` grey values (Alpaydin 1998)."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.kron(data.images * (255 / 16), np.ones((4, 4))).round().astype(np.uint8)
    return [
        (f"{label}/{index:04}.png", image)
        for index, (label, image) in enumerate(zip(data.target, pixels, strict=True))
    ]


def cells(rng: np.random.Generator) -> list[Row]:
    """Measurements of cell nuclei, a tumour a row (Wolberg 1993), a few of them missing."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in data.feature_names[:10]]
    missing = rng.random((len(data.data), len(names))) < _MISSING
    rows = []
    for index, (values, label) in enumerate(zip(data.data, data.target, strict=True)):
        measured = dict(zip(names, values.tolist(), strict=False))
        size = np.searchsorted([450, 800], measured["mean_area"])
        rows.append(
            {"id": f"cell-{index:03}", "label": str(data.target_names[label])}
            | {"size": ("small", "medium", "large")[int(size)]}
            | {
                name: "" if gone else f"{value:.6g}"
                for (name, value), gone in zip(measured.items(), missing[index], strict=True)
            }
        )
    return rows


def note(timbre: Timbre, pitch: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """About a second of one note, ``(samples,)`` at 16 kHz within ±0.8; no two takes are equal."""
    seconds = rng.uniform(0.8, 1.2)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    base = 440 * 2 ** ((pitch - 69 + rng.normal(0, 0.1)) / 12)
    wobble = 1 + timbre.vibrato * np.sin(2 * np.pi * (5.5 * time + rng.random()))
    phase = 2 * np.pi * np.cumsum(base * wobble) / SAMPLE_RATE
    wave = np.zeros_like(time)
    for number, loudness in enumerate(timbre.harmonics, start=1):
        wave += loudness * rng.uniform(0.8, 1.2) * np.sin(number * phase + 2 * np.pi * rng.random())
    wave += timbre.noise * np.sum(timbre.harmonics) * rng.standard_normal(len(time))
    release = np.clip((seconds - time) / 0.1, 0, 1)
    wave *= np.minimum(time / timbre.attack, 1) * np.exp(-time / timbre.decay) * release
    scaled: NDArray[np.float32] = (wave * (0.8 / np.abs(wave).max())).astype(np.float32)
    return scaled
