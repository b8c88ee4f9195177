"""The variational autoencoder: its divergence, its warm-up, and units that tell nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from encoders import vae
from encoders.learning import QUIET
from encoders.vae import Params, Vae, build, divergence, posterior
from encoders.vectors import Part
from tests.encoders.test_tabular import customers
from tests.encoders.vectors import batch_of
from tests.encoders.watching import Told

if TYPE_CHECKING:
    import polars as pl

POINTS = Part("points", 8, "l2", "of points")
QUICK: dict[str, Any] = {"hidden": (24,), "activation": "tanh", "rate": 0.01, "epochs": 40}


def planes(n: int, seed: int) -> pl.DataFrame:
    """Eight numbers of which two tell nearly all: two units are enough."""
    rng = np.random.default_rng(seed)
    across = np.random.default_rng(9).normal(size=(2, 8))
    rows = rng.normal(size=(n, 2)) @ across + 0.05 * rng.normal(size=(n, 8))
    return batch_of(points=rows.astype(np.float32))


def fit(sample: pl.DataFrame, watch: Any = QUIET, seed: int = 0, **params: Any) -> Vae:  # noqa: ANN401 - any watch, any of Params
    encoder = build(Params(reads="vector", parts=(POINTS,), **{**QUICK, **params}))
    encoder.fit(sample, np.random.default_rng(seed), watch)
    return encoder


def figures(encoder: Vae) -> Any:  # noqa: ANN401 - JSON
    return encoder.state().meta["figures"]


@pytest.fixture(scope="module")
def fitted() -> tuple[Vae, Told]:
    told = Told()
    usual: dict[str, Any] = {"beta": 2.0, "epochs": 80, "patience": 50, "rate": 0.005}
    return fit(planes(800, 0), told, dim=5, **usual), told


def test_the_divergence_is_that_of_its_closed_form_and_of_many_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    log_variance = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    found = divergence(mean, log_variance)
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    torch.testing.assert_close(found, torch.distributions.kl_divergence(q, p))
    # log q - log p of draws of q; what both have in common falls out
    noise = torch.randn(200_000, 6, 3, generator=generator, dtype=torch.float64)
    drawn = mean + (log_variance / 2).exp() * noise
    told = (noise.square() * -1 - log_variance + drawn.square()) / 2
    error = told.std(0) / len(noise) ** 0.5
    assert ((told.mean(0) - found).abs() < 5 * error).all()
    assert not divergence(torch.zeros(1, 2), torch.zeros(1, 2)).any()


def test_vectors_are_the_means(fitted: tuple[Vae, Told]) -> None:
    encoder, batch = fitted[0], planes(50, 1)
    found = encoder.encode(batch)
    assert np.array_equal(found, encoder.encode(batch))
    arrays = encoder.state().arrays
    weights = {name: torch.tensor(array) for name, array in arrays.items()}
    rows = encoder._known().inputs.rows(batch) * arrays["gain"]  # noqa: SLF001 - what goes in
    down, _ = encoder._networks(8)  # noqa: SLF001 - the way there
    mean, _ = posterior(down, weights, torch.tensor(rows, dtype=torch.float32))
    np.testing.assert_allclose(found, mean, atol=1e-5)


def test_units_that_tell_nothing_are_counted_and_come_last(fitted: tuple[Vae, Told]) -> None:
    encoder, told = fitted
    found = figures(encoder)
    assert found["collapsed_units"] == 3
    assert [n > 1 for n in found["nats_by_unit"]] == [True, True, False, False, False]
    assert found["nats"] == pytest.approx(sum(found["nats_by_unit"]), abs=1e-3)
    assert any(
        "3 of 5 units have collapsed: they tell under 0.01 nats of a record. dim = 2" in note
        for note in told.notes
    )
    spread = encoder.encode(planes(200, 1)).std(axis=0)
    assert (spread[:2] > 0.4).all()
    assert (spread[2:] < 0.15).all()


def test_nats_are_those_of_other_records(fitted: tuple[Vae, Told]) -> None:
    encoder, batch = fitted[0], planes(500, 2)
    arrays = encoder.state().arrays
    weights = {name: torch.tensor(array) for name, array in arrays.items()}
    rows = encoder._known().inputs.rows(batch) * arrays["gain"]  # noqa: SLF001 - what goes in
    down, _ = encoder._networks(8)  # noqa: SLF001 - the way there
    nats = divergence(*posterior(down, weights, torch.tensor(rows, dtype=torch.float32))).mean(0)
    np.testing.assert_allclose(figures(encoder)["nats_by_unit"], nats, rtol=0.25, atol=0.02)


def test_it_keeps_what_the_units_tell(fitted: tuple[Vae, Told]) -> None:
    assert figures(fitted[0])["held_out_error"] < 0.02
    others = planes(200, 1)
    inputs = fitted[0]._known().inputs  # noqa: SLF001 - what is to come back
    error = np.square(fitted[0].reconstruct(others) - inputs.rows(others)).sum()
    assert error / np.square(inputs.rows(others)).sum() < 0.02


def test_a_divergence_that_costs_too_much_collapses_all() -> None:
    told = Told()
    encoder = fit(planes(300, 0), told, dim=3, beta=100.0, warmup=0, epochs=15)
    assert figures(encoder)["collapsed_units"] == 3
    assert any("all 3 units have collapsed" in note and "lower beta" in note for note in told.notes)


def test_the_divergence_costs_nothing_at_first() -> None:
    # of a thousand passes over which it rises to much too much, one is nearly free
    costly: dict[str, Any] = {"dim": 3, "beta": 100.0, "epochs": 3}
    warmed, cold = (fit(planes(300, 0), warmup=warmup, **costly) for warmup in (1000, 0))
    assert figures(warmed)["nats"] > 10 * max(figures(cold)["nats"], 0.01)


def test_it_goes_on_while_the_cost_still_rises() -> None:
    encoder = fit(planes(300, 0), dim=2, warmup=12, patience=1, epochs=14)
    assert figures(encoder)["epochs"] >= 12


def test_tables_have_vectors_too() -> None:
    table = customers(300)
    encoder = build(Params(dim=4, epochs=8, rate=0.01, warmup=3))
    encoder.fit(table, np.random.default_rng(0))
    found = encoder.encode(table)
    assert found.shape == (300, 4)
    assert len(np.unique(found, axis=0)) == 300
    assert figures(encoder)["held_out_error"] < 0.9
    assert vae.modality(encoder.params) == encoder.modality == "tabular"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"beta": 0.0}, r"beta must be above 0, and finite, got 0\.0"),
        ({"warmup": -1}, "warmup must be 0 or more, got -1"),
        ({"dim": 0}, "dim must be 1 or more, got 0"),
    ],
)
def test_wrong_values_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Params(**given)
