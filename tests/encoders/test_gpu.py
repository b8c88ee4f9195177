"""On a GPU an encoder gives what it gives on the CPU, to the precision of its arithmetic.

``VECMILL_TEST_DEVICE=cpu`` runs the same tests without one, for who changes them.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders import base, registry
from encoders._cached import budget, tokens_in
from encoders._device import moved, pick_device
from encoders.memory import free_memory, out_of_memory
from tests.encoders import conftest
from tests.encoders.samples import usual

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

# Its filter in the code does not outlive the test in which an encoder is fitted or restored.
pytestmark = pytest.mark.filterwarnings("ignore:RNN module weights:UserWarning")

DEVICE = os.environ.get("VECMILL_TEST_DEVICE", "cuda")
SLACK = 1e-3
"""Of the largest value: float32 on both, its sums in another order."""

FIELDS = {
    name: {f.name for f in dataclasses.fields(registry.params_type(entry["kind"]))}
    for name, entry in conftest.entries().items()
}
ON_DEVICES = [name for name, fields in FIELDS.items() if "device" in fields]
SHORT = [
    name
    for name in ON_DEVICES
    if "dtype" in FIELDS[name] and "centroids" not in conftest.entries()[name]  # of no network
]
OF_ONE_SHAPE = {"clap", "clip", "sentence", "vision"}
"""Kinds whose rows hang on nothing beside them in short types either."""


@pytest.fixture(scope="module", autouse=True)
def torch() -> Any:  # noqa: ANN401 - a module
    torch = pytest.importorskip("torch")
    if DEVICE.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return torch


@pytest.fixture(scope="module")
def pair(weights: Path) -> Callable[[str], tuple[Any, Any, Any]]:
    """Encoders of one entry on the CPU and on the device, in float32 and fitted alike, a batch."""
    assert weights.is_dir()
    known: dict[str, tuple[Any, Any, Any]] = {}

    def made(name: str) -> tuple[Any, Any, Any]:
        if name not in known:
            whole = {"dtype": "float32"} if name in SHORT else {}
            on_cpu, batch = built(name, device="cpu", **whole)
            on_gpu, _ = built(name, device=DEVICE, **whole)
            if isinstance(on_cpu, base.Learner) and isinstance(on_gpu, base.Learner):
                on_cpu.fit(batch, np.random.default_rng(0))
                on_gpu.restore(on_cpu.state())
            known[name] = on_cpu, on_gpu, batch
        return known[name]

    return made


def built(name: str, **changes: object) -> tuple[Any, Any]:
    """An encoder of an entry, and a batch for it."""
    kind, params = conftest.params(name)
    params = dataclasses.replace(params, **changes)
    return registry.build(kind, params), usual(registry.modality(kind, params))


def near(found: NDArray[np.float32], expected: NDArray[np.float32], what: str) -> None:
    """Equal but for the order of sums; how far apart is printed, for ``pytest -s``."""
    assert found.dtype == np.float32
    scale = np.abs(expected).max()
    print(f"{what}: {np.abs(found - expected).max() / scale:.1e} of the largest value apart")  # noqa: T201 - what a first look at a device is for
    np.testing.assert_allclose(found, expected, atol=SLACK * scale)


@pytest.mark.parametrize("name", ON_DEVICES)
def test_gpu_and_cpu_agree(name: str, pair: Callable[[str], tuple[Any, Any, Any]]) -> None:
    on_cpu, on_gpu, batch = pair(name)
    near(on_gpu.encode(batch), on_cpu.encode(batch), name)
    assert on_gpu.recipe() == on_cpu.recipe()


@pytest.mark.parametrize("name", ON_DEVICES)
def test_a_row_hangs_on_nothing_beside_it(
    name: str, pair: Callable[[str], tuple[Any, Any, Any]]
) -> None:
    _, on_gpu, batch = pair(name)
    near(on_gpu.encode(batch)[20:23], on_gpu.encode(batch[20:23]), name)
    assert on_gpu.encode(batch[:0]).shape == (0, on_gpu.dim)


@pytest.mark.parametrize("name", ON_DEVICES)
def test_several_threads_get_what_one_gets(
    name: str, pair: Callable[[str], tuple[Any, Any, Any]]
) -> None:
    _, on_gpu, batch = pair(name)
    expected, found = on_gpu.encode(batch), {}

    def work(at: int) -> None:
        found[at] = on_gpu.encode(batch)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at in range(3):
        near(found[at], expected, f"{name}, thread {at}")


@pytest.mark.parametrize("name", SHORT)
def test_bfloat16_is_near_to_float32(
    name: str, pair: Callable[[str], tuple[Any, Any, Any]]
) -> None:
    on_cpu, _, batch = pair(name)
    short, _ = built(name, device=DEVICE, dtype="bfloat16")
    found, expected = short.encode(batch), on_cpu.encode(batch)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(1) / lengths).min() > 0.99
    if conftest.entries()[name]["kind"] in OF_ONE_SHAPE:
        np.testing.assert_array_equal(found[20:23], short.encode(batch[20:23]))


@pytest.mark.parametrize("name", ON_DEVICES)
def test_what_was_learned_on_a_gpu_is_read_on_a_cpu(
    name: str, pair: Callable[[str], tuple[Any, Any, Any]]
) -> None:
    on_cpu, _, batch = pair(name)
    if not isinstance(on_cpu, base.Learner):
        pytest.skip("it learns nothing")
    learned, _ = built(name, device=DEVICE)
    learned.fit(batch, np.random.default_rng(0))
    restored, _ = built(name, device="cpu")
    restored.restore(learned.state())
    near(learned.encode(batch), restored.encode(batch), name)
    assert learned.recipe() == restored.recipe()


def test_what_is_moved_is_there_when_it_is_read(torch: Any) -> None:  # noqa: ANN401 - a module
    for count in (0, 1, 1 << 22):
        given = {"rows": torch.arange(count, dtype=torch.float32), "name": "x"}
        found = moved(given, DEVICE)
        there = moved(found, DEVICE)  # what is there already stays
        if DEVICE != "cpu":  # where nothing is copied
            given["rows"] += 1
        assert there["name"] == "x"
        assert torch.equal(there["rows"].cpu(), torch.arange(count, dtype=torch.float32))


@pytest.mark.skipif(DEVICE == "cpu", reason="of a GPU's memory")
def test_memory_is_measured_and_its_end_is_told(torch: Any) -> None:  # noqa: ANN401 - a module
    free, whole = torch.cuda.mem_get_info(DEVICE)
    assert 0 < free <= whole
    assert budget(DEVICE, 384) == pytest.approx(tokens_in(free, 384, 4), rel=0.1)
    with pytest.raises(torch.OutOfMemoryError) as told:
        torch.empty(2 * whole, dtype=torch.uint8, device=DEVICE)
    assert out_of_memory(told.value)
    held = torch.empty(free // 2, dtype=torch.uint8, device=DEVICE)
    del held
    free_memory()
    assert torch.cuda.memory_reserved(DEVICE) < free // 2


@pytest.mark.skipif(DEVICE == "cpu", reason="of cuDNN")
def test_float32_is_not_shortened(torch: Any) -> None:  # noqa: ANN401 - a module
    pick_device(DEVICE)
    rng = np.random.default_rng(0)
    images, kernels = (
        torch.from_numpy(rng.normal(size=size).astype(np.float32))
        for size in ((8, 64, 32, 32), (64, 64, 3, 3))
    )
    expected = torch.nn.functional.conv2d(images.double(), kernels.double())
    found = torch.nn.functional.conv2d(images.to(DEVICE), kernels.to(DEVICE)).cpu().double()
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5  # TF32: 5e-4
