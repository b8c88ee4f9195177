"""Saved models of TensorFlow: held to what TensorFlow gives for them, and to what a process may do.

What TensorFlow itself has to do with is tested with it, and is slow; what may go wrong with a
process is tested with small programs that speak as ours does.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from encoders.base import EncoderError
from encoders.registry import quick_recipe
from encoders.use import Params, UseEncoder, build
from tests.encoders import saved_models
from tests.flows.project import Project
from tests.processes import python

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = list(saved_models.TEXTS)
SPOKEN = """#!{python}
import json, os, signal, struct, sys, time
def send(head, body=b""):
    head = json.dumps(head).encode()
    sys.stdout.buffer.write(struct.pack("<IQ", len(head), len(body)) + head + body)
    sys.stdout.buffer.flush()
def received():
    return json.loads(sys.stdin.buffer.read(struct.unpack("<IQ", sys.stdin.buffer.read(12))[0]))
mark = {mark!r}
first = not os.path.exists(mark)
open(mark, "a").write("started ")
{code}
"""
ANSWER = """
send({"dim": 2})
while True:
    texts = received()["texts"]
    MISHAP
    send({"shape": [len(texts), 2]}, struct.pack(f"<{2 * len(texts)}f", *range(2 * len(texts))))
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like a saved model, for processes that do not read it."""
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"a graph")
    (folder / "variables" / "variables.index").write_bytes(b"numbers")
    return folder


@pytest.fixture
def spoken(tmp_path: Path, model: Path) -> Callable[..., UseEncoder]:
    """Makes an encoder whose process runs some code of ours."""

    def make(code: str, **changes: float) -> UseEncoder:
        file = tmp_path / "interpreter"
        mark = str(tmp_path / "mark")
        file.write_text(SPOKEN.format(python=sys.executable, mark=mark, code=code))
        file.chmod(0o755)
        keys = {"normalize": False, "timeout": 30.0, **changes}
        return build(Params(str(model), python=str(file), **keys))  # type: ignore[arg-type] # numbers, each where it belongs

    return make


def pid(encoder: UseEncoder) -> int:
    child = encoder._runner._child  # noqa: SLF001 - to kill it, which nobody else should
    assert child is not None
    return child.pid


def gone(process: int) -> bool:
    """Whether a process has ended; one that nobody has asked for its status has ended too."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if (
                Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
                == "Z"
            ):
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_a_process_is_asked_in_batches(spoken: Callable[..., UseEncoder]) -> None:
    encoder = spoken(ANSWER.replace("MISHAP", ""), batch_size=2)
    assert encoder.dim == 2
    found = encoder.encode(["a", "b", "c"])
    np.testing.assert_array_equal(found, [[0, 1], [2, 3], [0, 1]])
    assert encoder.encode([]).shape == (0, 2)


def test_large_batches_go_through_the_pipes(spoken: Callable[..., UseEncoder]) -> None:
    encoder = spoken(ANSWER.replace("MISHAP", ""), batch_size=50_000)
    found = encoder.encode(["mill " * 20] * 50_000)
    np.testing.assert_array_equal(found[-1], [99_998, 99_999])


def test_vectors_have_norm_one_and_zeros_stay(spoken: Callable[..., UseEncoder]) -> None:
    code = ANSWER.replace("MISHAP", "").replace("*range(2 * len(texts))", "*[0, 0, 3, 4]")
    found = spoken(code, normalize=True).encode(["a", "b"])
    np.testing.assert_allclose(found, np.array([[0, 0], [0.6, 0.8]]), atol=1e-7)


def test_a_process_that_dies_once_is_started_again(
    spoken: Callable[..., UseEncoder], tmp_path: Path
) -> None:
    encoder = spoken(ANSWER.replace("MISHAP", "first and os._exit(9)"))
    np.testing.assert_array_equal(encoder.encode(["a"]), [[0, 1]])
    assert (tmp_path / "mark").read_text() == "started started "


def test_a_process_that_was_killed_meanwhile_is_started_again(
    spoken: Callable[..., UseEncoder],
) -> None:
    encoder = spoken(ANSWER.replace("MISHAP", ""))
    encoder.encode(["a"])
    first = pid(encoder)
    os.kill(first, signal.SIGKILL)
    np.testing.assert_array_equal(encoder.encode(["a"]), [[0, 1]])
    assert pid(encoder) != first


def test_one_that_dies_again_fails_the_batch_with_its_last_words(
    spoken: Callable[..., UseEncoder],
) -> None:
    code = ANSWER.replace("MISHAP", "print('no such thing', file=sys.stderr); sys.exit(3)")
    with pytest.raises(RuntimeError, match=r"ended twice over 1 text \(exit status 3; .*no such"):
        spoken(code).encode(["a"])


def test_one_that_is_killed_again_is_out_of_memory(spoken: Callable[..., UseEncoder]) -> None:
    code = ANSWER.replace("MISHAP", "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(
        MemoryError, match=r"signal SIGKILL.*most likely there was not enough memory"
    ):
        spoken(code).encode(["a"])


def test_one_that_hangs_is_killed_and_started_again(spoken: Callable[..., UseEncoder]) -> None:
    encoder = spoken(ANSWER.replace("MISHAP", "first and time.sleep(600)"), timeout=5.0)
    assert encoder.dim == 2
    first = pid(encoder)
    with pytest.raises(
        TimeoutError, match=r"has not encoded 1 text within timeout = 5 s; raise it"
    ):
        encoder.encode(["a"])
    assert gone(first)
    np.testing.assert_array_equal(encoder.encode(["b"]), [[0, 1]])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.exit('nothing here')", r"ended as it started: exit status 1; .*nothing here"),
        ("send({'refused': 'it is late'})", r"cannot be run: it is late"),
        ("time.sleep(600)", r"has not loaded .* within timeout = 1 s; raise timeout"),
    ],
)
def test_a_process_that_does_not_start_is_told_of(
    spoken: Callable[..., UseEncoder], code: str, message: str
) -> None:
    with pytest.raises(EncoderError, match=message):
        spoken(code, timeout=1.0 if "sleep" in code else 30.0).encode(["a"])


@pytest.mark.parametrize(("memory", "kind"), [("True", MemoryError), ("False", RuntimeError)])
def test_a_batch_that_fails_leaves_the_process_as_it_was(
    spoken: Callable[..., UseEncoder],
    memory: str,
    kind: type[Exception],
) -> None:
    failed = f"{{'failed': 'too long', 'memory': {memory}}}"
    encoder = spoken(ANSWER.replace("MISHAP", f"\n    if 'b' in texts: send({failed}); continue"))
    with pytest.raises(kind, match="failed on 2 texts: too long"):
        encoder.encode(["a", "b"])
    first = pid(encoder)
    np.testing.assert_array_equal(encoder.encode(["a"]), [[0, 1]])
    assert pid(encoder) == first


def test_files_that_changed_since_they_were_digested_are_noticed(
    spoken: Callable[..., UseEncoder], model: Path
) -> None:
    encoder = spoken(ANSWER.replace("MISHAP", ""))
    (model / "variables" / "variables.index").write_bytes(b"other numbers")
    with pytest.raises(EncoderError, match="have changed since they were digested; run again"):
        encoder.encode(["a"])


def test_encoders_of_a_model_share_a_process_that_ends_with_them(
    spoken: Callable[..., UseEncoder],
) -> None:
    encoder = spoken(ANSWER.replace("MISHAP", ""))
    other = spoken(ANSWER.replace("MISHAP", ""), batch_size=3)
    encoder.encode(["a"])
    process = pid(encoder)
    assert pid(other) == process
    del encoder
    gc.collect()
    np.testing.assert_array_equal(other.encode(["a"]), [[0, 1]])
    assert pid(other) == process
    del other
    gc.collect()
    assert gone(process)


def test_the_recipe_needs_no_interpreter_and_names_what_decides(model: Path) -> None:
    recipe = quick_recipe("use", Params(str(model)))
    assert recipe is not None
    files = recipe["files"]
    assert isinstance(files, dict)
    assert set(files) == {"saved_model.pb", "variables/variables.index"}
    (model / "fingerprint.pb").write_bytes(b"a note")
    assert quick_recipe("use", Params(str(model), python="/no/such/python")) == recipe
    (model / "assets").mkdir()
    (model / "assets" / "words.txt").write_text("a")
    assert quick_recipe("use", Params(str(model))) != recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"timeout": 0.0}, "timeout must be some seconds, more than 0, got 0"),
        ({"timeout": float("inf")}, "timeout must be some seconds, more than 0, got inf"),
    ],
)
def test_wrong_values_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params("models/use", **changes)  # type: ignore[arg-type] # numbers, each where it belongs


def test_what_is_not_there_says_how_to_get_it(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"'google/use' is no folder here; .*docs/encoders/use"):
        build(Params("google/use"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match=r"has no saved_model\.pb; expected the unpacked folder"):
        build(Params(str(tmp_path / "empty")))
    with pytest.raises(EncoderError, match=r"'/no/python' is no interpreter here; .*uv venv"):
        build(Params(str(model), python="/no/python"))
    with pytest.raises(EncoderError, match=r"is no interpreter here"):
        build(Params(str(model), python=str(model / "saved_model.pb")))


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed here"
)
def test_without_tensorflow_the_way_to_it_is_shown(model: Path) -> None:
    with pytest.raises(EncoderError, match=r"not installed beside Vecmill; .*uv venv \.venv-use"):
        build(Params(str(model)))
    encoder = build(Params(str(model), python=sys.executable))
    with pytest.raises(EncoderError, match=r"cannot be imported by .*uv pip install --python"):
        encoder.encode(["a"])


@pytest.fixture(scope="module")
def models(weights: Path) -> Path:
    """The saved models; skips where no TensorFlow is."""
    assert weights.is_dir()
    if "VECMILL_USE_PYTHON" not in os.environ:
        pytest.skip("VECMILL_USE_PYTHON is not set: no TensorFlow here")
    return saved_models.made()


def of(folder: Path, *, normalize: bool = False) -> UseEncoder:
    wanted = os.environ["VECMILL_USE_PYTHON"]
    return build(Params(str(folder), python=wanted, normalize=normalize))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["called", "served", "hub_1"])
def test_vectors_are_those_of_tensorflow(models: Path, form: str) -> None:
    expected = np.load(models / "expected.npy")
    assert np.abs(expected).max() > 0.5
    encoder = of(models / form)
    assert encoder.dim == saved_models.DIM
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, expected, atol=1e-6)
    assert "tensorflow" not in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("several", r"it has the outputs \['left', 'right'\]; expected one"),
        ("flat", r"it gives an array of shape \(1,\) for 1 texts; expected a vector each"),
        ("weighted", r"has no function from a batch of strings .* found \['serving_default'\]"),
    ],
)
def test_models_of_another_form_are_refused(models: Path, form: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        of(models / form).encode(TEXTS)


@pytest.mark.slow
def test_an_operation_that_is_missing_names_what_may_have_it(models: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(models / "called", tmp_path / "model")
    graph = (copy / "saved_model.pb").read_bytes()
    known, missing = b"StringToHashBucketFast", b"SentencepieceTokenizer"
    assert known in graph
    assert len(known) == len(missing)
    (copy / "saved_model.pb").write_bytes(graph.replace(known, missing))
    with pytest.raises(
        EncoderError, match=r"needs the operation SentencepieceTokenizer.*'tensorflow-text==2\."
    ):
        of(copy).encode(TEXTS)


@pytest.mark.slow
def test_a_damaged_model_is_refused(models: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(models / "called", tmp_path / "model")
    (copy / "saved_model.pb").write_bytes(b"nothing of the kind")
    with pytest.raises(EncoderError, match=r"TensorFlow 2\.\d+\S* cannot load it"):
        of(copy).encode(TEXTS)


@pytest.mark.slow
def test_a_text_that_the_model_fails_on_is_a_dead_letter(models: Path, tmp_path: Path) -> None:
    keys = {"kind": "use", "model": str(models / "strict")}
    project = Project(tmp_path, encoder={**keys, "python": os.environ["VECMILL_USE_PYTHON"]})
    project.write([(1, "a cat", "x"), (2, "mill " * 200, "x"), (3, "stone", "x")])
    counts = project.run().counts
    assert (counts.encoded, counts.dead) == (2, 1)
    (reason,) = project.dead().values()
    assert "too many letters" in reason


@pytest.mark.slow
def test_the_process_ends_with_ours_however_that_ends(models: Path) -> None:
    code = """
import sys
from encoders.use import Params, build
encoder = build(Params(sys.argv[1], python=sys.argv[2]))
encoder.encode(["a"])
print(encoder._runner._child.pid, flush=True)
sys.stdin.read()
"""
    parent = python(code, models / "called", os.environ["VECMILL_USE_PYTHON"])
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    assert gone(child)
