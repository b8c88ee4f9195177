"""Across modalities: search, labels and captions through one space, and refusals without one."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from flows.cli import run_command
from flows.config.configuration import load
from flows.config.settings import SettingsError
from flows.config.stores import Stores
from flows.output import rows_out
from flows.pipeline import fitting
from storage import query
from tests.encoders.bridges import save_clip
from tests.encoders.conftest import save_sentence_model
from tests.flows.shapes import CAPTIONS, COLOURS, FIGURES, draw, save_trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CONF = """
[sources.photos]
kind = "files"
path = "photos/*.png"
pattern = "{colour}_{figure}_{take}.png"

[sources.captions]
kind = "table"
path = "captions.csv"
id = "id"
content = "caption"
keep = ["caption", "rank"]

[encoders.looks]
kind = "clip"
model = "clip"
reads = "image"

[encoders.words]
kind = "clip"
model = "MODEL"
reads = "text"

[encoders.plain]
kind = "sentence"
model = "sentence"

[features.photos]
source = "photos"
encoder = "looks"

[features.captions]
source = "captions"
encoder = "words"
shares_space_with = "photos"

[features.apart]
source = "captions"
encoder = "words"

[features.notes]
source = "captions"
encoder = "plain"
"""
GAP = "distances between (image and text|text and image) rank what was found here"


@dataclass(frozen=True)
class Answer:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Gallery:
    """Drawings and captions with a model for both."""

    def __init__(self, root: Path, takes: int) -> None:
        self.root, self.conf = root, root / "vecmill.toml"
        rng = np.random.default_rng(5)
        (root / "photos").mkdir(parents=True)
        for caption in CAPTIONS:
            for take in range(takes):
                name = f"{caption.replace(' ', '_')}_{take}.png"
                draw(caption, rng).save(root / "photos" / name)
        with (root / "captions.csv").open("w", encoding="utf-8", newline="") as file:
            rows = [(f"c{n}", caption, n) for n, caption in enumerate(CAPTIONS)]
            csv.writer(file).writerows([("id", "caption", "rank"), *rows])
        self.configure()

    def configure(self, *changes: tuple[str, str]) -> None:
        """Write the configuration, with some of its words replaced."""
        text = CONF
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.conf.write_text(text.replace("MODEL", "clip"), encoding="utf-8")

    def stores(self) -> Stores:
        return Stores.of(load(self.conf))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """A gallery by a model that has learned nothing, run once."""
    gallery = Gallery(tmp_path_factory.mktemp("drawn") / "gallery", takes=1)
    save_clip(gallery.root / "clip", [*COLOURS, *FIGURES])
    save_sentence_model(gallery.root / "sentence")
    assert run_command(["run", "--direct", "--conf", str(gallery.conf)]) == 0
    yield gallery
    fitting.forget()


@pytest.fixture
def gallery(made: Gallery) -> Gallery:
    """The gallery as it is configured at first."""
    made.configure()
    return made


@pytest.fixture
def own(made: Gallery, tmp_path: Path) -> Gallery:
    """A copy of the gallery that a test may change."""
    made.configure()
    shutil.copytree(made.root, tmp_path / "own")
    copy = object.__new__(Gallery)
    copy.root, copy.conf = tmp_path / "own", tmp_path / "own" / "vecmill.toml"
    return copy


@pytest.fixture
def vecmill(capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command on a gallery."""

    def call(gallery: Gallery, *arguments: str) -> Answer:
        capfd.readouterr()
        code = run_command([*arguments, "--conf", str(gallery.conf)])
        got = capfd.readouterr()
        return Answer(code, got.out, " ".join(got.err.split()))

    return call


def vectors(gallery: Gallery, feature: str) -> dict[str, Any]:
    """The published vectors of a feature by record id."""
    stores = gallery.stores()
    with query.connect(stores.catalog, stores.vectors) as con:
        rows = con.sql(f"SELECT record_id, vector FROM {feature}").fetchall()  # noqa: S608 - our own words
    return {name: np.asarray(vector) for name, vector in rows}


def nearest(queries: Sequence[Any], found: dict[str, Any]) -> list[list[str]]:
    """Ids by falling cosine with each query, by NumPy alone."""
    names = sorted(found)
    cosines = np.array(queries) @ np.array([found[name] for name in names]).T
    return [[names[n] for n in order] for order in np.argsort(-cosines, axis=1, kind="stable")]


# --- search ---------------------------------------------------------------------------------------


def test_pictures_are_searched_by_words(gallery: Gallery, vecmill: Callable[..., Answer]) -> None:
    said = vecmill(gallery, "search", "photos", "--text", "red circle", "--json", "-k", "4")
    assert said.code == 0
    words = vectors(gallery, "captions")[f"c{CAPTIONS.index('red circle')}"]
    [order] = nearest([words], vectors(gallery, "photos"))
    assert [row["record_id"] for row in said.rows] == order[:4]
    assert re.search(GAP, said.err)
    assert "docs/across.md" in said.err


def test_words_are_searched_by_a_picture(gallery: Gallery, vecmill: Callable[..., Answer]) -> None:
    file = sorted((gallery.root / "photos").glob("*.png"))[3]
    said = vecmill(gallery, "search", "captions", "--image", str(file), "--json", "-k", "3")
    [order] = nearest([vectors(gallery, "photos")[file.name]], vectors(gallery, "captions"))
    assert [row["record_id"] for row in said.rows] == order[:3]
    assert re.search(GAP, said.err)


def test_a_search_within_a_modality_is_told_nothing_of_a_gap(
    gallery: Gallery, vecmill: Callable[..., Answer]
) -> None:
    said = vecmill(gallery, "search", "captions", "--text", "red circle", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.rows[0]["caption"] == "red circle"


@pytest.mark.parametrize(("searched", "of"), [("captions", "photos"), ("photos", "captions")])
def test_a_record_of_another_feature_is_searched_by_where_that_is_said(
    gallery: Gallery, vecmill: Callable[..., Answer], searched: str, of: str
) -> None:
    record = sorted(vectors(gallery, of))[2]
    said = vecmill(gallery, "search", searched, "--id", record, "--of", of, "-k", "5", "--json")
    assert said.code == 0
    [order] = nearest([vectors(gallery, of)[record]], vectors(gallery, searched))
    assert [row["record_id"] for row in said.rows] == order[:5]
    assert re.search(GAP, said.err)


def test_features_of_one_modality_may_share_a_space_too(
    own: Gallery, vecmill: Callable[..., Answer]
) -> None:
    more = ("[features.apart]", '[features.apart]\nshares_space_with = ["captions", "photos"]')
    own.configure(more)
    said = vecmill(own, "search", "apart", "--id", "c4", "--of", "captions", "-k", "1", "--json")
    assert (said.code, said.err) == (0, ""), "one modality has no gap"
    assert said.rows[0]["record_id"] == "c4"
    assert said.rows[0]["distance"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["notes", "--image", "x.png"], "a query by image would be of another space"),
        (["photos", "--audio", "x.wav"], "Search it with --image, --text or --id"),
        (["photos", "--row", "{}"], "Search it with --image, --text or --id"),
        (["photos", "--id", "c1", "--of", "apart"], "nothing says that photos and apart share"),
        (["photos", "--id", "c1", "--of", "notes"], "nothing says that photos and notes share"),
        (["photos", "--id", "nobody", "--of", "captions"], "captions has no record 'nobody'"),
        (["photos", "--id", "c1", "--of", "captoins"], "did you mean 'captions'?"),
        (["photos", "--text", "red", "--of", "captions"], "goes with an id, got a query by text"),
        (["photos", "--text", " "], "the query text is empty"),
    ],
)
def test_a_query_from_another_space_is_refused(
    gallery: Gallery, vecmill: Callable[..., Answer], arguments: list[str], told: str
) -> None:
    said = vecmill(gallery, "search", *arguments)
    assert (said.code, said.out) == (2, "")
    assert told in said.err


# --- the declaration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("captions", "names the feature itself"),
        ("photoes", "names 'photoes', no feature; did you mean 'photos'?"),
        ("notes", "kinds 'clip' and 'sentence', whose vectors have no space in common"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused_at_once(
    own: Gallery, named: str, told: str
) -> None:
    own.configure(('shares_space_with = "photos"', f'shares_space_with = "{named}"'))
    with pytest.raises(SettingsError, match=re.escape(told)):
        load(own.conf)


def another_model(own: Gallery) -> None:
    save_clip(own.root / "other", [*COLOURS, *FIGURES, "purple"])
    own.configure(("MODEL", "other"))


@pytest.mark.parametrize("command", [["plan"], ["run", "--direct"]])
def test_encoders_of_two_models_are_refused_before_a_run(
    own: Gallery, vecmill: Callable[..., Answer], command: list[str]
) -> None:
    another_model(own)
    said = vecmill(own, *command, "captions")
    assert said.code == 2
    assert "'words' and 'looks' have no space in common: their files config.json, " in said.err
    assert "model.safetensors differ" in said.err
    assert vecmill(own, *command, "photos").code == 0, "the other feature goes on"


def test_other_norms_are_another_space(own: Gallery, vecmill: Callable[..., Answer]) -> None:
    own.configure(('model = "MODEL"', 'model = "clip"\nnormalize = false'))
    said = vecmill(own, "plan", "captions")
    assert said.code == 2
    assert "no space in common: normalize is False and True" in said.err


def test_live_versions_of_two_models_are_not_searched_across(
    own: Gallery, vecmill: Callable[..., Answer]
) -> None:
    another_model(own)
    text = own.conf.read_text("utf-8").replace('model = "clip"', 'model = "other"')
    own.conf.write_text(text, encoding="utf-8")
    assert vecmill(own, "run", "--direct", "captions").code == 0
    candidate = vecmill(own, "search", "captions", "--id", "apple", "--of", "photos")
    assert "has no record 'apple'" in candidate.err, "the live versions still share one"
    assert vecmill(own, "promote", "captions", "candidate").code == 0
    photo = min(vectors(own, "photos"))
    for arguments in (
        ["search", "captions", "--id", photo, "--of", "photos"],
        ["caption", "photos", "--from", "captions"],
    ):
        said = vecmill(own, *arguments)
        assert (said.code, said.out) == (2, "")
        assert "share no space: their files config.json, model.safetensors differ" in said.err
        assert "promote versions of one model in both" in said.err
    told = vecmill(own, "run", "--direct", "captions")
    assert told.code == 0
    assert "captions_v2 and photos_v1, which are live, share no space" in told.err
    assert vecmill(own, "run", "--direct", "photos").code == 0
    healed = vecmill(own, "promote", "photos", "candidate")
    assert healed.code == 0
    assert vecmill(own, "caption", "photos", "--from", "captions").code == 0


# --- labels ---------------------------------------------------------------------------------------


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


# --- captions -------------------------------------------------------------------------------------


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


# --- that it works --------------------------------------------------------------------------------


TAKES = 4
"""Drawings of each caption that the trained model is tried on."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """A gallery by a model that has learned what is on it."""
    gallery = Gallery(tmp_path_factory.mktemp("trained") / "gallery", takes=TAKES)
    save_trained(gallery.root / "clip")
    save_sentence_model(gallery.root / "sentence")
    assert run_command(["run", "--direct", "--conf", str(gallery.conf)]) == 0
    yield gallery
    fitting.forget()


@pytest.mark.slow
class TestTrained:
    """A model that has learned some shapes, through the whole command line."""

    def test_words_find_the_pictures_that_they_tell_of(
        self, trained: Gallery, vecmill: Callable[..., Answer]
    ) -> None:
        right = 0
        for caption in CAPTIONS:
            more = ["-k", str(TAKES), "--json"]
            said = vecmill(trained, "search", "photos", "--text", caption, *more)
            right += sum(f"{row['colour']} {row['figure']}" == caption for row in said.rows)
        assert right / (TAKES * len(CAPTIONS)) > 0.8, "1 in 12 by chance"

    def test_a_picture_finds_its_words(
        self, trained: Gallery, vecmill: Callable[..., Answer], tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(77)
        right = 0
        for caption in CAPTIONS:
            draw(caption, rng).save(tmp_path / "new.png")
            more = ["--image", str(tmp_path / "new.png"), "-k", "1", "--json"]
            right += vecmill(trained, "search", "captions", *more).rows[0]["caption"] == caption
        assert right / len(CAPTIONS) > 0.8

    def test_pictures_get_their_captions(
        self, trained: Gallery, vecmill: Callable[..., Answer]
    ) -> None:
        said = vecmill(trained, "caption", "photos", "--from", "captions", "--json")
        names = [row["record_id"].split("_")[:2] for row in said.rows]
        right = [row["caption"].split() == name
                 for row, name in zip(said.rows, names, strict=True)]  # fmt: skip
        assert len(right) == TAKES * len(CAPTIONS)
        assert np.mean(right) > 0.8

    def test_pictures_get_their_labels_with_the_models_own_certainty(
        self, trained: Gallery, vecmill: Callable[..., Answer]
    ) -> None:
        more = ["--labels", ",".join(CAPTIONS), "--prompt", "a drawing of a {}", "--json"]
        rows = vecmill(trained, "label", "photos", *more).rows
        right = [row["label"].split() == row["record_id"].split("_")[:2] for row in rows]
        assert np.mean(right) > 0.8
        assert np.mean([row["share"] for row in rows]) > 0.5, "twelve labels, one stands out"

    def test_sql_joins_the_two_in_one_space(self, trained: Gallery) -> None:
        page = Path(__file__).parents[3] / "docs" / "across.md"
        [statement] = re.findall(
            r"^```sql\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        stores = trained.stores()
        with query.connect(stores.catalog, stores.vectors) as con:
            rows = con.sql(statement).pl()
        assert len(rows) == TAKES * len(CAPTIONS)
        right = [row["caption"].split() == row["photo"].split("_")[:2]
                 for row in rows.iter_rows(named=True)]  # fmt: skip
        assert np.mean(right) > 0.8
