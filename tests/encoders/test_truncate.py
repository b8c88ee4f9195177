"""The first dimensions: what is kept, and when it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from encoders import registry
from encoders.base import EncoderUsageError
from encoders.truncate import Params, build, recipe
from encoders.vectors import Part, column

if TYPE_CHECKING:
    from encoders.base import Metric


def part(metric: Metric = "cosine", *, nested: bool = True) -> Part:
    return Part("titles", 6, metric, "of titles", nested=nested)


@pytest.mark.parametrize("metric", ["cosine", "l2", "dot"])
def test_the_first_dimensions_stay_and_angles_get_norm_one(metric: Any) -> None:  # noqa: ANN401 - a Metric
    values = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    values[3, :4] = 0
    encoder = build(Params(dim=4, parts=(part(metric),)))
    found = encoder.encode(pl.DataFrame({"titles": column(values, np.ones(20, bool))}))
    expected = values[:, :4].astype(np.float64)
    if metric == "cosine":
        norms = np.linalg.norm(expected, axis=1, keepdims=True)
        expected = expected / np.where(norms > 0, norms, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not found[3].any()
    assert (encoder.dim, encoder.metric) == (4, metric)


def test_a_model_that_may_not_be_made_for_it_has_to_be_vouched_for() -> None:
    with pytest.raises(EncoderUsageError, match="not known to have their main directions first"):
        recipe(Params(dim=4, parts=(part(nested=False),)))
    said = recipe(Params(dim=4, matryoshka=True, parts=(part(nested=False),)))
    assert said == recipe(Params(dim=4, parts=(part(),))), "it changes no vector"
    assert registry.nested("truncate"), "what was cut may be cut again"


def test_what_cannot_be() -> None:
    with pytest.raises(
        EncoderUsageError, match="are 6 wide, so that the first 7 dimensions cannot"
    ):
        build(Params(dim=7, parts=(part(),)))
    with pytest.raises(EncoderUsageError, match="told of 2: titles, b"):
        build(Params(dim=2, parts=(part(), Part("b", 3))))
    with pytest.raises(ValueError, match="dim must be 1 or more, got 0"):
        Params(dim=0)
