"""Lstm, part by part: the network held to torch's modules, and recordings heard otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from encoders._mel import Mel, centres
from encoders._recurrent import CELLS, POOLINGS, Cell, Network, Pooling, Shape, drawn, pack
from encoders._steps import stacked
from encoders._warp import Warp, warped

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TestTheNetwork:
    @pytest.mark.parametrize("pooling", POOLINGS)
    @pytest.mark.parametrize("cell", CELLS)
    def test_rows_know_nothing_of_each_other(self, cell: Cell, pooling: Pooling) -> None:
        rng = np.random.default_rng(0)
        network, sequences = some(cell, pooling), ragged(rng)
        together = network(pack(sequences, "cpu")).numpy()
        for row, sequence in enumerate(sequences):
            alone = network(pack([sequence], "cpu")).numpy()
            np.testing.assert_allclose(together[[row]], alone, atol=1e-5)

    @pytest.mark.parametrize("cell", CELLS)
    def test_it_computes_what_torchs_modules_do(self, cell: Cell) -> None:
        import torch

        network = some(cell, "mean")
        kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
        modules = [kinds[cell](width, 6, bidirectional=True) for width in (5, 12)]
        for layer, module in enumerate(modules):
            own = {
                name.partition(".")[2].replace("h_reverse", "h_l0_reverse"): weight
                for name, weight in network.weights.items()
                if name.startswith(f"layer_{layer}.")
            }
            module.load_state_dict(
                {n if n.endswith("reverse") else f"{n}_l0": w for n, w in own.items()}
            )
        sequence = ragged(np.random.default_rng(1))[1]
        with torch.no_grad():
            states = torch.from_numpy(sequence)[:, None]
            for module in modules:
                states = module(states)[0]
            row = states[:, 0].mean(0) @ network.weights["project.weight"].T
        np.testing.assert_allclose(network(pack([sequence], "cpu"))[0], row, atol=1e-5)

    def test_each_pooling_is_what_it_is_called(self) -> None:
        import torch

        sequence = ragged(np.random.default_rng(1))[1]
        rows = {}
        for pooling in POOLINGS:
            network = some("gru", pooling)
            eye = {"project.weight": torch.eye(12), "project.bias": torch.zeros(12)}
            shape = replace(network.shape, dim=12)
            rows[pooling] = Network(shape, {**network.weights, **eye})(pack([sequence], "cpu"))[0]
        mean, largest, last = (rows[name].numpy() for name in ("mean", "max", "last"))
        assert (largest >= np.maximum(mean, last) - 1e-6).all()
        assert not np.allclose(mean, last, atol=1e-3)
        # its question is drawn as zero, to which all steps are alike
        np.testing.assert_allclose(rows["attention"], mean, atol=1e-6)

    def test_weights_begin_where_they_should(self) -> None:
        shape = Shape(5, "lstm", 1, 6, bidirectional=False, pooling="mean", dim=3)
        weights = drawn(shape.weights(), "lstm", np.random.default_rng(0))
        assert {name: array.shape for name, array in weights.items()} == shape.weights()
        gates = weights["layer_0.weight_hh"].reshape(4, 6, 6)
        np.testing.assert_allclose(gates @ gates.transpose(0, 2, 1), [np.eye(6)] * 4, atol=1e-5)
        assert (weights["layer_0.bias_ih"] == np.repeat([0, 1, 0, 0], 6)).all()


def some(cell: Cell, pooling: Pooling) -> Network:
    """A network of two layers with chance weights."""
    import torch

    shape = Shape(5, cell, 2, 6, bidirectional=True, pooling=pooling, dim=4)
    weights = drawn(shape.weights(), cell, np.random.default_rng(7))
    return Network(shape, {name: torch.from_numpy(array) for name, array in weights.items()})


def ragged(rng: np.random.Generator) -> list[NDArray[np.float32]]:
    return [rng.normal(size=(steps, 5)).astype(np.float32) for steps in (3, 17, 1, 8, 17, 2)]


class TestHearingOtherwise:
    def test_a_tract_as_long_changes_nothing(self) -> None:
        np.testing.assert_allclose(warped(Mel(), 1.0), centres(Mel()))

    @pytest.mark.parametrize("factor", [0.7, 0.9, 1.1, 1.3])
    def test_a_warp_is_a_factor_and_ends_where_it_should(self, factor: float) -> None:
        mel = Mel(mels=80)
        heard, centre = warped(mel, factor), centres(mel)
        low = centre < 3000
        np.testing.assert_allclose(heard[low], centre[low] * factor)
        assert (np.diff(heard) > 0).all()
        assert heard[-1] < mel.rate / 2

    def test_a_longer_tract_lowers_a_tone(self) -> None:
        mel = Mel()
        frames = np.zeros((10, 40), np.float32)
        frames[:, 20] = 1
        rng = np.random.default_rng(0)
        found = [
            Warp(0.3, 0, 0, 0, 0, 0).bent(frames, mel, rng)[0].argmax() - 20 for _ in range(200)
        ]
        assert min(found) < -2
        assert max(found) > 2
        assert abs(np.mean(found)) < 1

    def test_pace_and_crop_change_the_length_alone(self) -> None:
        frames = np.linspace(0, 1, 100, dtype=np.float32)[:, None].repeat(40, axis=1)
        rng = np.random.default_rng(0)
        paced = [Warp(0, 0.2, 0, 0, 0, 0).bent(frames, Mel(), rng) for _ in range(100)]
        lengths = [len(p) for p in paced]
        assert 80 <= min(lengths) < 85
        assert 115 < max(lengths) <= 120
        assert all(p[0, 0] == 0 and p[-1, 0] == 1 for p in paced)
        cropped = [Warp(0, 0, 0.3, 0, 0, 0).bent(frames, Mel(), rng) for _ in range(100)]
        assert all(40 <= len(c) <= 100 for c in cropped)
        assert max(c[0, 0] for c in cropped) > 0.2

    def test_masks_are_as_wide_as_they_may_be(self) -> None:
        rng = np.random.default_rng(0)
        shares = [
            (Warp(0, 0, 0, 1, 0.25, 0.5).masked(np.ones((50, 40), np.float32), rng) == 0)
            for _ in range(300)
        ]
        bands = [mask.all(axis=0).sum() for mask in shares]
        times = [mask.all(axis=1).sum() for mask in shares]
        assert (min(bands), max(bands)) == (0, 10)
        assert (min(times), max(times)) == (0, 25)

    def test_one_frame_is_left_of_one(self) -> None:
        one, rng = np.ones((1, 40), np.float32), np.random.default_rng(0)
        wild = Warp(0.5, 0.5, 0.4, 3, 1.0, 1.0)
        for _ in range(50):
            assert wild.masked(wild.bent(one, Mel(), rng), rng).shape == (1, 40)

    def test_nothing_changes_the_frames_themselves(self) -> None:
        frames = np.random.default_rng(1).normal(size=(30, 40)).astype(np.float32)
        before, rng = frames.copy(), np.random.default_rng(0)
        wild = Warp(0.5, 0.5, 0.4, 3, 1.0, 1.0)
        wild.bent(frames, Mel(), rng)
        wild.masked(frames, rng)
        np.testing.assert_array_equal(frames, before)


def test_frames_are_stacked_and_the_last_one_repeated() -> None:
    frames = np.arange(10, dtype=np.float32).reshape(5, 2)
    found = stacked(frames, 2)
    np.testing.assert_array_equal(found, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 8, 9]])
    np.testing.assert_array_equal(stacked(frames, 1), frames)
