"""cluster: what is kept of a feature's groups, how it is read and brought up to date."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.analysis import clusters
from flows.cli import run_command
from flows.config.settings import SettingsError
from storage import cluster_drafts, cluster_removal, query, views
from storage import clusters as kept
from storage.model import StorageError, UsageError
from storage.query import QueryError
from tests.flows.analysis.grouping import assigned, cluster, cut_short
from tests.flows.topics import TOPICS, texts, topical

if TYPE_CHECKING:
    from tests.flows.project import Project


def test_groups_are_found_described_and_read_by_sql(topics: Project) -> None:
    found = cluster(topics)
    assert found.clustering.figures["k"] == 3
    assert (found.new, found.changed, found.unassigned, found.fresh) == (90, 0, 0, True)
    with topics.connect() as con:
        pairs = con.sql(
            "SELECT cluster, label, count(*), max(distance) < 0.5 FROM notes_clusters "
            "JOIN notes USING (record_id) GROUP BY ALL ORDER BY cluster"
        ).fetchall()
        sizes = con.sql("SELECT cluster, size, share, words FROM notes_cluster_sizes").fetchall()
        assert con.sql("FROM notes_v1_clusters EXCEPT FROM notes_clusters").fetchall() == []
    assert [(c, n, near) for c, _, n, near in pairs] == [(c, 30, True) for c in range(3)]
    topic = {c: label for c, label, _, _ in pairs}
    assert set(topic.values()) == set(TOPICS)
    for number, size, share, words in sizes:
        assert (size, share) == (30, pytest.approx(1 / 3))
        assert {word[:4] for word in words[:4]} == {topic[number]}
    for group in found.groups:
        assert group.kept_values == (f"label = {topic[group.cluster]} (100%, overall 33%)",)
        assert {topics.rows()[one]["label"] for one in group.examples} == {topic[group.cluster]}


def test_examples_are_the_nearest_to_the_centre(topics: Project) -> None:
    found = cluster(topics, k=3)
    with topics.connect() as con:
        for group in found.groups:
            nearest = con.execute(
                "SELECT record_id FROM notes_clusters WHERE cluster = ? ORDER BY distance LIMIT 3",
                [group.cluster],
            ).fetchall()
            assert [row[0] for row in nearest] == list(group.examples)


def test_new_and_changed_records_are_assigned_to_the_groups_there_are(topics: Project) -> None:
    first = cluster(topics)
    before = assigned(topics)
    changed = [("r0", texts(1, begin=1)[0][1], "pets"), *texts(90)[2:], *texts(6, 9, begin=90)]
    topics.write(changed)  # r0 has become another's, r1 is gone, r90 to r95 are new
    topics.run()
    shown = clusters.show(topics.settings(), "notes")
    assert (shown.unassigned, shown.new) == (7, None)
    assert "7 rows of notes_v1 are not assigned yet" in "\n".join(shown.sentences())
    assert set(assigned(topics)) == set(before) - {"r0", "r1"}
    second = cluster(topics)
    assert (second.new, second.changed, second.unassigned, second.fresh) == (6, 1, 0, False)
    after = assigned(topics)
    assert {k: v for k, v in after.items() if k in before and k != "r0"} == {
        k: v for k, v in before.items() if k not in {"r0", "r1"}
    }
    labels = {topic: before[f"r{nth}"] for nth, topic in enumerate(TOPICS)}
    assert [after[f"r{n}"] for n in range(90, 96)] == [labels[TOPICS[n % 3]] for n in range(90, 96)]
    assert after["r0"] == labels["pets"]
    assert second.clustering.made_at == first.clustering.made_at
    assert sum(group.size for group in second.groups) == 95


def test_groups_are_not_taken_for_others(topics: Project) -> None:
    cluster(topics, k=4)
    for asked, option in (({"k": 5}, "-k 5"), ({"method": "hdbscan"}, "--method hdbscan")):
        with pytest.raises(UsageError, match=f"grouped by kmeans with k = 4 already, and {option}"):
            cluster(topics, **asked)
    assert cluster(topics, k=4).fresh is False
    anew = cluster(topics, method="hdbscan", least=10, anew=True)
    assert (anew.fresh, anew.clustering.method) == (True, "hdbscan")
    with pytest.raises(UsageError, match="--min-size 9 would make other clusters"):
        cluster(topics, least=9)


def test_hdbscan_keeps_its_groups_as_records_come(topics: Project) -> None:
    first = cluster(topics, method="hdbscan", least=10)
    before = assigned(topics)
    assert len([g for g in first.groups if g.cluster >= 0]) == 3
    assert Counter(before.values())[-1] == first.clustering.noise
    copies = [(f"copy of {one}", text, label) for one, text, label in texts(90)[:9]]
    topics.write([*texts(90), *copies])
    topics.run()
    second = cluster(topics)
    after = assigned(topics)
    assert {k: v for k, v in after.items() if k in before} == before
    assert second.new == 9
    for one, _, _ in texts(90)[:9]:
        if before[one] >= 0:
            assert after[f"copy of {one}"] == before[one]


def test_noise_has_a_number_and_no_distance(topics: Project) -> None:
    strange = [(f"s{n}", f"alone{chr(97 + n)} odd{chr(97 + n)}", "none") for n in range(6)]
    topical(topics, [*texts(90), *strange], dim=12)
    topics.run()
    found = cluster(topics, 2, method="hdbscan", least=12)
    assert found.clustering.noise > 0
    with topics.connect() as con:
        rows = con.sql(
            "SELECT cluster = -1 AS noise, count(*), count(distance) FROM notes_v2_clusters "
            "GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert rows == [(False, 96 - found.clustering.noise, 96 - found.clustering.noise),
                    (True, found.clustering.noise, 0)]  # fmt: skip


def test_each_version_has_groups_of_its_own(topics: Project) -> None:
    cluster(topics, k=3)
    topics.encoder = topics.encoder | {"dim": 5}
    topics.run()
    cluster(topics, 2, k=2)
    assert set(assigned(topics, "notes_v2_clusters").values()) == {0, 1}
    assert set(assigned(topics).values()) == {0, 1, 2}
    topics.promote(2)
    assert set(assigned(topics).values()) == {0, 1}


def test_a_history_is_grouped_by_what_records_are_now(project: Project) -> None:
    topical(project, [])
    project.source = project.source | {"event_time": "at"}
    project.feature = {"history": True}
    header = ("id", "text", "label", "at")
    project.write([(*row, "2026-01-01") for row in texts(60)], header)
    project.run()
    project.write([(*row[:1], *other[1:], "2026-02-01") for row, other in
                   zip(texts(60), texts(60, begin=1), strict=True)], header)  # fmt: skip
    project.run()
    found = cluster(project, k=3)
    assert (found.clustering.rows, found.unassigned) == (60, 0)
    with project.connect() as con:
        rows = con.sql(
            "SELECT count(*), count(DISTINCT cluster) FROM notes_clusters JOIN notes USING "
            "(record_id) GROUP BY label"
        ).fetchall()
    assert rows == [(20, 1)] * 3


def test_what_records_were_does_not_count_among_a_groups_least(project: Project) -> None:
    topical(project, [])
    project.source |= {"event_time": "at"}
    project.feature = {"history": True}
    for day in (1, 2):
        rows = [(one, f"{text} day", t) for one, text, t in texts(90)]
        project.write([(*row, f"2024-01-0{day}") for row in rows], ("id", "text", "label", "at"))
        project.run()
    assert cluster(project, least=10).clustering.figures["least_in_sample"] == 10


def test_vectors_that_cannot_be_compared_are_told(project: Project) -> None:
    topical(project, [*texts(40), ("empty", "zzz", "none")])  # no term that another text has
    project.encoder = project.encoder | {"min_texts": 2}
    project.run()
    found = cluster(project, k=2)
    assert found.unassigned == 1
    assert "1 row of notes_v1 is not assigned: its vector" in "\n".join(found.sentences())


def test_an_earlier_moment_had_no_groups(topics: Project) -> None:
    stores, moment = topics.stores(), datetime.now(UTC)
    cluster(topics, k=2)
    for when, there in ((moment, False), (moment + timedelta(days=1), True)):
        with query.connect(stores.catalog, stores.vectors, when) as con:
            names = {name for (name,) in con.sql("SELECT name FROM (SHOW TABLES)").fetchall()}
            assert ("notes_clusters" in names) is there
            assert (con.table("clusterings").fetchall() != []) is there


def test_what_was_not_published_is_not_seen(topics: Project) -> None:
    cluster(topics, k=3)
    before = assigned(topics)
    version = topics.versions()[0]
    catalog = topics.stores().catalog
    draft = cluster_drafts.Draft(catalog, version)
    draft.write(iter([]), {"centres": np.zeros((1, 8), np.float32)})  # and killed here
    assert assigned(topics) == before
    assert len(cluster_removal.loose(catalog, version)) == 2
    cluster(topics, k=3)
    cluster(topics, k=3)
    names = {path.stem for path in (kept.home(catalog) / "notes_v1").iterdir()}
    assert len(names) == 2, "the groups and those before them"
    assert assigned(topics) == before


def test_a_damaged_model_is_told(topics: Project) -> None:
    cluster(topics, k=3)
    (file,) = (topics.root / "data" / "clusters").rglob("*.npz")
    file.write_bytes(b"rubbish")
    with pytest.raises(StorageError, match=r"clusters of notes_v1 cannot be read.*--anew"):
        cluster(topics)
    assert cluster(topics, anew=True).fresh


def test_damaged_groups_keep_nothing_else_from_being_read(topics: Project) -> None:
    cluster(topics, k=3)
    (file,) = (topics.root / "data" / "clusters").rglob("*.parquet")
    cut_short(file)
    with topics.connect() as con:
        assert con.sql("SELECT count(*) FROM notes").fetchall() == [(90,)]
        assert {*views.missing(con)} == {"notes_clusters", "notes_v1_clusters"}
        with pytest.raises(QueryError, match=r"cannot be read: .*--anew"):
            query.run(con, "FROM notes_clusters")
    with pytest.raises(StorageError, match=r"cannot be read: .*--anew"):
        clusters.show(topics.settings(), "notes")
    assert cluster(topics, anew=True).fresh
    assert len(assigned(topics)) == 90


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"k": 0}, "-k must be at least 1, got 0"),
        ({"least": 1}, "--min-size must be at least 2, got 1"),
        ({"k": 3, "method": "hdbscan"}, "-k goes with --method kmeans"),
        ({"least": 3, "method": "kmeans"}, "--min-size goes with --method hdbscan"),
        ({"k": 500}, "has 90 records whose vectors can be compared; 500 or more are needed"),
        ({"k": 2, "words": "title"}, "--words: notes_v1 has no kept column 'title'; .* 'label', "),
        ({"least": 90}, "hdbscan finds no place among 90 records of notes_v1 where 90 or more"),
    ],
)
def test_what_cannot_be_is_told(topics: Project, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cluster(topics, **asked)
    with pytest.raises(UsageError, match="notes_v1 has no clusters yet; `vecmill cluster notes`"):
        clusters.show(topics.settings(), "notes")


@pytest.mark.parametrize("name", ["notes_clusters", "notes_v3_clusters", "notes_cluster_sizes"])
def test_a_feature_cannot_be_called_as_the_groups_of_another_are(
    project: Project, name: str
) -> None:
    project.write(texts(1))
    project.more = f'[features.{name}]\nsource = "notes"\nencoder = "mill"\n'
    with pytest.raises(
        SettingsError, match=rf"called '{name}' beside \[features.notes\], whose cl"
    ):
        project.settings()
    project.more = project.more.replace(name, "others_clusters")
    assert "others_clusters" in project.settings().features


def test_the_command_prints_and_keeps(topics: Project, capsys: pytest.CaptureFixture[str]) -> None:
    conf = ["--conf", str(topics.settings().conf)]
    assert run_command(["cluster", "notes", *conf]) == 0
    printed = capsys.readouterr().out
    assert "k = 3 has the highest mean silhouette" in printed
    assert "label = mill (100%, overall 33%)" in printed
    assert run_command(["cluster", "notes", "--show", "--json", *conf]) == 0
    *groups, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert [group["size"] for group in groups] == [30, 30, 30]
    assert (summary["clusters"], summary["rows"], summary["unassigned"]) == (3, 90, 0)
    assert run_command(["cluster", "notes", "-k", "4", *conf]) == 2
    assert "add --anew" in capsys.readouterr().err
    assert run_command(["cluster", "notes", "--show", "--anew", *conf]) == 2
    assert "--show prints the groups there are" in capsys.readouterr().err
