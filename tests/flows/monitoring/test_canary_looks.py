"""Canaries are encoded again: a change of the encoder is told from one of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from flows.monitoring.canaries import Local
from flows.monitoring.looking import monitor
from flows.output.progress import Silent
from flows.pipeline import fitting
from flows.pipeline.refusals import RunError
from flows.pipeline.scope import Scope
from storage.canaries import Canaries
from tests.encoders.endpoints import DIM, Endpoint, endpoint, units_of
from tests.flows.monitoring.canary_scenes import kept, look, texts
from tests.flows.project import Project
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.flows.shop import Shop


def test_an_encoder_that_stays_is_quiet_and_nothing_is_written(watched: Project) -> None:
    watched.write(texts(0, 110))
    first = watched.run().run
    watched.write(texts(0, 170))
    watched.run()
    before = {p: p.stat().st_mtime_ns for p in (watched.root / "data").rglob("*.arrow")}
    found = look(watched)["encoder"]
    assert found.verdict == "quiet", found.summary
    assert (found.statistic, found.n_reference, found.reference_run) == (0.0, 100, first)
    assert found.reference is not None
    assert found.reference.startswith("100 canaries, as first encoded on 2")
    assert {p: p.stat().st_mtime_ns for p in (watched.root / "data").rglob("*.arrow")} == before
    assert list((watched.root / "data" / "staging").rglob("*.parquet")) == []


def test_a_changed_encoder_is_told_from_changed_data(watched: Project) -> None:
    watched.write(texts(0, 100))
    first = watched.run().run
    watched.encoder = {"breach": "turns"}
    watched.write(texts(0, 200))
    assert watched.run().version == 1, "the recipe does not tell of it"
    found = look(watched)
    assert found["encoder"].verdict == "alarm"
    assert found["encoder"].summary.startswith("the encoder changed: 100 of 100 canaries")
    assert "the same on other axes" in found["encoder"].summary
    drift = found["drift"]
    assert drift.verdict == "quiet", drift.summary
    assert drift.summary.endswith("; judged apart from the encoder's change")
    assert drift.reference == "the canaries, encoded anew, since the encoder changed"
    assert (drift.reference_run, drift.n_reference, drift.n_current) == (first, 100, 100)


@pytest.mark.parametrize("blocking", ["encoder", "drift"])
def test_it_is_told_from_changed_data_whoever_looks_before_the_run_is_published(
    watched: Project, blocking: str
) -> None:
    watched.more = f'[monitors.{blocking}]\nblocks = "publishing"\n'
    watched.write(texts(0, 100))
    watched.run()
    watched.encoder = {"breach": "turns"}
    watched.write(texts(0, 200))
    watched.run(scope=Scope(allow_alarms=True))
    found = {f.monitor: f for f in monitor(watched.settings(), "notes", Silent(), again=False)}
    assert found["encoder"].verdict == "alarm"
    assert found["drift"].reference == "the canaries, encoded anew, since the encoder changed"


def test_what_a_changed_encoder_made_of_a_run_that_was_blocked_is_forgotten(
    watched: Project,
) -> None:
    watched.more = '[monitors.encoder]\nblocks = "publishing"\n'
    watched.write(texts(0, 60))
    watched.run()
    first = kept(watched)
    watched.encoder = {"breach": "turns"}
    watched.write(texts(0, 200))
    words = r"what was encoded is forgotten, since the encoder has changed\. Put the encoder back"
    with pytest.raises(RunError, match=words):
        watched.run()
    assert kept(watched).equals(first), "the new ones have no vector of this space"
    watched.encoder = {}
    counts = watched.run().counts
    assert (counts.encoded, counts.resumed) == (140, 0)
    assert look(watched)["encoder"].verdict == "quiet"


def test_canaries_of_the_run_itself_and_their_missing_columns_are_no_reference(
    watched: Project,
) -> None:
    watched.feature = {"monitors": ["encoder", "slices", "drift"]}
    watched.write(texts(0, 30))
    watched.run()
    watched.encoder = {"breach": "turns"}
    rows = [(record_id, text, "xy"[n % 2]) for n, (record_id, text, _) in enumerate(texts(30, 200))]
    watched.write([*texts(0, 30), *rows])
    watched.run()
    found = look(watched)
    assert found["encoder"].n_current == 100
    assert found["drift"].n_reference == 30
    assert found["slices"].verdict == "cannot tell", found["slices"].summary


def test_a_change_after_the_run_leaves_the_others_their_reference(watched: Project) -> None:
    watched.write(texts(0, 100))
    watched.run()
    watched.write(texts(0, 200))
    watched.run()
    assert look(watched)["encoder"].verdict == "quiet"
    watched.encoder = {"breach": "turns"}
    watched.run()  # encodes nothing: its last vectors are of the encoder as it was
    for _ in range(2):
        found = look(watched)
        assert found["encoder"].verdict == "alarm"
        assert "after this run was first looked at" in found["encoder"].summary
        assert found["drift"].verdict == "quiet", found["drift"].summary
        assert found["drift"].reference == "the state before the run"


def test_an_encoder_that_is_out_of_order_is_no_change(watched: Project) -> None:
    watched.write(texts(0, 60))
    watched.run()
    watched.write(texts(0, 120))
    watched.run()
    watched.encoder = {"breach": "refuses"}
    watched.write(texts(0, 130))
    with pytest.raises(RunError, match="the weights are gone"):
        watched.run()
    heard = Heard()
    findings = {f.monitor: f for f in monitor(watched.settings(), "notes", heard)}
    assert findings["encoder"].verdict == "cannot tell"
    assert "could not be encoded again" in findings["encoder"].summary
    assert any("the weights are gone" in note for note in heard.notes)
    assert findings["drift"].verdict == "quiet", "the others look all the same"


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


def other_model(texts: Sequence[str], dim: int) -> NDArray[np.float32]:
    """Another model behind the same name: it sees other things in the same texts."""
    return units_of([f"{text} as others see it" for text in texts], dim)


@pytest.mark.parametrize("drifts", [False, True])
def test_a_model_that_changes_behind_its_endpoint_is_seen(
    tmp_path: Path, server: Endpoint, *, drifts: bool
) -> None:
    keys: dict[str, Any] = {"kind": "remote", "url": server.openai, "model": "drawn", "dim": DIM}
    project = Project(tmp_path, encoder=keys, feature={"monitors": ["drift", "encoder"]})
    server.embed = units_of
    project.write(texts(0, 100))
    project.run()
    project.write(texts(0, 200))
    project.run()
    assert {f.verdict for f in look(project).values()} == {"quiet"}

    def embed(given: Sequence[str], dim: int) -> NDArray[np.float32]:
        """Texts of the new word lie together."""
        rows = other_model(given, dim)
        rows[["novel" in text for text in given]] += np.float32(0.5)
        return rows

    server.embed = embed
    project.write([*texts(0, 200), *texts(200, 300, "novel" if drifts else "text")])
    assert project.run().version == 1
    found = look(project)
    assert found["encoder"].verdict == "alarm"
    assert "it is another space" in found["encoder"].summary
    assert found["drift"].verdict == ("alarm" if drifts else "quiet"), found["drift"].summary
    assert "judged apart from the encoder's change" in found["drift"].summary
    fitting.forget()


def test_pictures_that_are_gone_or_changed_are_left_out(project: Project) -> None:
    folder = project.root / "pictures"
    folder.mkdir()
    for n in range(8):
        Image.new("RGB", (16, 16), (n * 30, 90, 40)).save(folder / f"{n}.png")
    project.source = {"kind": "files", "path": "pictures/*.png"}
    project.encoder = {"kind": "vision", "centroids": 2}
    project.feature = {"monitors": ["encoder"]}
    project.run()
    assert look(project)["encoder"].n_current == 8
    (folder / "1.png").unlink()
    Image.new("RGB", (16, 16), "white").save(folder / "2.png")
    found = look(project)["encoder"]
    assert (found.verdict, found.n_reference, found.n_current) == ("quiet", 6, 6)


def test_of_files_elsewhere_none_is_kept(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"record_id": ["a", "b"], "place": ["a", "b"], "content_hash": ["1", "2"],
         "content": ["s3://pictures/a.png", "/pictures/b.png"]}
    )  # fmt: skip
    chosen = Local(Canaries(tmp_path).choice("pictures_v1", 5))
    chosen.add(rows)
    chosen.close()
    assert Canaries(tmp_path).count("pictures_v1", ["a"], chunked=False) == 0
    assert Canaries(tmp_path).count("pictures_v1", ["b"], chunked=False) == 1


def test_features_over_features_have_them_too(shop: Shop) -> None:
    shop.keys = 'monitors = ["encoder"]'
    shop.write([(n, f"note {n}", "x") for n in "abcdefgh"])
    shop.photos([(f"p{n}", n, "red", "2024-01-01", "x") for n in "abcdefgh"])
    shop.configure()
    for name in ("notes", "photos", "products"):
        shop.run(name=name)
    found = look(shop, "products")["encoder"]
    assert (found.verdict, found.statistic, found.n_current) == ("quiet", 0.0, 8)
