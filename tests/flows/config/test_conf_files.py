"""Keys written into configuration files: they stand there, and all else as it stood."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from flows.config.conf_files import told, write_keys
from flows.config.settings import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

TABLE = ("encoders", "minilm")
KEYS: dict[str, str | int] = {"dtype": "bfloat16", "batch_tokens": 512}


def edited(tmp_path: Path, text: str, keys: dict[str, str | int] = KEYS) -> str:
    file = tmp_path / "base.toml"
    file.write_bytes(text.encode())
    assert write_keys([file], TABLE, keys) == file
    assert [path.name for path in tmp_path.iterdir()] == ["base.toml"]
    return file.read_bytes().decode()


def test_keys_are_replaced_and_added_with_comments_kept(tmp_path: Path) -> None:
    before = (
        "# ours\n[encoders.minilm]  # texts\n"
        'kind = "sentence"\n'
        'dtype = "float32" # exact, for now\n'
        "# batch_tokens = 9 was tried\n\n"
        '[encoders.other]\nkind = "lsa"\n'
    )
    assert edited(tmp_path, before) == (
        "# ours\n[encoders.minilm]  # texts\n"
        'kind = "sentence"\n'
        'dtype = "bfloat16" # exact, for now\n'
        "batch_tokens = 512\n"
        "# batch_tokens = 9 was tried\n\n"
        '[encoders.other]\nkind = "lsa"\n'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'minilm = { kind = "sentence" } # {texts}\n',
            'minilm = { kind = "sentence", dtype = "bfloat16", batch_tokens = 512 } # {texts}\n',
        ),
        (
            'minilm = {kind="sentence", batch_tokens=7}\n[features]\n',
            'minilm = {kind="sentence", batch_tokens=512, dtype = "bfloat16" }\n[features]\n',
        ),
        (
            'minilm = { dtype = "auto", prompt = "a # } b" } # }\n',
            'minilm = { dtype = "bfloat16", prompt = "a # } b", batch_tokens = 512 } # }\n',
        ),
        (
            'minilm = { chunk = { tokens = 9 }, dtype = "auto" }\n',
            'minilm = { chunk = { tokens = 9 }, dtype = "bfloat16", batch_tokens = 512 }\n',
        ),
    ],
)
def test_tables_on_one_line_stay_on_it(tmp_path: Path, before: str, after: str) -> None:
    assert edited(tmp_path, f"[encoders]\n{before}") == f"[encoders]\n{after}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '[encoders.minilm]\r\nbatch_tokens = 9\r\ndtype = "auto"',
            '[encoders.minilm]\r\nbatch_tokens = 512\r\ndtype = "bfloat16"\r\n',
        ),
        (
            "[ encoders . minilm ]\nbatch_tokens = 1\ndtype = 'auto'\nkind = 'sentence'\n",
            "[ encoders . minilm ]\nbatch_tokens = 512\ndtype = \"bfloat16\"\nkind = 'sentence'\n",
        ),
        ("", '[encoders.minilm]\ndtype = "bfloat16"\nbatch_tokens = 512\n'),
    ],
    ids=["CRLF, no end", "spaces", "empty"],
)
def test_other_ways_to_write_a_table_are_kept(tmp_path: Path, before: str, after: str) -> None:
    assert edited(tmp_path, before) == after
    assert tomllib.loads(after)["encoders"]["minilm"].items() >= KEYS.items()


@pytest.mark.parametrize(
    "text",
    [
        'encoders.minilm.kind = "sentence"\n',
        '[encoders]\nminilm.kind = "sentence"\n',
        '[encoders."minilm"]\nkind = "sentence"\n',
        '[encoders.minilm]\nkind = "sentence"\nprompt = """\ndtype = 1\n"""\n',
    ],
)
def test_what_cannot_be_edited_is_told_and_left(tmp_path: Path, text: str) -> None:
    file = tmp_path / "base.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r'set dtype = "bfloat16", batch_tokens = 512 there'):
        write_keys([file], TABLE, KEYS)
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_the_last_file_that_has_the_table_counts(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("base.toml", "local.toml", "last.toml")]
    for file in files[:2]:
        file.write_text('[encoders.minilm]\nkind = "sentence"\n')
    files[2].write_text("[engine]\nworkers = 2\n")
    before = files[0].read_text()
    assert write_keys(files, TABLE, KEYS) == files[1]
    assert files[0].read_text() == before
    assert write_keys(files, ("engine",), {"threads": 2}) == files[2]
    assert files[2].read_text() == "[engine]\nworkers = 2\nthreads = 2\n"
    assert write_keys(files, ("gc",), {"keep_runs": 3}) == files[2]
    assert files[2].read_text().endswith("threads = 2\n\n[gc]\nkeep_runs = 3\n")


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "base.toml"
    real.write_text('[encoders.minilm]\nkind = "sentence"\n')
    real.chmod(0o640)
    link = tmp_path / "base.toml"
    link.symlink_to(real)
    write_keys([link], TABLE, KEYS)
    assert link.is_symlink()
    assert "bfloat16" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


def test_keys_read_as_a_file_has_them() -> None:
    assert told(KEYS) == 'dtype = "bfloat16", batch_tokens = 512'
