"""Columns that monitors name: refused with the configuration where no source keeps them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flows.cli import run_command
from flows.config.monitored_columns import kept
from flows.config.settings import SettingsError

if TYPE_CHECKING:
    from tests.flows.project import Project


@pytest.mark.parametrize(
    ("monitor", "more", "told"),
    [
        (
            "labels",
            'column = "lable"',
            r"labels\] column: .* 'lable' in .*; did you mean 'label'\?",
        ),
        (
            "slices",
            'columns = ["labl"]',
            r"slices\] columns: .* 'labl' in .*did you mean 'label'\?",
        ),
        ("slices", 'columns = ["label", "who"]', r"'who' in \[features.notes\]; there are: label$"),
        ("records", "max_null_share = { lable = 0.1 }", r"max_null_share: .* did you mean 'label'"),
    ],
)
def test_a_misspelt_column_is_an_error_of_the_configuration(
    project: Project, monitor: str, more: str, told: str
) -> None:
    project.feature = {"monitors": [monitor]}
    project.more = f"[monitors.{monitor}]\n{more}\n"
    with pytest.raises(SettingsError, match=told):
        project.settings()


def test_where_none_is_kept_the_error_says_what_to_do(project: Project) -> None:
    project.source = {"keep": []}
    project.feature = {"monitors": ["labels"]}
    with pytest.raises(SettingsError, match=r"'label' in .*; name it as keep in the source$"):
        project.settings()


@pytest.mark.parametrize("more", ["max_null_share = { text = 0.1, label = 0.2, event_time = 1.0 }"])
def test_records_may_name_what_is_encoded_too(project: Project, more: str) -> None:
    project.more = f"[monitors.records]\n{more}\n"
    project.settings()


def test_a_monitor_of_records_is_shared_by_features_of_other_columns(project: Project) -> None:
    project.more = (
        "[monitors.records]\nmax_null_share = { label = 0.1, lang = 0.1 }\n"
        '[sources.tweets]\nkind = "table"\npath = "tweets.csv"\nid = "id"\ncontent = "text"\n'
        'keep = ["lang"]\n'
        '[features.tweets]\nsource = "tweets"\nencoder = "mill"\n'
    )
    project.settings()
    project.more += 'monitors = ["slices"]\n[monitors.slices]\ncolumns = ["label"]\n'
    with pytest.raises(SettingsError, match=r"no kept column 'label' in \[features.tweets\]"):
        project.settings()


SOURCES: list[tuple[dict[str, Any], list[str] | None]] = [
    ({"kind": "table", "path": "n.csv", "content": "t", "keep": ["a", "b"]}, ["a", "b"]),
    (
        {"kind": "files", "path": "*.txt", "pattern": "{label}/{name}.txt"},
        ["label", "name", "path"],
    ),
    (
        {"kind": "files", "path": "*.txt", "pattern": "{label}/{name}.txt", "keep": ["name"]},
        ["name", "path"],
    ),
    ({"kind": "files", "path": "*.txt"}, ["path"]),
]


@pytest.mark.parametrize(("source", "columns"), SOURCES)
def test_what_each_kind_of_source_keeps(
    project: Project, source: dict[str, Any], columns: list[str]
) -> None:
    project.source = source
    features = project.settings().features
    assert kept(features["notes"], features) == columns


def test_features_over_others_hand_on_what_the_first_keeps(project: Project) -> None:
    project.source = {"keep": ["label", "lang"]}
    project.more = (
        '[encoders.fused]\nkind = "fuse"\n'
        '[features.other]\nsource = "notes"\nencoder = "mill"\n'
        '[features.joint]\nencoder = "fused"\n'
        'over = ["notes", { feature = "other", keep = ["lang"] }]\n'
    )
    features = project.settings().features
    assert kept(features["joint"], features) == ["label", "lang", "lang"]
    project.more = project.more.replace('over = ["notes", ', 'over = ["other", ').replace(
        '{ feature = "other", keep = ["lang"] }', '"notes"'
    )
    project.more += 'monitors = ["labels"]\n[monitors.labels]\ncolumn = "langs"\n'
    with pytest.raises(
        SettingsError, match=r"'langs' in \[features.joint\]; did you mean 'lang'\?"
    ):
        project.settings()


@pytest.mark.parametrize("command", ["plan", "run", "monitor"])
def test_commands_say_so_before_they_do_anything(
    project: Project, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    project.write([(1, "a note", "x")])
    conf = str(project.settings().conf)
    more = 'monitors = ["labels"]\n[monitors.labels]\ncolumn = "lable"\n'
    with (project.root / "vecmill.toml").open("a", encoding="utf-8") as file:
        file.write(more)  # [features.notes] stands last
    assert run_command([command, "notes", "--conf", conf]) == 2
    assert "did you mean 'label'?" in " ".join(capfd.readouterr().err.split())
    assert not (project.root / "data").exists()
    assert run_command(["doctor", "--conf", conf, "--json"]) == 1
    checks = map(json.loads, capfd.readouterr().out.splitlines())
    assert any(
        check["state"] == "broken" and "did you mean 'label'?" in check["found"] for check in checks
    )
