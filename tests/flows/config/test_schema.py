"""The schema for editors holds what a configuration may say, and refuses what it may not."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run_command
from flows.config import starter
from flows.config.configuration import SECTIONS
from flows.config.features import FeatureKeys
from flows.config.schema import schema
from flows.config.written import read

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
README = BLOCK.findall((ROOT / "README.md").read_text("utf-8"))


@pytest.fixture(scope="module")
def strict() -> Any:  # noqa: ANN401 - jsonschema has no types
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


@pytest.fixture(scope="module")
def partial() -> Any:  # noqa: ANN401 - as above
    return jsonschema.Draft202012Validator(schema(partial=True))


def wrong(validator: Any, values: Any) -> list[str]:  # noqa: ANN401 - as above
    return sorted({error.message for error in validator.iter_errors(values)})


@pytest.mark.parametrize("file", sorted((ROOT / "conf").glob("*.toml")), ids=lambda f: f.name)
def test_the_configurations_here_are_right(file: Path, strict: Any, partial: Any) -> None:  # noqa: ANN401 - as above
    assert wrong(partial, tomllib.loads(file.read_text("utf-8"))) == []
    assert wrong(strict, read(file).values) == []


@pytest.mark.parametrize("text", README)
def test_the_examples_of_the_readme_are_right(text: str, partial: Any) -> None:  # noqa: ANN401 - as above
    assert wrong(partial, tomllib.loads(text)) == []


def test_it_knows_all_sections_and_all_keys_of_features(strict: Any) -> None:  # noqa: ANN401 - as above
    properties = strict.schema["properties"]
    assert set(properties) == set(SECTIONS)
    feature = properties["features"]["additionalProperties"]["properties"]
    assert set(feature) == set(FeatureKeys.__dataclass_fields__)


def test_every_key_of_ours_says_what_it_is(strict: Any) -> None:  # noqa: ANN401 - as above
    tables = {name: table for name, table in strict.schema["$defs"].items() if name.count(".") == 1}
    sections = strict.schema["properties"]
    tables |= {name: sections[name] for name in ("store", "engine", "gc", "limits", "reports")}
    tables["schedule"] = sections["schedules"]["additionalProperties"]
    tables["feature"] = strict.schema["properties"]["features"]["additionalProperties"]
    bare = [
        f"{name}.{key}"
        for name, table in tables.items()
        for key, value in table.get("properties", {}).items()
        if key != "kind" and "description" not in value
    ]
    assert bare == []


TABLE = {"kind": "table", "path": "a.csv", "content": "text"}
SENTENCE = {"kind": "sentence"}


@pytest.mark.parametrize(
    "values",
    [
        {"enginee": {}},
        {"engine": {"shard_size": "many"}},
        {"engine": {"kind": "rey"}},
        {"sources": {"a": {**TABLE, "colour": 3}}},
        {"sources": {"a": {**TABLE, "kind": "tabel"}}},
        {"sources": {"a": {"kind": "table"}}},
        {"sources": {"a": {"path": "a.csv"}}},
        {"encoders": {"m": {**SENTENCE, "modle": "x"}}},
        {"encoders": {"m": {**SENTENCE, "chunk": {"tokens": 20, "overlapp": 2}}}},
        {"monitors": {"drift": {"alfa": 0.1}}},
        {"monitors": {"mine": {}}},
        {"monitors": {"drift": {"blocks": "everything"}}},
        {"alerts": {"ops": {"kind": "webhook"}}},
        {"features": {"a": {"source": "a"}}},
        {"features": {"a": {"source": "a", "encoder": "m", "max_deed": 0.1}}},
        {"features": {"a": {"source": "a", "encoder": "m", "gates": {"min_covrage": 1}}}},
        {"features": {"a": {"over": [{"feature": "b", "kepe": []}], "encoder": "m"}}},
    ],
    ids=lambda values: json.dumps(values)[:60],
)
def test_what_is_wrong_is_refused(values: dict[str, Any], strict: Any) -> None:  # noqa: ANN401 - as above
    assert wrong(strict, values)


@pytest.mark.parametrize(
    "values",
    [
        {"engine": {"workers": "${WORKERS:-2}"}},
        {"sources": {"a": TABLE}},
        {"encoders": {"m": {**SENTENCE, "device": "${DEVICE}"}}},
        {"monitors": {"drift": {"blocks": "publishing", "alpha": 0.05}}},
        {"monitors": {"mine": {"kind": "drift"}}},
        {"features": {"a": {"over": ["b", {"feature": "c", "keep": ["x"]}], "encoder": "m"}}},
    ],
    ids=lambda values: json.dumps(values)[:60],
)
def test_what_is_right_is_let_through(values: dict[str, Any], strict: Any) -> None:  # noqa: ANN401 - as above
    assert wrong(strict, values) == []


def test_a_file_over_another_needs_no_kind_but_knows_the_keys(partial: Any) -> None:  # noqa: ANN401 - as above
    assert wrong(partial, {"encoders": {"m": {"device": "cpu"}}}) == []
    assert wrong(partial, {"encoders": {"m": {"kind": "sentence", "modle": "x"}}})


def test_the_command_prints_it_and_init_puts_it_beside_what_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["schema"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == schema()
    path = starter.write(tmp_path)
    assert path.read_text("utf-8").startswith("#:schema schema.json\n")
    assert (path.parent / "schema.json").read_text("utf-8") == printed
