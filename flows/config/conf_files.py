"""Keys written into a configuration file, with all else in it left as it stands.

The files are the user's: comments, order and spaces are kept, so text is edited, not data. What
comes out is read again before it is written, and must differ by those keys alone.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import tomllib
from typing import TYPE_CHECKING, Any

from flows.config.settings import SettingsError
from storage import swaps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Value = str | int
_VALUE = r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#,}]+)"""


def write_keys(files: Sequence[Path], table: tuple[str, ...], keys: Mapping[str, Value]) -> Path:
    """Set keys of a table, in the last of some files that has it, since that one counts.

    Args:
        files: of a configuration, in the order in which they are merged.
        table: its name by parts, such as ``("encoders", "minilm")``. Where no file has it, it is
            put at the end of the last one.
        keys: what to set.

    Returns:
        The file that was written.

    Raises:
        SettingsError: if the table is written in a way that is not edited here, or the file cannot
            be written; nothing is changed then.
    """
    texts = {file: _read(file) for file in files}
    having = [file for file in files if _found(tomllib.loads(texts[file]), table) is not None]
    file = having[-1] if having else files[-1]
    expected = copy.deepcopy(tomllib.loads(texts[file]))
    inner: dict[str, Any] = expected
    for part in table:
        inner = inner.setdefault(part, {})
    inner.update(keys)
    edited = _edited(texts[file], table, keys)
    if edited is None or not _is(edited, expected):
        raise SettingsError(
            f"[{'.'.join(table)}] in {file} is written in a way that is not edited here; set "
            f"{told(keys)} there yourself"
        )
    _replace(file, edited)
    return file


def told(keys: Mapping[str, Value]) -> str:
    """Keys as a file has them, on one line."""
    return ", ".join(f"{key} = {_toml(value)}" for key, value in keys.items())


def _toml(value: Value) -> str:
    # The values are names and numbers, which JSON writes as TOML does.
    return json.dumps(value)


def _read(file: Path) -> str:
    return file.read_bytes().decode("utf-8")


def _found(values: Any, table: tuple[str, ...]) -> dict[str, Any] | None:  # noqa: ANN401 - TOML
    for part in table:
        values = values.get(part) if isinstance(values, dict) else None
    return values if isinstance(values, dict) else None


def _is(text: str, expected: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        return False


def _edited(text: str, table: tuple[str, ...], keys: Mapping[str, Value]) -> str | None:
    """The text with the keys set; None where the table is not seen in it."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += end
    section = _section(lines, table)
    if section is not None:
        return "".join(_with_keys(lines, section, keys, end))
    inline = _inline(lines, table)
    if inline is not None:
        lines[inline] = _with_inline(lines[inline], keys)
        return "".join(lines)
    if _found(tomllib.loads(text), table) is not None:
        return None
    new = [f"{key} = {_toml(value)}{end}" for key, value in keys.items()]
    return "".join([*lines, *([end] if lines else []), f"[{'.'.join(table)}]{end}", *new])


def _section(lines: list[str], table: tuple[str, ...]) -> tuple[int, int] | None:
    """The lines of a table after its header."""
    name = r"\s*\.\s*".join(re.escape(part) for part in table)
    header = re.compile(rf"\s*\[\s*{name}\s*\]\s*(#.*)?$")
    for at, line in enumerate(lines):
        if header.match(line.rstrip("\r\n")):
            rest = range(at + 1, len(lines))
            return at + 1, next((n for n in rest if lines[n].lstrip().startswith("[")), len(lines))
    return None


def _with_keys(
    lines: list[str], section: tuple[int, int], keys: Mapping[str, Value], end: str
) -> list[str]:
    start, stop = section
    own, last = lines[start:stop], 0
    for key, value in keys.items():
        pattern = re.compile(rf"(\s*{re.escape(key)}\s*=\s*){_VALUE}")
        for at, line in enumerate(own):
            if pattern.match(line):
                own[at] = pattern.sub(lambda found: found[1] + _toml(value), line, count=1)  # noqa: B023 - called at once
                break
        else:
            said = [at for at, line in enumerate(own) if line.strip() and line.strip()[0] != "#"]
            last = said[-1] + 1 if said else 0
            own.insert(last, f"{key} = {_toml(value)}{end}")
    return [*lines[:start], *own, *lines[stop:]]


def _inline(lines: list[str], table: tuple[str, ...]) -> int | None:
    """The line of a table that is written ``name = { … }`` in the one around it."""
    around = table[:-1]
    section = _section(lines, around) if around else None
    if section is None:
        return None
    pattern = re.compile(rf"\s*{re.escape(table[-1])}\s*=\s*\{{.*\}}\s*(#.*)?$")
    return next((at for at in range(*section) if pattern.match(lines[at].rstrip("\r\n"))), None)


def _with_inline(line: str, keys: Mapping[str, Value]) -> str:
    for key, value in keys.items():
        pattern = re.compile(rf"([{{,]\s*{re.escape(key)}\s*=\s*){_VALUE}")
        if pattern.search(line):
            line = pattern.sub(lambda found: found[1] + _toml(value), line, count=1)  # noqa: B023 - called at once
            continue
        # The first brace that nothing but a comment follows.
        found = re.match(r".*?(?=\}\s*(#.*)?$)", line)
        if found is None:
            return line
        brace = found.end()
        before = line[:brace].rstrip()
        comma = "" if before.endswith(("{", ",")) else ","
        line = f"{before}{comma} {key} = {_toml(value)} {line[brace:]}"
    return line


def _replace(file: Path, text: str) -> None:
    """Write a file whole or not at all, behind a link where it is one."""
    target = file.resolve()
    try:
        with swaps.whole(target, hidden=True) as fresh:
            fresh.write_bytes(text.encode("utf-8"))
            shutil.copymode(target, fresh)
    except OSError as error:
        raise SettingsError(f"cannot write {file}: {error.strerror or error}") from error


def append(file: Path, text: str) -> None:
    """Add tables at the end of a file, with the line ends that it has.

    Raises:
        SettingsError: if they cannot stand there, or the file cannot be written; nothing is changed
            then.
    """
    _replace(file, appended(file, text))


def appended(file: Path, text: str) -> str:
    """What a file holds with tables at its end.

    Raises:
        SettingsError: if they cannot stand there, since it writes the tables that they are part of
            on one line.
    """
    before = _read(file)
    end = "\r\n" if "\r\n" in before else "\n"
    parted = "" if not before or before.endswith("\n") else end
    after = f"{before}{parted}{text.replace(chr(10), end)}"
    try:
        tomllib.loads(after)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"{file} is written in a way that is not added to here ({error}); put these lines in "
            f"yourself:\n{text}"
        ) from error
    return after
