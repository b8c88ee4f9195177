"""What every encoder promises, tested on every entry of conf/test.toml."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest

from encoders import abilities, base, media, registry
from encoders.base import Encoder, EncoderError, Learner, State
from storage.ids import fingerprint
from tests.encoders import samples
from tests.encoders.conftest import entries, lacking, params

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet
    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("weights")

SEED = 5
THREADS = 4
SLOW = {
    "minilm",
    "use_tiny",
}  # beside one a tiny model of the same kind is tested; TensorFlow is slow


def marked(name: str) -> ParameterSet:
    """An entry, skipped where the machine lacks what it needs."""
    needs = [pytest.mark.skip(reason=f"{variable} is not set") for variable in lacking(name)]
    return pytest.param(name, marks=[*needs, *([pytest.mark.slow] if name in SLOW else [])])


NAMES = [marked(name) for name in entries()]


def build(name: str, **changes: object) -> Encoder:
    kind, wanted = params(name, **changes)
    return registry.build(kind, wanted)


def learn(encoder: Encoder, rows: int = samples.ROWS) -> Encoder:
    """The encoder, fitted on the first so many records, and on their labels where it wants some."""
    modality, rng = encoder.modality, np.random.default_rng(SEED)
    if isinstance(encoder, abilities.Labelled) and encoder.label is not None:
        sample = samples.take(samples.usual(modality), range(rows))
        encoder.fit_labelled(sample, samples.labels(modality)[:rows], rng)
    elif isinstance(encoder, Learner):
        encoder.fit(samples.take(samples.usual(modality), range(rows)), rng)
    return encoder


@cache
def ready(name: str) -> Encoder:
    """The encoder of an entry, fitted; built once, since nothing that a test does changes it."""
    return learn(build(name))


def ready_twin(name: str, modality: str) -> Encoder:
    """The encoder of an entry, with records of another modality that it takes."""
    return learn(build(name, reads=modality))


@cache
def vectors(name: str) -> NDArray[np.float32]:
    return ready(name).encode(samples.usual(ready(name).modality))


def learner(name: str) -> Any:  # noqa: ANN401 - both an Encoder and a Learner
    encoder = build(name)
    if not isinstance(encoder, Learner):
        pytest.skip(f"{name} does not learn")
    return encoder


def assert_close(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * float(np.abs(expected).max()))


def test_every_kind_is_tested() -> None:
    tested = {entry["kind"] for entry in entries().values()}
    assert tested == set(registry.kinds()), (
        "each kind needs an entry in conf/test.toml, no other does"
    )


def test_every_kind_says_what_it_reads() -> None:
    told = {kind for modality in get_args(base.Modality) for kind in registry.reading(modality)}
    assert told == set(registry.kinds())
    assert "clip" in registry.reading("image")
    assert "clip" in registry.reading("text")


def test_importing_every_kind_is_light() -> None:
    heavy = ["torch", "transformers", "sklearn", "scipy", "torchvision", "soundfile", "PIL"]
    code = (
        "import sys; from encoders import registry; registry.kinds(); "
        f"print(set(sys.modules).intersection({heavy}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    assert ran.stdout.strip() == "set()"


@pytest.mark.parametrize("name", NAMES)
class TestEveryEncoder:
    def test_says_what_it_is(self, name: str) -> None:
        encoder = ready(name)
        assert encoder.modality == registry.modality(*params(name))
        assert encoder.metric in get_args(base.Metric)
        assert encoder.batch_size >= 1
        assert encoder.dim >= 1

    def test_gives_a_finite_row_a_record(self, name: str) -> None:
        found = vectors(name)
        assert found.shape == (samples.ROWS, ready(name).dim)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()

    def test_tells_records_apart(self, name: str) -> None:
        assert len(np.unique(vectors(name), axis=0)) == samples.ROWS

    def test_gives_no_rows_for_none(self, name: str) -> None:
        encoder = ready(name)
        found = encoder.encode(samples.take(samples.usual(encoder.modality), []))
        assert found.shape == (0, encoder.dim)
        assert found.dtype == np.float32

    def test_keeps_the_order(self, name: str) -> None:
        encoder = ready(name)
        order = np.random.default_rng(3).permutation(samples.ROWS)
        shuffled = samples.take(samples.usual(encoder.modality), order.tolist())
        assert_close(encoder.encode(shuffled), vectors(name)[order])

    def test_a_row_depends_on_its_record_alone(self, name: str) -> None:
        encoder = ready(name)
        batch = samples.usual(encoder.modality)
        for row in (0, 7, samples.ROWS - 1):
            assert_close(encoder.encode(samples.take(batch, [row])), vectors(name)[[row]])
        among = encoder.encode(samples.joined(samples.odd(encoder.modality), batch))
        assert_close(among[-samples.ROWS :], vectors(name))

    def test_leaves_its_input_as_it_was(self, name: str) -> None:
        encoder = ready(name)
        batch = samples.joined(samples.usual(encoder.modality), samples.odd(encoder.modality))
        before = samples.content(batch)
        encoder.encode(batch)
        assert samples.content(batch) == before

    def test_bears_odd_records(self, name: str) -> None:
        encoder = ready(name)
        batch = samples.odd(encoder.modality)
        together = encoder.encode(batch)
        assert np.isfinite(together).all()
        alone = [encoder.encode(samples.take(batch, [row])) for row in range(len(batch))]
        assert_close(np.concatenate(alone), together)

    def test_counts_what_it_does_not_read(self, name: str) -> None:
        encoder = ready(name)
        if not isinstance(encoder, abilities.Cutting):
            pytest.skip(f"{name} reads records whole")
        batch = samples.usual(encoder.modality)
        cut = encoder.truncated(batch)
        one_by_one = [encoder.truncated(samples.take(batch, [row])) for row in range(len(batch))]
        assert sum(one_by_one, abilities.Truncated()) == cut
        assert bool(cut.cut) == bool(cut.texts)
        assert cut.cut <= cut.tokens
        assert encoder.truncated([]).texts == 0

    def test_threads_may_share_it(self, name: str) -> None:
        encoder = ready(name)
        batch = samples.usual(encoder.modality)
        cuts = [list(range(start, samples.ROWS, 12)) for start in range(12)] * THREADS
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(lambda rows: encoder.encode(samples.take(batch, rows)), cuts))
        for rows, part in zip(cuts, found, strict=True):
            assert_close(part, vectors(name)[rows])

    def test_encodes_queries_into_the_same_space(self, name: str) -> None:
        encoder = ready(name)
        if not isinstance(encoder, abilities.Asked):
            pytest.skip(f"{name} encodes queries as it does records")
        batch = samples.usual(encoder.modality)
        found = encoder.encode_query(batch)
        assert found.shape == vectors(name).shape
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        assert_close(encoder.encode_query(samples.take(batch, [7])), found[[7]])
        assert encoder.encode_query([]).shape == (0, encoder.dim)

    def test_puts_other_modalities_into_its_space(self, name: str) -> None:
        encoder = ready(name)
        if not isinstance(encoder, abilities.Bridging):
            assert "space" not in encoder.recipe(), "a space to share, and nothing that shares it"
            pytest.skip(f"{name} takes one modality")
        assert encoder.scale > 0
        assert encoder.others
        assert encoder.modality not in encoder.others
        assert re.fullmatch(r"[0-9a-f]{64}", str(encoder.recipe()["space"]))
        for other in encoder.others:
            batch = samples.joined(samples.usual(other), samples.odd(other))
            before = samples.content(batch)
            found = encoder.encode_other(other, batch)
            assert samples.content(batch) == before
            assert found.shape == (len(batch), encoder.dim)
            assert found.dtype == np.float32
            assert np.isfinite(found).all()
            for row in (0, 7, len(batch) - 1):
                assert_close(encoder.encode_other(other, samples.take(batch, [row])), found[[row]])
            assert encoder.encode_other(other, samples.take(batch, [])).shape == (0, encoder.dim)
            twin = ready_twin(name, other)
            assert_close(twin.encode(samples.usual(other)), found[: samples.ROWS])
            assert twin.recipe()["space"] == encoder.recipe()["space"]
            assert fingerprint(twin.recipe()) != fingerprint(encoder.recipe())
        for modality in {*get_args(base.Modality)} - {*encoder.others}:
            with pytest.raises(EncoderError, match=re.escape(encoder.others[0])):
                encoder.encode_other(modality, [])

    def test_is_repeatable(self, name: str) -> None:
        again = learn(build(name))
        assert again.recipe() == ready(name).recipe()
        found = again.encode(samples.usual(again.modality))
        np.testing.assert_array_equal(found, vectors(name))

    def test_its_recipe_can_be_hashed_and_holds_no_path(self, name: str, weights: Path) -> None:
        written = json.dumps(ready(name).recipe(), allow_nan=False)
        assert json.loads(written) == ready(name).recipe()
        for place in (weights, Path.home(), Path(sys.prefix), Path.cwd()):
            assert str(place) not in written

    def test_its_recipe_names_what_decodes_its_records(self, name: str) -> None:
        decoders = {"image": {"pillow"}, "audio": {"soundfile", "libsndfile"}}
        encoder = ready(name)
        recipe: dict[str, Any] = encoder.recipe()
        if encoder.modality not in decoders:
            assert "decoding" not in recipe
            return
        assert recipe["decoding"] == media.REVISION
        named = {library: recipe["libraries"][library] for library in decoders[encoder.modality]}
        assert all(re.fullmatch(r"\d+", major) for major in named.values())

    def test_another_way_of_decoding_is_another_fingerprint(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoder = ready(name)
        before = fingerprint(encoder.recipe())
        monkeypatch.setattr(media, "REVISION", media.REVISION + 1)
        decoded = encoder.modality in {"image", "audio"}
        assert (fingerprint(encoder.recipe()) != before) == decoded

    def test_its_fingerprint_changes_with_its_output(self, name: str) -> None:
        _, wanted = params(name)
        changed = []
        for field in fields(wanted):
            other = varied(getattr(wanted, field.name))
            if other is None:
                continue
            try:
                encoder = learn(build(name, **{field.name: other}))
            except (EncoderError, ValueError):
                continue  # the value is not allowed here; what is refused needs no fingerprint
            found = encoder.encode(samples.usual(encoder.modality))
            same = found.shape == vectors(name).shape and np.allclose(
                found, vectors(name), rtol=0, atol=1e-4 * float(np.abs(found).max())
            )
            kept = fingerprint(encoder.recipe()) == fingerprint(ready(name).recipe())
            assert same or not kept, f"{field.name} changes the vectors, not the fingerprint"
            if field.name == "batch_size":
                assert same, "batch_size changes the vectors"
                assert kept, "batch_size changes the fingerprint"
            if not kept:
                changed.append(field.name)
        assert changed, "no parameter that was tried changes the fingerprint"


@pytest.mark.parametrize("name", NAMES)
class TestEveryLearner:
    def test_must_be_fitted_first(self, name: str) -> None:
        encoder = learner(name)
        assert not encoder.fitted
        with pytest.raises(EncoderError, match=r"\bfit\b"):
            encoder.encode(samples.usual(encoder.modality))
        with pytest.raises(EncoderError, match=r"\bfit\b"):
            encoder.state()

    def test_its_fingerprint_names_what_it_learned(self, name: str) -> None:
        encoder = learner(name)
        before = fingerprint(encoder.recipe())
        learn(encoder, samples.ROWS // 2)
        assert encoder.fitted
        assert len({before, fingerprint(encoder.recipe()), fingerprint(ready(name).recipe())}) == 3

    def test_learns_the_same_on_any_number_of_cores(self, name: str) -> None:
        import torch

        encoder, fitted = learner(name), ready(name)
        assert isinstance(fitted, Learner)
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(2 if before == 1 else 1)
            learn(encoder)
        finally:
            torch.set_num_threads(before)
        assert base.digest(encoder.state()) == base.digest(fitted.state())

    def test_its_state_survives_plain_files(self, name: str) -> None:
        encoder = learner(name)
        fitted: Any = ready(name)
        encoder.restore(through_files(fitted.state()))
        assert encoder.fitted
        assert encoder.recipe() == fitted.recipe()
        assert encoder.dim == fitted.dim
        found = encoder.encode(samples.usual(encoder.modality))
        np.testing.assert_array_equal(found, vectors(name))

    def test_asks_for_a_sample_of_some_size(self, name: str) -> None:
        assert learner(name).fit_size >= 1


def varied(value: object) -> object:
    """Another value of a parameter; None for those that the test cannot guess."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value // 2 or 2
    if isinstance(value, float):
        return value / 2 or 50.0
    if isinstance(value, dict) and value:
        others = {key: varied(inner) for key, inner in value.items()}
        return None if None in others.values() else others
    return None


def through_files(state: State) -> State:
    """A state as it comes back from an .npz file and a JSON text."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **dict(state.arrays))
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return State(dict(arrays), json.loads(json.dumps(dict(state.meta), allow_nan=False)))


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_recipe_is_that_of_the_built_encoder(name: str) -> None:
    kind, wanted = params(name)
    quick = registry.quick_recipe(kind, wanted)
    assert quick is None or quick == build(name).recipe()
