"""On a GPU an encoder gives what it gives on the CPU, to the precision of its arithmetic."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from encoders import base, registry
from tests.encoders import conftest
from tests.encoders.samples import usual

if TYPE_CHECKING:
    from pathlib import Path

ON_DEVICES = [
    name
    for name, entry in conftest.entries().items()
    if "device" in {f.name for f in dataclasses.fields(registry.params_type(entry["kind"]))}
]


@pytest.fixture(scope="module", autouse=True)
def cuda() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")


@pytest.mark.parametrize("name", ON_DEVICES)
def test_gpu_and_cpu_agree(name: str, weights: Path) -> None:
    assert weights.is_dir()
    kind, params = conftest.params(name)
    batch = usual(registry.modality(kind, params))
    on_cpu = registry.build(kind, dataclasses.replace(params, device="cpu"))
    on_gpu = registry.build(kind, dataclasses.replace(params, device="cuda"))
    if isinstance(on_cpu, base.Learner) and isinstance(on_gpu, base.Learner):
        on_cpu.fit(batch, np.random.default_rng(0))
        on_gpu.restore(on_cpu.state())
    expected, found = on_cpu.encode(batch), on_gpu.encode(batch)
    assert found.dtype == np.float32
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=2e-3 * scale)
    assert on_gpu.recipe() == on_cpu.recipe()
