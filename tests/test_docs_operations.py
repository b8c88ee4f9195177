"""docs/operations.md: its examples are a configuration, its keys and commands are all there are."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

from flows.commands import load_all
from flows.commands._app import app
from flows.config.configuration import load
from flows.operations import schedules
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")


def test_its_examples_are_a_configuration(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    # The secret is on a server, which there is none of here.
    text = "\n".join(blocks).replace("${secret:orders-db}", "given")
    (tmp_path / "page.toml").write_text(text, encoding="utf-8")
    found = load(tmp_path / "page.toml")
    assert {s.does for s in found.schedules.values()} == {"run", "maintain", "report"}
    assert found.engine.concurrency_limit == "gpu"


def test_it_names_every_key_of_a_schedule() -> None:
    table = PAGE.split("| key | |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", table))
    keys = {field.name for field in fields(schedules.Keys)}
    assert keys - named == set()


def test_it_names_no_command_and_no_option_that_is_not_there() -> None:
    load_all()
    lines = re.findall(r"^vecmill .*$", PAGE, re.MULTILINE) + re.findall(r"`(vecmill [^`]*)`", PAGE)
    assert len(lines) > 10
    for line in lines:
        words = line.split("#")[0].split()
        assert words[1] in app, line
        known = {
            name
            for argument in app[words[1]].assemble_argument_collection()
            for name in argument.names
        }
        assert {word for word in words if word.startswith("--")} <= known, line
