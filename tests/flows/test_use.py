"""Vectors in training code: pinned, in the order asked for, and the same as when served."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from encoders import interactions
from flows.searching.queries import SearchError
from flows.use import EncoderTransformer, VectorTransformer, dataset
from storage.model import UsageError
from tests.flows.project import vector
from tests.flows.topics import texts, topical

if TYPE_CHECKING:
    from tests.flows.project import Project


@pytest.fixture
def topics(project: Project) -> Project:
    """Sixty texts of three topics, encoded, and changed once."""
    topical(project, [("gone", "newsa", "news"), *texts(60)])
    project.run()
    project.write([*texts(60)[:50], *((one, f"newsa newsb {one}", "news") for one, _, _ in
                                      texts(60)[50:])])  # fmt: skip
    project.run()
    return project


def conf(project: Project) -> str:
    return str(project.settings().conf)


def stacked(project: Project, ids: list[str], view: str = "notes") -> Any:  # noqa: ANN401 - a matrix
    rows = project.rows(view)
    return np.stack([vector(rows[one]) for one in ids])


def test_vectors_come_in_the_order_of_the_ids(topics: Project) -> None:
    ids = ["r7", "r0", "r55", "r7", "r1"]
    found = VectorTransformer("notes", conf=conf(topics)).fit_transform(ids)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, stacked(topics, ids))
    column = VectorTransformer("notes", conf=conf(topics)).transform(np.array(ids)[:, None])
    np.testing.assert_array_equal(column, found)
    assert VectorTransformer("notes", conf=conf(topics)).transform([]).shape == (0, 8)


def test_ids_that_are_missing_follow_the_policy(topics: Project) -> None:
    ids = ["r1", "nobody", "gone"]
    with pytest.raises(UsageError, match="no row of 2 of 3 ids: 'nobody', 'gone'; leave them out"):
        VectorTransformer("notes", conf=conf(topics)).transform(ids)
    for missing, expected in (("nan", np.nan), ("zero", 0.0)):
        found = VectorTransformer("notes", missing=missing, conf=conf(topics)).transform(ids)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found[0], stacked(topics, ["r1"])[0])
        np.testing.assert_array_equal(found[1:], np.full((2, 8), expected))
    with pytest.raises(UsageError, match="missing is error, nan or zero, got 'drop'"):
        VectorTransformer("notes", missing="drop", conf=conf(topics)).fit()  # type: ignore[arg-type]


def test_a_fitted_pipeline_reads_what_it_was_fitted_on(topics: Project) -> None:
    ids, labels = [row[0] for row in texts(50)], [row[2] for row in texts(50)]
    pipeline = make_pipeline(VectorTransformer("notes", conf=conf(topics)), LogisticRegression())
    assert pipeline.fit(ids, labels).score(ids, labels) > 0.95
    before = pipeline[0].transform(ids)
    topics.encoder = topics.encoder | {"dim": 5}
    topics.run()
    topics.promote(2)
    topics.write(texts(60, seed=11))
    topics.run(target=1)
    again = pickle.loads(pickle.dumps(pipeline))  # noqa: S301 - our own
    for fitted in (pipeline, again):
        np.testing.assert_array_equal(fitted[0].transform(ids), before)
        assert (fitted[0].version_, fitted[0].n_features_out_) == (1, 8)
    fresh = clone(pipeline)
    with pytest.raises(NotFittedError):
        check_is_fitted(fresh[0])
    assert fresh[0].get_params() == pipeline[0].get_params()
    assert fresh[0].fit(ids).version_ == 2
    assert list(fresh[0].get_feature_names_out()) == [f"notes_{n}" for n in range(5)]


def test_a_version_and_a_moment_can_be_named(topics: Project) -> None:
    first = topics.stores().catalog.manifests(topics.versions()[0])[0].run_id
    then = VectorTransformer("notes", as_of=first, conf=conf(topics)).fit()
    assert then.run_ == first
    now = VectorTransformer("notes", version=1, conf=conf(topics))
    assert not np.array_equal(then.transform(["r55"]), now.transform(["r55"]))
    np.testing.assert_array_equal(then.transform(["r3"]), now.transform(["r3"]))
    assert then.transform(["gone"]).shape == (1, 8)
    with pytest.raises(UsageError, match="notes has no version v9"):
        VectorTransformer("notes", version=9, conf=conf(topics)).fit()


def test_a_history_gives_what_records_are_now(project: Project) -> None:
    project.source = {"event_time": "at"}
    project.feature = {"history": True}
    header = ("id", "text", "label", "at")
    project.write([("a", "one", "x", "2026-01-01"), ("b", "two", "", "2026-01-01")], header)
    project.run()
    project.write([("a", "three", "y", "2026-02-01"), ("b", "two", "", "2026-01-01")], header)
    project.run()
    found = VectorTransformer("notes", conf=conf(project)).transform(["b", "a"])
    np.testing.assert_array_equal(found, stacked(project, ["b", "a"]))
    assert len(dataset("notes", conf=conf(project))) == 2


def test_new_texts_get_the_vectors_that_runs_would_give(topics: Project) -> None:
    encoder = EncoderTransformer("notes", conf=conf(topics))
    asked = [text for _, text, _ in texts(50)]
    np.testing.assert_array_equal(encoder.fit_transform(asked), stacked(
        topics, [one for one, _, _ in texts(50)]))  # fmt: skip
    assert encoder.transform([]).shape == (0, 8)
    labels = [label for _, _, label in texts(50)]
    pipeline = make_pipeline(clone(encoder), LogisticRegression()).fit(asked, labels)
    assert pipeline.predict(["petsa petsb petsc"]) == ["pets"]
    for wrong, message in ((["a", None], "encodes texts, got None"), ([["a", "b"]], r"\(1, 2\)")):
        with pytest.raises(UsageError, match=message):
            encoder.transform(wrong)


def test_an_encoder_that_is_gone_is_not_replaced(topics: Project) -> None:
    encoder = EncoderTransformer("notes", conf=conf(topics)).fit()
    with topics.stores().catalog.transaction() as con:
        con.execute("UPDATE versions SET fingerprint = 'another'")
    encoder = EncoderTransformer("notes", conf=conf(topics)).fit()
    with pytest.raises(SearchError, match="notes_v1 was made by an encoder that is not here"):
        encoder.transform(["newsa"])


def test_rows_are_read_as_the_source_reads_them(project: Project) -> None:
    project.encoder = {"kind": "tabular"}
    project.source = {"content": ["size", "colour"]}
    rows = [(f"r{n}", str(n % 11), ["red", "blue"][n % 2], "x") for n in range(40)]
    project.write(rows, ("id", "size", "colour", "label"))
    project.run()
    expected = stacked(project, ["r3", "r4"])
    asked: list[Any] = [
        pl.DataFrame({"size": ["3", "4"], "colour": ["blue", "red"]}),
        [{"size": 3, "colour": "blue"}, {"size": 4, "colour": "red"}],
    ]
    for records in asked:
        found = EncoderTransformer("notes", conf=conf(project)).fit_transform(records)
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(SearchError, match="records: column 'size' wants int, got 'many'"):
        EncoderTransformer("notes", conf=conf(project)).fit_transform(
            [{"size": "many", "colour": "red"}]
        )


def test_interactions_come_as_a_batch_has_them(project: Project) -> None:
    project.encoder = {"kind": "factors", "factors": 3, "iterations": 2}
    source = {"kind": "interactions", "path": "notes.csv", "user": "user", "item": "item"}
    project.source = source
    pairs = [(f"u{n % 12}", f"i{n % 7}") for n in range(60)]
    project.write(pairs, ("user", "item"))
    project.run()
    encoder = EncoderTransformer("notes", conf=conf(project)).fit()
    met = sorted({item for user, item in pairs if user == "u3"})
    weights = [float(pairs.count(("u3", item))) for item in met]
    found = encoder.transform(interactions.batch("user", [met], [weights]))
    np.testing.assert_allclose(found, stacked(project, ["user:u3"]), atol=1e-6)
    with pytest.raises(UsageError, match=r"modality 'interactions', .*, got list; VectorTransf"):
        encoder.transform(["u3"])


# --- PyTorch --------------------------------------------------------------------------------------


def test_a_dataset_gives_vectors_and_classes(topics: Project) -> None:
    data = dataset("notes", label="label", conf=conf(topics))
    assert data.classes == ("mill", "news", "pets")
    rows = list(topics.rows().values())
    assert len(data) == len(rows) == 60
    for item, row in zip((data[n] for n in range(60)), rows, strict=True):
        torch.testing.assert_close(item[0], torch.tensor(row["vector"]))
        assert data.classes[int(item[1])] == row["label"]
    torch.testing.assert_close(data[-1][0], data[59][0])
    with pytest.raises(IndexError, match="there are 60 rows, got number 60"):
        data[60]
    torch.testing.assert_close(dataset("notes", conf=conf(topics))[3], data[3][0])


def test_records_without_a_label_are_left_out(topics: Project) -> None:
    topics.source = topics.source | {"null_values": ["pets"]}
    topics.encoder = topics.encoder | {"dim": 5}
    topics.run()
    data = dataset("notes", label="label", version=2, conf=conf(topics))
    assert data.classes == ("mill", "news")
    assert len(data) == sum(row["label"] is not None for row in topics.rows("notes_v2").values())
    with pytest.raises(UsageError, match="label: notes_v1 has no kept column 'lable'"):
        dataset("notes", label="lable", conf=conf(topics))


def test_a_dataset_stays_what_it_was(topics: Project) -> None:
    data = dataset("notes", conf=conf(topics))
    before = data[5]
    topics.write(texts(30, seed=5))
    topics.run()
    again = pickle.loads(pickle.dumps(data))  # noqa: S301 - our own
    assert len(again) == 60
    torch.testing.assert_close(again[5], before)
    assert len(dataset("notes", conf=conf(topics))) == 30


@pytest.mark.parametrize("seed", [0, 1])
def test_a_shuffled_epoch_has_every_row_once_and_the_seeds_order(
    topics: Project, seed: int
) -> None:
    data = dataset("notes", label="label", conf=conf(topics))
    epochs = [
        torch.cat([batch for batch, _ in data.loader(16, shuffle=True, seed=seed)])
        for _ in range(2)
    ]
    torch.testing.assert_close(epochs[0], epochs[1])
    plain = torch.cat([batch for batch, _ in data.loader(16)])
    assert not torch.equal(plain, epochs[0])
    assert sorted(map(tuple, plain.tolist())) == sorted(map(tuple, epochs[0].tolist()))


@pytest.mark.slow
def test_workers_fetch_what_one_process_does(topics: Project) -> None:
    data = dataset("notes", label="label", conf=conf(topics))
    alone, helped = (list(data.loader(16, workers=workers)) for workers in (0, 2))
    for (one, classes), (other, others) in zip(alone, helped, strict=True):
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(classes, others)


def test_rows_of_records_can_be_split(topics: Project) -> None:
    data = dataset("notes", conf=conf(topics))
    parts: Any = torch.utils.data.random_split(data, [40, 20])
    loader = torch.utils.data.DataLoader(parts[1], batch_size=7)
    assert [len(batch) for batch in loader] == [7, 7, 6]
