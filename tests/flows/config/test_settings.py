"""What a configuration may say: files and layers, the environment, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import flows.monitors.base
from flows.config.configuration import load
from flows.config.settings import Settings, SettingsError
from flows.config.written import find
from storage.names import CATALOG_TABLES
from tests.conftest import REPOSITORY
from tests.flows.config.writing import FEATURE, PLUGINS, check_refused, write


def params(loaded: Settings, feature: str = "articles") -> Any:  # noqa: ANN401 - any kind's own
    return loaded.features[feature].source.params


def test_layers_are_merged_key_by_key(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        base=FEATURE + "[engine]\nworkers = 2\nretries = 1\n",
        main='[engine]\nworkers = 3\n[sources.news]\nid = "key"\n'
        "[features.articles]\nmax_dead = 0.5",
        local="[engine]\nshard_size = 10\nworkers = 4\n",
    )
    loaded = load(path)
    assert (loaded.engine.workers, loaded.engine.retries, loaded.engine.shard_size) == (4, 1, 10)
    assert (params(loaded).path, params(loaded).id) == ("news.csv", "key")
    assert loaded.features["articles"].max_dead == 0.5
    assert [file.name for file in loaded.files] == ["base.toml", "main.toml", "local.toml"]


def test_base_and_local_may_be_named_themselves(tmp_path: Path) -> None:
    path = write(tmp_path, base=FEATURE, local="[engine]\nworkers = 4\n")
    for name in ("base.toml", "local.toml"):
        loaded = load(path.with_name(name))
        assert [file.name for file in loaded.files] == ["base.toml", "local.toml"]
        assert loaded.engine.workers == 4


def test_a_plugin_of_another_kind_keeps_no_key_of_the_old_one(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        base=FEATURE.replace('path = "news.csv"', 'path = "news.csv"\nid = "key"'),
        main='[sources.news]\nkind = "files"\npath = "*.txt"\n',
    )
    source = load(path).features["articles"].source
    assert (source.kind, source.params.path, source.params.id) == ("files", "*.txt", None)


def test_a_plugin_of_the_same_kind_keeps_its_keys(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        base=FEATURE.replace('path = "news.csv"', 'path = "news.csv"\nid = "key"'),
        main='[sources.news]\nkind = "table"\npath = "other.csv"\n',
    )
    assert (params(load(path)).path, params(load(path)).id) == ("other.csv", "key")


def test_an_array_replaces_an_array(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        base=FEATURE + 'monitors = ["health", "drift"]\n',
        main='[features.articles]\nmonitors = ["drift"]\n',
    )
    assert [m.name for m in load(path).features["articles"].monitors] == ["drift"]


def test_paths_start_at_the_folder_that_holds_conf(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, main=FEATURE))
    assert loaded.root == tmp_path
    assert loaded.catalog == tmp_path / "data" / "catalog.duckdb"
    assert loaded.vectors == str(tmp_path / "data" / "vectors")


def test_paths_start_at_the_file_where_there_is_no_conf_folder(tmp_path: Path) -> None:
    path = tmp_path / "vecmill.toml"
    path.write_text('[store]\nvectors = "s3://bucket/vectors"\ncatalog = "/srv/catalog.duckdb"\n')
    loaded = load(path)
    assert loaded.root == tmp_path
    assert loaded.vectors == "s3://bucket/vectors"
    assert loaded.catalog == Path("/srv/catalog.duckdb")


def test_where_one_stands_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, main=FEATURE)
    monkeypatch.chdir(tmp_path / "conf")
    assert load(Path("main.toml")).root == tmp_path


def test_the_file_is_the_named_one_or_the_variable_or_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, base="", other="")
    monkeypatch.chdir(tmp_path)
    assert find(None) == Path("conf/base.toml")
    monkeypatch.setenv("VECMILL_CONF", "")
    assert find(None) == Path("conf/base.toml")
    monkeypatch.setenv("VECMILL_CONF", "conf/other.toml")
    assert find(None) == Path("conf/other.toml")
    assert find(Path("conf/base.toml")) == Path("conf/base.toml")


def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no configuration file .*nope\.toml.*--conf.*init"):
        load(tmp_path / "nope.toml")


def test_a_file_in_a_folder_above_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "photos" / "cats"
    inside.mkdir(parents=True)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "base.toml").touch()
    monkeypatch.chdir(inside)
    with pytest.raises(SettingsError, match=r"is \.\./\.\./conf/base\.toml: go to \.\./\.\., or"):
        find(None)


@pytest.mark.parametrize(
    "text",
    ["[store", "a = ", "[store]\n[store]", "a = 1979-13-1", "a = " + "9" * 5000, "a=" + "[" * 9999],
    ids=["open", "no value", "twice", "date", "digits", "depth"],
)  # fmt: skip
def test_what_is_no_toml_is_told_with_its_file(tmp_path: Path, text: str) -> None:
    check_refused(tmp_path, text, "main.toml is not valid TOML: ")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, main="")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"not valid TOML: .*utf-8"):
        load(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${VECMILL_X}/news.csv", "here/news.csv"),
        ("${VECMILL_Y:-there}/news.csv", "there/news.csv"),
        ("${VECMILL_Y:-}news.csv", "news.csv"),
        ("${VECMILL_X:-there}/news.csv", "here/news.csv"),
        ("$${VECMILL_X}.csv", "${VECMILL_X}.csv"),
        ("$VECMILL_X.csv", "$VECMILL_X.csv"),
        ("${VECMILL_X}${VECMILL_X}", "herehere"),
        ("${VECMILL_Z}", "${VECMILL_X}"),
    ],
)
def test_variables_are_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setenv("VECMILL_X", "here")
    monkeypatch.setenv("VECMILL_Z", "${VECMILL_X}")  # what comes from outside is taken as it is
    monkeypatch.delenv("VECMILL_Y", raising=False)
    loaded = load(write(tmp_path, main=FEATURE.replace("news.csv", text)))
    assert params(loaded).path == expected


def test_variables_are_filled_in_within_arrays_and_as_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VECMILL_X", "7")
    text = FEATURE.replace('"news.csv"', '["${VECMILL_X}.csv", "b.csv"]')
    loaded = load(write(tmp_path, main=text + '[engine]\nworkers = "${VECMILL_X}"\n'))
    assert params(loaded).path == ["7.csv", "b.csv"]
    assert loaded.engine.workers == 7


def test_a_missing_variable_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VECMILL_Y", raising=False)
    check_refused(
        tmp_path,
        FEATURE.replace("news.csv", "${VECMILL_Y}"),
        "sources.news.path uses ${VECMILL_Y}, but the environment variable VECMILL_Y is not set; "
        "set it, or give a default with ${VECMILL_Y:-...}",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[featurs.a]", "unknown key 'featurs' in the configuration; did you mean 'features'?"),
        ("[xyzzy]", "unknown key 'xyzzy' in the configuration; there are: alerts, encoders, "),
        ("[engine]\nworker = 2", "unknown key 'worker' in [engine]; did you mean 'workers'?"),
        (PLUGINS + 'modle = "x"', "unknown key 'modle' in [encoders.mini]; "),
        (PLUGINS.replace("path", "paht"), "unknown key 'paht' in [sources.news]; did you mean"),
        ('[sources.a]\nkind = "tabel"', "[sources.a] has an unknown kind 'tabel'; did you mean 't"),
        ("[encoders.a]\nkind = 3", "[encoders.a] has an unknown kind 3; there are: "),
        ("[encoders.a]\nkind = []", "[encoders.a] has an unknown kind []; there are: "),
        ("[sources.a]\npath = 'x'", "[sources.a] has no kind; choose from files, "),
        ("[monitors.odd]", "[monitors.odd] has an unknown kind 'odd'; there are:"),
        ("[monitors.drift]\nblock = 1", "'block' in [monitors.drift]; did you mean 'blocks'?"),
        ("sources = 3", "[sources] must be a table, got 3"),
        ("[sources]\na = 3", "[sources.a] must be a table, got 3"),
        ("[features]\na = 3", "[features.a] must be a table, got 3"),
        ("[[features.a]]", "[features.a] must be a table, got [{}]"),
        ("[features.a]\nencoder = 'x'", "[features.a]: a feature needs either a source, or over"),
        ('[sources.a]\nkind = "table"', "[sources.a] needs the key 'path'"),
        (FEATURE + "max_dead = 1.5", "[features.articles]: max_dead is a share from 0 to 1, got 1"),
        (FEATURE + "max_dead = nan", ": max_dead is a share from 0 to 1, got nan"),
        (FEATURE + 'vanished = "drop"', "vanished = 'drop': expected 'remove' or 'keep'"),
        (FEATURE + 'schedule = "daily"', "schedule must be a cron line of 5 fields"),
        (FEATURE + 'monitors = "drift"', "monitors = 'drift': expected a valid list"),
        (FEATURE + 'monitors = ["drift", "drift"]', "names 'drift' more than once; leave one out"),
        ("[engine]\nworker_cpu = 2", "[engine]; did you mean 'worker_cpus'?"),
        ('[engine]\nkind = "rays"', "[engine] kind = 'rays': expected 'local' or 'ray'"),
        ("[engine]\nworker_gpus = 1", 'worker_gpus is for kind = "ray", and the kind is "local"'),
        ('[engine]\naddress = "auto"', 'address is for kind = "ray", and the kind is "local"'),
        ('[engine]\nkind = "ray"\nworker_gpus = -1', "worker_gpus must be 0 or more, got -1"),
        ('[engine]\nkind = "ray"\nworker_cpus = inf', "worker_cpus must be 0 or more, got inf"),
        ('[engine]\nworkers = "two"', "[engine] workers = 'two': expected a valid integer"),
        ("[engine]\nworkers = true", "[engine] workers = true: expected int"),
        ("[engine]\nworkers = 0", "[engine]: workers must be at least 1, got 0"),
        ("[engine]\nshard_size = -1", "[engine]: shard_size must be at least 1, got -1"),
        ("[engine]\nretries = 11", "[engine]: retries must be 0 to 10, got 11"),
        ("[engine]\nretries = -1", "[engine]: retries must be 0 to 10, got -1"),
        ("[engine]\nwait_seconds = nan", "[engine]: wait_seconds must be 0 or more, got nan"),
        ("[store]\nvectors = 3", "[store] vectors = 3: expected a valid string"),
        (FEATURE.replace('"news.csv"', "3"), "path = 3: expected a valid string or a valid list"),
        (FEATURE.replace('"news.csv"', '" "'), "[sources.news]: path must name at least one file"),
        ("[monitors.drift]\nalpha = 5", "[monitors.drift]: alpha must lie between 0 and 1, got 5"),
        (PLUGINS + "coefficients = 0", "[encoders.mini]: coefficients must be 1 or more, got 0"),
    ],
)  # fmt: skip
def test_what_came_and_what_was_expected_is_told(tmp_path: Path, text: str, said: str) -> None:
    check_refused(tmp_path, text, said)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("source", "nwes", "names the source 'nwes', which is not defined; did you mean 'news'?"),
        ("encoder", "xyzzy", "names the encoder 'xyzzy', which is not defined; there are: mini"),
        ("monitors", ["drfit"], "the monitor 'drfit', which is not defined; did you mean 'drift'?"),
    ],
)
def test_names_that_lead_nowhere_are_told(
    tmp_path: Path, key: str, value: object, said: str
) -> None:
    keys: dict[str, object] = {"source": "news", "encoder": "mini"} | {key: value}
    lines = "\n".join(f"{name} = {given!r}" for name, given in keys.items())
    check_refused(tmp_path, f"{PLUGINS}[features.a]\n{lines}", said)


@pytest.mark.parametrize(
    "name", ["A", "1a", "a-b", "ä", "a_v3", "_a", "a" * 64, *CATALOG_TABLES, "order"]
)
def test_a_feature_has_a_name_that_sql_can_say(tmp_path: Path, name: str) -> None:
    text = f'{PLUGINS}[features."{name}"]\nsource = "news"\nencoder = "mini"'
    check_refused(tmp_path, text, f"a feature cannot be called {name!r}: it becomes a SQL view")


@pytest.mark.parametrize("name", ["a", "a1", "a_v", "v3", "a_v3_b", "a" * 63, "selects"])
def test_other_names_are_good(tmp_path: Path, name: str) -> None:
    loaded = load(write(tmp_path, main=FEATURE.replace("articles", name)))
    assert loaded.feature(name).name == name


def test_an_unknown_feature_is_told_with_the_nearest(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, main=FEATURE))
    with pytest.raises(SettingsError, match="no feature 'artikles'; did you mean 'articles'\\?"):
        loaded.feature("artikles")


def test_monitors_have_defaults_that_a_table_of_their_name_changes(tmp_path: Path) -> None:
    text = FEATURE + "[monitors.drift]\nalpha = 0.05\n[monitors.strict]\nkind = 'drift'\n"
    loaded = load(write(tmp_path, main=text))
    defaults = {monitor.name: monitor for monitor in loaded.default_monitors}
    assert set(defaults) == set(flows.monitors.base.by_default()) > {"drift", "health"}
    assert defaults["drift"].params.alpha == 0.05


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        ("{ tokens = 200, overlp = 40 }", r"unknown key 'overlp' in \[encoders\.e\] chunk$"),
        ("{ overlap = 40 }", r"\[encoders\.e\] chunk needs the key 'tokens'$"),
        ("{ tokens = 9, overlap = 9 }", r"\[encoders\.e\] chunk: chunk overlap must be 0 or more"),
        ('{ tokens = 9, pool = "men" }', r"chunk = .*: expected 'mean' or 'max'"),
        ("9", r"\[encoders\.e\] chunk = 9: expected a table of keys"),
    ],
)
def test_a_table_within_a_table_is_checked_as_well(
    tmp_path: Path, chunk: str, message: str
) -> None:
    conf = tmp_path / "vecmill.toml"
    conf.write_text(f'[encoders.e]\nkind = "sentence"\nchunk = {chunk}\n')
    with pytest.raises(SettingsError, match=message):
        load(conf)


def test_the_page_on_clusters_shows_a_configuration_with_every_key(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "scale.md").read_text("utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    engine = load(write(tmp_path, base=FEATURE + block)).engine
    assert (engine.kind, engine.worker_gpus, engine.worker_cpus) == ("ray", 1, 4)
    assert engine.address == "10.0.0.5:6379"
