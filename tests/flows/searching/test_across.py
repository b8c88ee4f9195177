"""Search across modalities through one space, refusals without one, a model that has learned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.cli import run_command
from flows.config.configuration import load
from flows.config.settings import SettingsError
from flows.pipeline import fitting
from storage import query
from tests.encoders.bridges import save_clip
from tests.encoders.conftest import save_sentence_model
from tests.flows.searching.gallery import GAP, Gallery, nearest, vectors
from tests.flows.shapes import CAPTIONS, COLOURS, FIGURES, draw, save_trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.flows.commands.commanding import Answer


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
