"""The autoencoder: straight it is principal components, bent it gives back more than they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from encoders import pca
from encoders._mlp import Mlp
from encoders.autoencoder import Autoencoder, Params, build
from encoders.base import EncoderError, State
from encoders.learning import QUIET
from encoders.vectors import Part
from tests.encoders.test_tabular import customers
from tests.encoders.vectors import PRICES, TITLES, batch_of, drawn, lacking
from tests.encoders.watching import Told

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from encoders._mlp import Activation

POINTS = Part("points", 6, "l2", "of points")


def fit(
    sample: pl.DataFrame,
    *parts: Part,
    watch: Any = QUIET,  # noqa: ANN401 - any watch
    seed: int = 0,
    **params: Any,  # noqa: ANN401 - any of Params
) -> Autoencoder:
    reads: dict[str, Any] = {"reads": "vector", "parts": parts} if parts else {}
    encoder = build(Params(**reads, **params))
    encoder.fit(sample, np.random.default_rng(seed), watch)
    return encoder


def figures(encoder: Autoencoder) -> Any:  # noqa: ANN401 - JSON
    return encoder.state().meta["figures"]


def layered(n: int, seed: int) -> pl.DataFrame:
    """Four strong directions, and weak ones around them."""
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(np.random.default_rng(99).normal(size=(6, 6)))[0]
    rows = rng.normal(size=(n, 6)) * np.array([3, 2, 1.5, 1, 0.4, 0.4]) @ turned
    return batch_of(points=rows.astype(np.float32))


def circle(n: int, seed: int) -> pl.DataFrame:
    """One number makes a point, by six that are not linear in it."""
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, n)
    rows = np.column_stack([f(k * angles) for k in (1, 2, 3) for f in (np.sin, np.cos)])
    return batch_of(points=rows.astype(np.float32))


def straight(sample: pl.DataFrame) -> Autoencoder:
    plain: dict[str, Any] = {"hidden": (), "activation": "linear", "decay": 0.0}
    return fit(sample, POINTS, dim=4, epochs=60, patience=60, rate=0.02, held_out=0.01, **plain)


def test_a_straight_one_finds_the_subspace_of_principal_components() -> None:
    sample = layered(1000, seed=0)
    encoder = straight(sample)
    theirs = pca.build(pca.Params(reads="vector", parts=(POINTS,), dim=4))
    theirs.fit(sample, np.random.default_rng(0))
    arrays = encoder.state().arrays
    axes = theirs.state().arrays["weights"]
    assert np.rad2deg(subspace_angles(arrays["up_0"].T.astype(np.float64), axes)).max() < 1.0
    found, expected = encoder.encode(sample), theirs.encode(sample)
    expected *= np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())
    told = figures(encoder)
    assert told["held_out_error"] == pytest.approx(told["held_out_error_of_pca"], rel=0.15)


def test_a_bent_one_gives_back_more_than_principal_components() -> None:
    told = Told()
    encoder = fit(
        circle(1000, 0), POINTS, watch=told, dim=2, hidden=(32,), activation="tanh", epochs=40,
        rate=0.01,
    )  # fmt: skip
    found = figures(encoder)
    assert found["held_out_error"] < 0.3
    assert found["held_out_error_of_pca"] > 0.5
    assert told.notes == []
    others = circle(200, 1)
    rows = encoder._known().inputs.rows(others)  # noqa: SLF001 - what is to come back
    error = ((encoder.reconstruct(others) - rows) ** 2).sum() / (rows**2).sum()
    assert error == pytest.approx(found["held_out_error"], abs=0.1)


def test_it_says_where_principal_components_keep_more() -> None:
    told = Told()
    encoder = fit(layered(200, 0), POINTS, watch=told, dim=4, hidden=(8,), epochs=8, rate=0.01)
    assert figures(encoder)["held_out_error"] > figures(encoder)["held_out_error_of_pca"]
    assert any("kind 'pca' keeps more of these records" in note for note in told.notes)
    told = Told()
    fit(layered(200, 0), POINTS, watch=told, dim=4, epochs=1, rate=1e-6)
    assert any("next to nothing was learned" in note for note in told.notes)


def test_steps_of_vectors_are_as_long_as_those_of_what_comes_back() -> None:
    bent: dict[str, Any] = {"hidden": (24,), "activation": "tanh", "epochs": 30, "rate": 0.01}
    encoder = fit(circle(600, 0), POINTS, dim=3, **bent)
    arrays = encoder.state().arrays
    down, up = (Mlp(n, w, "tanh") for n, w in (("down", (6, 24, 3)), ("up", (3, 24, 6))))
    rows = encoder._known().inputs.rows(circle(400, 1)) * arrays["gain"]  # noqa: SLF001 - what goes in
    inner = down.run(arrays, rows)
    for direction in np.eye(3):
        step = 1e-5 * direction
        back = (up.run(arrays, inner + step) - up.run(arrays, inner)) / arrays["gain"]
        found = step @ arrays["turn"] / arrays["gain"]
        expected = np.square(back).sum(axis=1).mean()
        assert np.square(found).sum() == pytest.approx(expected, rel=0.1)


def test_directions_come_in_the_order_of_their_spread() -> None:
    sample = circle(400, 0)
    found = fit(sample, POINTS, dim=3, epochs=5).encode(sample).astype(np.float64)
    covariance = np.cov(found.T)
    assert (np.diff(np.diag(covariance)) < 0).all()
    away = covariance - np.diag(np.diag(covariance))
    assert np.abs(away).max() < 0.1 * covariance[0, 0]


@pytest.mark.parametrize("spoilt", [{"noise": 0.5}, {"masking": 0.4}])
def test_a_denoising_one_brings_spoilt_records_back(spoilt: dict[str, Any]) -> None:
    sample, others = circle(800, 0), circle(200, 1)
    clean = others["points"].to_numpy()
    rng = np.random.default_rng(2)
    if "noise" in spoilt:
        bad = clean + 0.5 * clean.std() * rng.standard_normal(clean.shape)
    else:
        bad = np.where(rng.random(clean.shape) < 0.4, clean.mean(0), clean)
    usual: dict[str, Any] = {"dim": 6, "hidden": (48,), "epochs": 20, "rate": 0.01, "scale": "none"}
    errors = []
    extras: tuple[dict[str, Any], ...] = ({}, spoilt)
    for extra in extras:
        encoder = fit(sample, POINTS, **usual, **extra)
        back = encoder.reconstruct(batch_of(points=bad.astype(np.float32)))
        mean = sample["points"].to_numpy().mean(0)
        errors.append(float(((back + mean - clean) ** 2).mean()))
    assert errors[1] < 0.8 * errors[0]


def test_a_masked_column_of_a_table_is_gone_whole() -> None:
    sample = customers(200)
    encoder = build(Params(masking=0.5))
    inputs = fit(sample, epochs=1)._known().inputs  # noqa: SLF001 - the features of each column
    import torch

    groups = torch.tensor(inputs.groups())
    rows = torch.ones(50, inputs.width)
    spoilt = encoder._spoilt(rows, groups, torch.Generator().manual_seed(0)).numpy()  # noqa: SLF001
    for group in range(5):
        block = spoilt[:, groups.numpy() == group]
        assert (block == block[:, :1]).all()
    assert 0.4 < spoilt.mean() < 0.6


def test_sparse_vectors_are_mostly_zero_and_told_so() -> None:
    sample = batch_of(titles=drawn(TITLES, 0, 400), prices=drawn(PRICES, 1, 400))
    usual: dict[str, Any] = {"dim": 24, "hidden": (), "epochs": 15, "rate": 0.01}
    shares = []
    for sparsity in (0.02, 1.0):
        encoder = fit(sample, TITLES, PRICES, sparsity=sparsity, **usual)
        found = encoder.encode(sample)
        assert (found >= 0).all()
        told = figures(encoder)
        assert told["zeros"] == pytest.approx(float((found == 0).mean()), abs=0.08)
        assert told["dead_units"] == int((found == 0).all(axis=0).sum())
        shares.append(told["zeros"])
    assert shares[1] > shares[0] + 0.1


def test_vectors_can_have_norm_one() -> None:
    sample = circle(100, 0)
    encoder = fit(sample, POINTS, dim=3, epochs=2, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(sample), axis=1), 1, atol=1e-6)
    assert encoder.metric == "cosine"


def test_a_missing_part_has_a_vector() -> None:
    sample = batch_of(titles=drawn(TITLES, 0), prices=drawn(PRICES, 1))
    sample = lacking(sample, "prices", np.arange(300) % 3 == 0)
    found = fit(sample, TITLES, PRICES, dim=4, epochs=2).encode(sample)
    assert np.isfinite(found).all()
    assert len(np.unique(found, axis=0)) == 300


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
def test_slopes_are_those_of_small_steps(activation: Activation) -> None:
    import torch

    net = Mlp("net", (3, 7, 4, 5), activation)
    rng = np.random.default_rng(0)
    weights = {n: torch.tensor(a, dtype=torch.float64) for n, a in net.initial(rng).items()}
    rows = torch.tensor(rng.normal(size=(6, 3)))
    expected = torch.stack([
        torch.func.jacrev(lambda r: net.forward(weights, r[None])[0])(row).T
        for row in rows
    ])  # fmt: skip
    np.testing.assert_allclose(net.slopes(weights, rows), expected, atol=1e-12)
    arrays = {name: weight.numpy().astype(np.float32) for name, weight in weights.items()}
    found: NDArray[np.float64] = net.run(arrays, rows.numpy())
    np.testing.assert_allclose(found, net.forward(weights, rows), atol=1e-5)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"noise": 3.0}, r"noise must be from 0 to 2, got 3\.0"),
        ({"masking": 1.0}, r"masking must be 0 or more and under 1, got 1\.0"),
        ({"sparsity": -1.0}, r"sparsity must be 0 or more, and finite, got -1\.0"),
        ({"hidden": (8, 0)}, "a width of hidden must be 1 or more, got 0"),
        ({"activation": "elu"}, "activation must be one of relu, tanh, linear, got 'elu'"),
        ({"held_out": 0.0}, r"held_out must be above 0 and at most 0\.5, got 0\.0"),
        ({"rate": 0.0}, "rate must be positive and decay not negative"),
        ({"epochs": 0}, "epochs must be 1 or more, got 0"),
    ],
)
def test_wrong_values_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Params(**given)


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(EncoderError, match="needs 10 records or more to learn from, got 9"):
        fit(circle(9, 0), POINTS)
    alike = batch_of(points=np.ones((20, 6), np.float32))
    with pytest.raises(EncoderError, match="all 20 records of the sample are alike"):
        fit(alike, POINTS)
    with pytest.raises(EncoderError, match=r"the fit has diverged; lower the learning rate"):
        fit(circle(200, 0), POINTS, rate=1e30, epochs=5)


def test_a_state_of_another_network_is_refused() -> None:
    state = fit(circle(50, 0), POINTS, dim=3, hidden=(5,), epochs=1).state()
    with pytest.raises(EncoderError, match="not the state of an encoder of kind autoencoder with"):
        build(Params(reads="vector", parts=(POINTS,), dim=3, hidden=(6,))).restore(state)
    with pytest.raises(EncoderError, match="not the state of an encoder of kind autoencoder: got"):
        build(Params()).restore(State({}, {"kind": "pca"}))
