"""Labels and captions across modalities: the nearest in one space, and what is refused."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from flows.output import rows_out
from tests.flows.searching.gallery import GAP, Gallery, nearest, vectors
from tests.flows.shapes import CAPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.flows.commands.commanding import Answer


def test_labels_are_those_of_the_highest_cosine(
    gallery: Gallery, vecmill: Callable[..., Answer]
) -> None:
    said = vecmill(gallery, "label", "photos", "--labels", ",".join(CAPTIONS), "-k", "3", "--json")
    assert said.code == 0
    assert re.search(GAP, said.err)
    photos, words = vectors(gallery, "photos"), vectors(gallery, "captions")
    orders = dict(zip(photos, nearest([*photos.values()], words), strict=True))
    scale = np.exp(2.6592)  # what a CLIP begins with
    for row in said.rows:
        best = orders[row["record_id"]][row["rank"] - 1]
        assert row["label"] == CAPTIONS[int(best[1:])]
        cosines = np.array([photos[row["record_id"]] @ v for v in words.values()])
        assert row["cosine"] == pytest.approx(photos[row["record_id"]] @ words[best], abs=1e-5)
        share = np.exp(scale * row["cosine"]) / np.exp(scale * cosines).sum()
        assert row["share"] == pytest.approx(share, rel=1e-3)
    assert len(said.rows) == 3 * len(photos)


def test_shares_of_a_whole_list_add_up_to_one(
    gallery: Gallery, vecmill: Callable[..., Answer], tmp_path: Path
) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("red square\n\n blue circle \ngreen cross\n", encoding="utf-8")
    more = ["--labels-file", str(file), "--output", str(tmp_path / "labels.parquet"), "-k", "9"]
    said = vecmill(gallery, "label", "photos", *more)
    assert (said.code, said.out) == (0, "")
    assert f"{3 * len(CAPTIONS)} rows in" in said.err
    rows = pl.read_parquet(tmp_path / "labels.parquet")
    assert rows.columns == ["record_id", "rank", "label", "share", "cosine"]
    sums = rows.group_by("record_id").agg(pl.col("share").sum())
    assert len(sums) == len(CAPTIONS)
    np.testing.assert_allclose(sums["share"].to_numpy(), 1)
    assert {*rows["label"]} == {"red square", "blue circle", "green cross"}


def test_several_prompts_are_one_mean_of_unit_vectors(
    gallery: Gallery, vecmill: Callable[..., Answer]
) -> None:
    from encoders import registry
    from encoders.clip import Params

    encoder: Any = registry.build("clip", Params(str(gallery.root / "clip"), "image"))
    labels, prompts = ["red", "blue"], ["a {} square", "{} cross"]
    texts = sum(
        encoder.encode_other("text", [prompt.replace("{}", one) for one in labels])
        for prompt in prompts
    )
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    given = [part for prompt in prompts for part in ("--prompt", prompt)]
    said = vecmill(gallery, "label", "photos", "--labels", "red, blue", *given, "--json")
    photos = vectors(gallery, "photos")
    for row in said.rows:
        cosines = texts @ photos[row["record_id"]]
        assert row["label"] == labels[int(cosines.argmax())]
        assert row["cosine"] == pytest.approx(cosines.max(), abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["photos"], "labels come from --labels or from --labels-file"),
        (["photos", "--labels", "cat"], "two or more are needed, got 1"),
        (["photos", "--labels", "cat,dog,cat"], "the labels name 'cat' more than once"),
        (["photos", "--labels", "cat,,dog"], "a label is empty"),
        (["photos", "--labels", "cat,dog", "-k", "0"], "-k must be at least 1, got 0"),
        (["photos", "--labels", "cat,dog", "--prompt", "a photo"], "--prompt must hold {} once"),
        (["photos", "--labels", "cat,dog", "--output", "x.txt"], "expected .csv or .parquet"),
        (["notes", "--labels", "cat,dog"], "which has no tower for texts beside them"),
        (["captions", "--labels", "cat,dog"], "which has no tower for texts beside them"),
        (["photoes", "--labels", "cat,dog"], "did you mean 'photos'?"),
    ],
)
def test_labels_that_are_none_are_refused(
    gallery: Gallery, vecmill: Callable[..., Answer], arguments: list[str], told: str
) -> None:
    said = vecmill(gallery, "label", *arguments)
    assert (said.code, said.out) == (2, "")
    assert told in said.err


def test_captions_are_the_nearest_records_exactly(
    gallery: Gallery,
    vecmill: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "flows.searching.across._BLOCK", 5
    )  # so that both features come in several blocks
    said = vecmill(gallery, "caption", "photos", "--from", "captions", "-k", "4", "--json")
    assert said.code == 0
    photos = vectors(gallery, "photos")
    orders = dict(
        zip(photos, nearest([*photos.values()], vectors(gallery, "captions")), strict=True)
    )
    found: dict[str, list[str]] = {}
    for row in said.rows:
        found.setdefault(row["record_id"], []).append(row["caption_id"])
        assert row["caption"] == CAPTIONS[int(row["caption_id"][1:])]
        assert row["rank_1"] == int(row["caption_id"][1:]), "the kept column gives way"
    assert found == {name: order[:4] for name, order in orders.items()}


def test_captions_are_a_table_for_people_and_a_file_for_programs(
    gallery: Gallery, vecmill: Callable[..., Answer], tmp_path: Path
) -> None:
    said = vecmill(gallery, "caption", "photos", "--from", "captions")
    assert said.out.splitlines()[0].split()[:5] == [
        "record_id", "rank", "caption_id", "cosine", "caption",
    ]  # fmt: skip
    file = tmp_path / "captions.csv"
    file.write_text("what was there before")
    more = ["--output", str(file), "--json"]
    written = vecmill(gallery, "caption", "photos", "--from", "captions", *more)
    assert written.rows == [{"rows": len(CAPTIONS), "path": str(file)}]
    rows = pl.read_csv(file)
    assert rows.columns == ["record_id", "rank", "caption_id", "cosine", "caption", "rank_1"]
    assert len(rows) == len(CAPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["captions.csv"]


def test_bytes_stand_in_a_csv_file_in_base64(tmp_path: Path) -> None:
    rows = pl.DataFrame({"record_id": ["a", "b"], "thumbnail": [b"RIFF\xff", None]})
    file = tmp_path / "rows.csv"
    assert rows_out.write([rows], rows.schema, file) == 2
    assert file.read_text() == "record_id,thumbnail\na,UklGRv8=\nb,\n"


def test_a_long_table_says_what_it_leaves_out(
    gallery: Gallery, vecmill: Callable[..., Answer]
) -> None:
    said = vecmill(gallery, "caption", "photos", "--from", "captions", "-k", "12")
    assert len(said.out.splitlines()) == 51
    assert f"{12 * len(CAPTIONS) - 50} rows more; write all with --output FILE" in said.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["photos"], "requires an argument"),
        (["photos", "--from", "apart"], "nothing says that photos and apart share a space"),
        (["photos", "--from", "captions", "-k", "0"], "-k must be at least 1, got 0"),
        (["photos", "--from", "captions", "--output", "nowhere/x.csv"], "there is no folder"),
    ],
)
def test_captions_from_nowhere_are_refused(
    gallery: Gallery, vecmill: Callable[..., Answer], arguments: list[str], told: str
) -> None:
    said = vecmill(gallery, "caption", *arguments)
    assert (said.code, said.out) == (2, "")
    assert told in said.err.replace("│", " ")


def test_nothing_is_captioned_before_both_have_run(
    own: Gallery, vecmill: Callable[..., Answer]
) -> None:
    shutil.rmtree(own.root / "data")
    said = vecmill(own, "caption", "photos", "--from", "captions")
    assert (said.code, said.out) == (2, "")
    assert "photos has no live version yet; run `vecmill run photos` first" in said.err


def test_no_records_are_no_rows(own: Gallery, vecmill: Callable[..., Answer]) -> None:
    (own.root / "captions.csv").write_text("id,caption,rank\n")
    ran = vecmill(own, "run", "--direct", "captions", "--allow-deletes")
    assert ran.code == 0
    file = own.root / "none.parquet"
    said = vecmill(own, "caption", "photos", "--from", "captions", "--output", str(file))
    assert said.code == 0
    assert len(pl.read_parquet(file)) == 0
    assert pl.read_parquet(file).columns[-1] == "rank_1"
