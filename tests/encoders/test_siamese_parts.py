"""Siamese, part by part: the losses by hand, classes, views and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders._augment import Augment
from encoders._classes import batches, by_label, split, turned
from encoders._metric import Objective, distances
from encoders._verification import Spread, check_collapse, nearest, separation
from encoders.base import EncoderError
from encoders.learning import QUIET
from encoders.siamese import Params, build
from tests.encoders import samples
from tests.encoders.watching import Told

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TestLosses:
    """Against the papers' formulas, pair by pair and triplet by triplet."""

    vectors = np.random.default_rng(2).normal(size=(9, 3)).astype(np.float32)
    classes = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3])

    def away(self) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.linalg.norm(
            self.vectors[:, None].astype(float) - self.vectors[None], axis=2
        )
        return found

    def pairs(self, *, alike: bool) -> list[tuple[int, int]]:
        every = [(i, j) for i in range(9) for j in range(9) if i != j]
        return [(i, j) for i, j in every if (self.classes[i] == self.classes[j]) == alike]

    def found(self, how: str, **objective: Any) -> tuple[float, int]:  # noqa: ANN401 - see Objective
        import torch

        wanted = Objective(**{"loss": "triplet", "mining": "semi_hard", "margin": 1.5, **objective})
        call = wanted.measure if how == "measure" else wanted
        summed, count = call(torch.from_numpy(self.vectors), torch.from_numpy(self.classes))
        return float(summed), count

    def test_contrastive(self) -> None:
        away, alike = self.away(), self.pairs(alike=True)
        near = sum(away[i, j] ** 2 for i, j in alike)
        lacking = [max(0, 1.5 - away[i, j]) ** 2 for i, j in self.pairs(alike=False)]
        summed, count = self.found("learn", loss="contrastive")
        assert summed == pytest.approx(near + np.mean(lacking) * len(alike), rel=1e-4)
        assert count == 2 * len(alike)

    def test_semi_hard_triplets(self) -> None:
        away, total = self.away(), 0.0
        for i, j in self.pairs(alike=True):
            others = [away[i, k] for k in range(9) if self.classes[k] != self.classes[i]]
            further = [d for d in others if d > away[i, j]]
            total += max(0, 1.5 + away[i, j] - (min(further) if further else max(others)))
        summed, count = self.found("learn")
        assert summed == pytest.approx(total, rel=1e-4)
        assert count == len(self.pairs(alike=True))

    def test_hard_triplets(self) -> None:
        away, total = self.away(), 0.0
        for i in range(8):  # the ninth is alone in its class
            own = [away[i, k] for k in range(9) if k != i and self.classes[k] == self.classes[i]]
            others = [away[i, k] for k in range(9) if self.classes[k] != self.classes[i]]
            total += max(0, 1.5 + max(own) - min(others))
        summed, count = self.found("learn", mining="hard")
        assert summed == pytest.approx(total, rel=1e-4)
        assert count == 8

    def test_every_triplet_is_measured_whatever_is_mined(self) -> None:
        away = self.away()
        every = [
            max(0, 1.5 + away[i, j] - away[i, k])
            for i, j in self.pairs(alike=True)
            for k in range(9)
            if self.classes[k] != self.classes[i]
        ]
        for mining in ("semi_hard", "hard"):
            summed, count = self.found("measure", mining=mining)
            assert summed == pytest.approx(sum(every), rel=1e-4)
            assert count == len(every)

    def test_vectors_that_coincide_have_a_slope(self) -> None:
        import torch

        same = torch.ones(4, 2, requires_grad=True)
        torch.autograd.backward(distances(same).sum())
        assert same.grad is not None
        assert torch.isfinite(same.grad).all()


class TestClasses:
    def test_what_has_no_like_is_left_out_and_told(self) -> None:
        told = Told()
        found = by_label(["b", None, "a", "b", "c", "a", "a"], told)
        assert [rows.tolist() for rows in found] == [[2, 5, 6], [0, 3]]
        assert "1 of 7 images have no label" in told.notes[0]
        assert "1 of 3 classes have one image alone" in told.notes[1]

    @pytest.mark.parametrize("labels", [[None] * 4, ["a"] * 4, ["a", "a", "b", "c"]])
    def test_fewer_than_two_classes_are_refused(self, labels: list[str | None]) -> None:
        with pytest.raises(EncoderError, match=r"needs 2 classes or more with 2 images each"):
            build(Params(label="x", device="cpu")).fit_labelled(
                samples.usual("image")[:4], labels, np.random.default_rng(0)
            )

    def test_no_class_is_both_learned_from_and_held_out(self) -> None:
        classes = [np.arange(at, at + 3) for at in range(0, 60, 3)]
        parts = split(classes, 0.15, np.random.default_rng(0), QUIET)
        train, held = (set(np.concatenate(part).tolist()) for part in (parts.train, parts.held))
        assert (len(parts.train), len(parts.held), parts.by_class) == (17, 3, True)
        assert train | held == set(range(60))
        assert not train & held

    def test_of_few_classes_images_are_held_out_and_it_is_told(self) -> None:
        told = Told()
        parts = split([np.arange(10), np.arange(10, 15)], 0.2, np.random.default_rng(0), told)
        assert [len(rows) for rows in (*parts.train, *parts.held)] == [8, 3, 2, 2]
        assert not parts.by_class
        assert "2 classes are too few" in told.notes[0]
        with pytest.raises(EncoderError, match=r"4 images or more of each class .* got one with 3"):
            split([np.arange(3), np.arange(3, 9)], 0.2, np.random.default_rng(0), QUIET)

    def test_batches_are_balanced_by_class(self) -> None:
        sizes = [2, 40, 5, 9]
        ends = np.cumsum(sizes)
        classes = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        drawn = batches(turned(classes, turns=True), 6, 4, np.random.default_rng(0))
        assert len(drawn) == -(-4 * 56 // 24)
        for batch in drawn:
            found, counts = np.unique(batch.classes, return_counts=True)
            assert (len(found), set(counts)) == (6, {4})
            owner = np.searchsorted(ends, batch.rows, side="right")
            np.testing.assert_array_equal(batch.classes, 4 * batch.turns + owner)


class TestViews:
    def pixels(self, n: int = 64) -> Any:  # noqa: ANN401 - a tensor
        import torch

        return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(1))

    def test_nothing_asked_for_changes_nothing(self) -> None:
        still = Augment(rotate=0, shear=0, shift=0, zoom=0, brightness=0)
        assert still.nothing
        pixels = self.pixels()
        np.testing.assert_allclose(still(pixels, np.random.default_rng(0)), pixels, atol=1e-5)

    def test_half_are_flipped_and_nothing_else(self) -> None:
        flips = Augment(rotate=0, shear=0, shift=0, zoom=0, brightness=0, flip=True)
        pixels = self.pixels()
        views = flips(pixels, np.random.default_rng(0))
        same = (views - pixels).abs().amax((1, 2, 3)) < 1e-4
        other = (views - pixels.flip(3)).abs().amax((1, 2, 3)) < 1e-4
        assert (same ^ other).all()
        assert 20 <= int(other.sum()) <= 44

    def test_a_shift_is_no_further_than_asked(self) -> None:
        import torch

        pixels = torch.zeros(64, 1, 40, 40)
        pixels[:, :, 20, 20] = 1
        moved = Augment(rotate=0, shear=0, shift=0.2, zoom=0, brightness=0)
        views = moved(pixels, np.random.default_rng(0))[:, 0]
        rows = (views.sum(2) * torch.arange(40)).sum(1) / views.sum((1, 2))
        assert 6 < float((rows - 20).abs().max()) <= 8.01

    def test_light_is_in_units_of_the_image(self) -> None:
        lit = Augment(rotate=0, shear=0, shift=0, zoom=0, brightness=0.3)
        pixels = self.pixels()
        found = lit(pixels, np.random.default_rng(0))
        again = lit(5 * pixels - 3, np.random.default_rng(0))
        np.testing.assert_allclose(again, 5 * found - 3, atol=1e-4)
        assert float((found - pixels).abs().max()) > 0.05

    @pytest.mark.parametrize(("name", "value"), [("shift", 0.6), ("zoom", -0.1), ("rotate", 181.0)])
    def test_what_cannot_be_is_refused(self, name: str, value: Any) -> None:  # noqa: ANN401 - any value
        with pytest.raises(ValueError, match=rf"{name} must be from 0 to .*, got {value}"):
            Augment(**{name: value})


class TestFigures:
    def test_the_separation_is_the_area_under_the_curve(self) -> None:
        import torch
        from sklearn.metrics import roc_auc_score

        rng = np.random.default_rng(4)
        classes = rng.integers(0, 4, 40)
        rows = rng.normal(size=(40, 5)) + classes[:, None] / 3
        upper = np.triu_indices(40, 1)
        away = np.linalg.norm(rows[:, None] - rows[None], axis=2)
        same = (classes[:, None] == classes[None])[upper]
        expected = roc_auc_score(same, -away[upper])
        assert separation(torch.from_numpy(rows), classes) == pytest.approx(expected, abs=1e-9)
        np.fill_diagonal(away, np.inf)
        right = (classes[away.argmin(1)] == classes).mean()
        assert nearest(torch.from_numpy(rows), classes) == pytest.approx(right)

    def test_a_spread_counts_directions(self) -> None:
        import torch

        even = torch.cat([torch.eye(6), -torch.eye(6)])
        line = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
        for vectors, share, rank in ((even, 1.0, 6.0), (line, 0.2, 1.0)):
            found = Spread.of(vectors)
            assert found.share == pytest.approx(share)
            assert found.rank == pytest.approx(rank)

    def test_a_collapse_is_refused_and_a_near_one_told(self) -> None:
        import torch

        told = Told()
        with pytest.raises(EncoderError, match="collapsed: the vectors of all held-out images"):
            check_collapse(Spread.of(torch.ones(5, 3)), 0.5, told)
        crowd = torch.ones(50, 3) + 0.05 * torch.rand(50, 3, generator=torch.Generator())
        check_collapse(Spread.of(crowd), 0.51, told)
        assert "nearly collapsed" in told.notes[0]
        assert "in 51% of pairs" in told.notes[1]
