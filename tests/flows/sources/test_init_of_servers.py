"""`vecmill init` of a database and of an object store: what it guesses, and what it writes down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.config.configuration import load
from flows.guessing.databases import VARIABLE
from flows.sources import base
from tests.flows.sources.reading import everything
from tests.flows.sources.servers import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flows.sources.servers import S3, Postgres

CONF = Path("conf/base.toml")
TABLES = (
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.authors (id serial PRIMARY KEY, name text)",
    "INSERT INTO shop.authors (name) SELECT 'author ' || i FROM generate_series(1, 9) i",
    # Both columns are unique in what is seen; the key is the one that is bound to stay so.
    (
        'CREATE TABLE shop."Reviews" (sku text, nr bigint PRIMARY KEY, "Review Text" text, '
        "stars int, tags text[], created_at timestamptz, updated_at timestamptz)"
    ),
    (
        "INSERT INTO shop.\"Reviews\" SELECT 'k' || i, i, 'what was said of the thing with ' "
        "|| 'number ' || i, 1 + i % 5, '{a}', now(), now() FROM generate_series(1, 30) i"
    ),
    "CREATE ROLE reader LOGIN PASSWORD 'another-horse'",
    "GRANT USAGE ON SCHEMA shop TO reader",
    "GRANT SELECT ON ALL TABLES IN SCHEMA shop TO reader",
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and no password in the environment when the test ends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "")
    return tmp_path


@pytest.fixture(scope="module")
def shop(database: Postgres) -> Iterator[str]:
    """The address by which somebody who may only read comes to a shop."""
    database.run(*TABLES)
    yield database.url.replace(f"mill:{PASSWORD}", "reader:another-horse")
    database.run("DROP SCHEMA shop CASCADE", "DROP ROLE reader")


def ids(name: str) -> list[str]:
    """The ids of the records that a run would read."""
    settings = load(CONF)
    source = settings.feature(name).source
    opened = base.open(source.kind, source.params, settings.root, "text", name=name)
    return everything(opened).ids


def test_a_database_is_taken_in_by_its_key_and_without_its_password(
    shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["init", shop]) == 0
    said = capsys.readouterr().err
    assert "table        shop.Reviews  (has the longest texts of" in said
    assert "id           nr  (the primary key)" in said
    assert "content      Review Text" in said
    assert "not updated_at)" in said
    assert "'tags' is nested and not used; give each part that counts a column of its own" in said
    assert f"next:\n  export {VARIABLE}=...\n  vecmill run reviews\n" in said
    written = "".join(file.read_text("utf-8") for file in Path().rglob("*.toml"))
    assert "another-horse" not in written + said
    assert f"reader:${{{VARIABLE}}}@" in written
    params = load(CONF).feature("reviews").source.params
    assert (params.id, params.content, params.event_time) == ("nr", "Review Text", "created_at")
    assert (params.table, params.cursor) == ("shop.Reviews", "updated_at")
    assert os.environ[VARIABLE] == "another-horse", "for this process alone"
    assert len(ids("reviews")) == 30


def test_of_a_database_another_table_and_column_can_be_named(
    shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["init", shop, "--table", "shop.Review"]) == 2
    assert "did you mean 'shop.Reviews'?" in capsys.readouterr().err
    assert run_command(["init", shop, "--table", "shop.Reviews", "--id", "sku"]) == 0
    assert "id           sku  (as you said)" in capsys.readouterr().err
    assert "k1" in ids("reviews")


def test_what_a_database_refuses_is_told_without_its_password(
    shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["init", shop.replace("another-horse", "wrong-horse")]) == 1
    assert run_command(["init", shop.replace("/postgres", "/nowhere")]) == 1
    said = capsys.readouterr().err
    assert "password authentication failed" in said
    assert "horse" not in said
    assert '"nowhere" does not exist' in said.replace("\n", " ")
    assert not CONF.exists()


def test_a_bucket_is_taken_in_by_folder_object_and_pattern(
    s3: S3, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{i},Title {i},A longer text of number {i},2026-01-0{i}\n" for i in range(1, 9))
    s3.put("init/news/news.csv", f"id,title,body,published_at\n{rows}".encode())
    for i in range(3):
        s3.put(f"init/notes/{i}.txt", f"A note of number {i}".encode())
    assert run_command(["init", "s3://mill/init/news/"]) == 0
    params = load(CONF).feature("news").source.params
    assert params.path == "s3://mill/init/news/news.csv"
    assert (params.id, params.content, params.event_time) == (
        "id", ["title", "body"], "published_at",
    )  # fmt: skip
    assert ids("news") == [str(i) for i in range(1, 9)]
    for path in ("s3://mill/init/notes/", "s3://mill/init/notes/*.txt"):
        assert run_command(["init", path]) == 0
    assert ids("notes") == ["0.txt", "1.txt", "2.txt"]
    written = CONF.read_text("utf-8")
    assert not [value for value in s3.environment.values() if value in written]
    assert run_command(["init", "s3://mill/init/nothing/"]) == 2
    assert "no object lies at or below s3://mill/init/nothing/" in capsys.readouterr().err
    assert run_command(["init", "s3://nowhere/notes/"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "cannot be read: The specified bucket does not exist (NoSuchBucket); check the" in said
