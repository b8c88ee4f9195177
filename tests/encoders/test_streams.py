"""Parts of a batch that several threads compute: in order, each once, and by one thread each."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from encoders import _residents, _streams, vision
from encoders._repeatable import one_core
from encoders.sentence import Params, build
from tests.encoders.samples import WORDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import Forking


def test_parts_are_made_in_order_side_by_side_by_one_thread_each(torch: Any) -> None:  # noqa: ANN401 - a module
    together = threading.Barrier(3)

    def work(part: int) -> tuple[int, int]:
        if part < together.parties:
            together.wait(30)  # breaks where three are never under way at once
        return part, torch.get_num_threads()

    assert _streams.mapped(work, range(50), "cpu") == [(part, 1) for part in range(50)]
    assert torch.get_num_threads() == 3
    assert _streams.mapped(work, [], "cpu") == []


def test_one_part_alone_is_computed_as_one_of_many_is(torch: Any) -> None:  # noqa: ANN401 - as above
    assert _streams.mapped(lambda _: torch.get_num_threads(), [0], "cpu") == [1]


def test_many_threads_are_shared_out_among_the_streams(torch: Any) -> None:  # noqa: ANN401 - as above
    torch.set_num_threads(9)
    assert _streams.mapped(lambda _: torch.get_num_threads(), range(5), "cpu") == [2] * 5
    assert torch.get_num_threads() == 9


def test_a_thread_that_begins_meanwhile_has_all_threads_to_share_out(torch: Any) -> None:  # noqa: ANN401 - as above
    found: list[list[int]] = []

    def another(_: int) -> None:
        thread = threading.Thread(
            target=lambda: found.append(
                [*_streams.mapped(lambda _: 0, [0], "cpu"), torch.get_num_threads()]
            )
        )
        thread.start()
        thread.join()

    _streams.mapped(another, [0], "cpu")
    assert found == [[0, 3]]


def test_a_thread_that_begins_meanwhile_takes_the_process_s_number_for_good(torch: Any) -> None:  # noqa: ANN401 - as above
    torch.set_num_threads(8)
    found: list[Any] = []
    go_on, begun = threading.Event(), threading.Event()

    def own() -> int:
        return int(torch.get_num_threads())

    def plain() -> None:
        found.append(own())
        begun.set()
        go_on.wait(30)
        found.append(set(_streams.mapped(lambda _: own(), range(4), "cpu")))

    thread = threading.Thread(target=plain)

    def work(part: int) -> int:
        if part == 0:
            thread.start()
            begun.wait(30)
        return own()

    assert _streams.mapped(work, range(2), "cpu") == [2, 2]
    go_on.set()
    thread.join()
    later = threading.Thread(target=lambda: found.append(own()))
    later.start()
    later.join()
    assert found == [8, {2}, 8]


def test_a_fit_on_one_core_is_that_of_its_thread_alone(torch: Any) -> None:  # noqa: ANN401 - as above
    torch.set_num_threads(8)
    found: list[int] = []

    def meanwhile() -> None:
        found.extend(_streams.mapped(lambda _: torch.get_num_threads(), range(2), "cpu"))
        found.append(torch.get_num_threads())

    with one_core():
        assert _streams.mapped(lambda _: torch.get_num_threads(), range(2), "cpu") == [1, 1]
        thread = threading.Thread(target=meanwhile)
        thread.start()
        thread.join()
    assert found == [2, 2, 8]
    assert torch.get_num_threads() == 8


@pytest.mark.parametrize("room", [2, 0])
@pytest.mark.usefixtures("torch")
def test_where_no_more_threads_can_begin_those_that_could_do_all(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    start = threading.Thread.start
    streams: list[threading.Thread] = []
    made: list[int] = []

    def limited(thread: threading.Thread) -> None:
        if thread.name == "stream":
            if len(streams) == room:
                raise RuntimeError("can't start new thread")
            streams.append(thread)
        start(thread)

    monkeypatch.setattr(_residents, "_idle", {})
    monkeypatch.setattr(threading.Thread, "start", limited)
    if room:
        _streams.mapped(made.append, range(9), "cpu")
        assert sorted(made) == [*range(9)]
    else:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            _streams.mapped(made.append, range(9), "cpu")
    assert len(streams) == room


@pytest.mark.usefixtures("torch")
def test_threads_stay_for_the_next_batch_but_for_one_that_hangs() -> None:
    def seen(parts: int) -> set[threading.Thread]:
        together = threading.Barrier(parts)

        def work(_: int) -> threading.Thread:
            together.wait(30)
            return threading.current_thread()

        return {*_streams.mapped(work, range(parts), "cpu")}

    first = seen(3)
    assert seen(3) == first
    go_on, hangs = threading.Event(), threading.Event()

    def hang(part: int) -> None:
        if part == 0:
            hangs.set()
            go_on.wait(30)

    caller = threading.Thread(target=lambda: _streams.mapped(hang, range(3), "cpu"))
    caller.start()
    hangs.wait(30)
    assert len(seen(3)) == 3  # beside the one that hangs
    go_on.set()
    caller.join()


@pytest.mark.usefixtures("torch")
def test_a_thread_whose_beginning_is_interrupted_is_let_go_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = _residents.Resident.begin
    begun: list[threading.Event] = []

    def interrupted(resident: _residents.Resident, work: Any) -> threading.Event:  # noqa: ANN401 - a call
        begun.append(begin(resident, work))
        if len(begun) == 2:
            raise KeyboardInterrupt  # after it was given its work, and before anybody knows
        return begun[-1]

    monkeypatch.setattr(_residents, "_idle", {})
    with monkeypatch.context() as patched:
        patched.setattr(_residents.Resident, "begin", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _streams.mapped(str, range(9), "cpu")
    assert all(done.wait(30) for done in begun)
    idle = _residents._idle[1]  # noqa: SLF001 - who is given out next
    assert len(idle) == len({*idle}) == 3


@pytest.mark.usefixtures("torch")
def test_what_a_batch_was_made_with_is_let_go() -> None:
    class Held:
        """What may be large."""

        def work(self, part: int) -> int:
            return part

    held = Held()
    gone = weakref.ref(held)
    assert _streams.mapped(held.work, range(5), "cpu") == [*range(5)]
    del held
    assert gone() is None


@pytest.mark.usefixtures("torch")
def test_a_fork_has_threads_of_its_own(forking: Forking) -> None:
    # The interpreter that forks has imported torch; its child forks once more, with threads.
    said = forking.run(
        "import os, torch\n"
        "from encoders import _streams\n"
        "torch.set_num_threads(2)\n"
        "double = lambda part: part * 2\n"
        "assert _streams.mapped(double, range(3), 'cpu') == [0, 2, 4]\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(_streams.mapped(double, range(3), 'cpu') != [0, 2, 4])\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    assert said.code == 0, said.err


@pytest.mark.parametrize("device", [None, "cuda:0"])
def test_elsewhere_parts_follow_one_another_in_the_caller_s_thread(
    torch: Any,  # noqa: ANN401 - as above
    device: str | None,
) -> None:
    here = (threading.current_thread(), torch.get_num_threads())
    found = _streams.mapped(
        lambda _: (threading.current_thread(), torch.get_num_threads()), range(4), device
    )
    assert found == [here] * 4


@pytest.mark.usefixtures("torch")
def test_no_part_is_begun_after_one_has_failed() -> None:
    begun = []

    def work(part: int) -> None:
        begun.append(part)
        if part == 5:
            raise ValueError("part 5 is odd")

    with pytest.raises(ValueError, match="part 5 is odd"):
        _streams.mapped(work, range(1000), "cpu")
    assert len(begun) < 1000


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_texts_have_the_vectors_that_one_thread_gives_them(
    weights: Path,
    torch: Any,  # noqa: ANN401 - as above
    monkeypatch: pytest.MonkeyPatch,
    dtype: Literal["float32", "bfloat16"],
) -> None:
    encoder = build(Params(model=str(weights / "sentence-tiny"), dtype=dtype, batch_tokens=64))
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, n)) for n in rng.integers(0, 60, 200)]
    names: set[str] = set()
    forward = encoder._reader.model.forward  # noqa: SLF001 - to see who calls it

    def seen(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - as the library has it
        names.add(threading.current_thread().name)
        return forward(*given, **named)

    monkeypatch.setattr(encoder._reader.model, "forward", seen)  # noqa: SLF001 - as above
    found = encoder.encode(texts)
    assert "stream" in names
    monkeypatch.setattr(encoder._reader, "streams", False)  # noqa: SLF001 - as above
    torch.set_num_threads(1)
    np.testing.assert_array_equal(found, encoder.encode(texts))


def test_a_model_that_keeps_what_it_was_given_last_is_called_by_one_thread(weights: Path) -> None:
    from encoders.sentence import _may_stream

    folder, params = weights / "sentence-tiny", Params()
    model = build(Params(model=str(folder)))._reader.model  # noqa: SLF001 - the library's
    assert _may_stream(model, folder, params)
    assert not _may_stream(model, folder, Params(trust_remote_code=True))
    assert not _may_stream(model, folder, Params(backend="openvino"))
    for rope in ("dynamic", {"full_attention": "longrope"}):
        model[0].rope_type = rope
        assert not _may_stream(model, folder, params)


def test_what_a_model_keeps_between_calls_is_seen(torch: Any) -> None:  # noqa: ANN401 - as above
    class Positions(torch.nn.Module):  # type: ignore[misc]  # a module, found by its name
        """Makes positions at its first call, or at each of another length."""

        def __init__(self, *, anew: bool) -> None:
            super().__init__()
            self.anew = anew

        def forward(self, tokens: int) -> None:
            if self.anew or not hasattr(self, "kept"):
                self.register_buffer("kept", torch.arange(tokens))

    for anew in (False, True):
        model = torch.nn.Sequential(Positions(anew=anew))
        assert _streams.keeps_nothing(model, model) is not anew


def test_what_a_model_keeps_inside_of_what_it_has_is_seen(torch: Any) -> None:  # noqa: ANN401 - as above
    class Kept(torch.nn.Module):  # type: ignore[misc]  # as above
        """Puts what it was given where ``put`` has it."""

        def __init__(self, put: str) -> None:
            super().__init__()
            self.put, self.by_name, self.listed, self.most = put, {"last": 0}, [0], 12

        def forward(self, tokens: int) -> None:
            if self.put == "dict":
                self.by_name["last"] = tokens
            elif self.put == "list":
                self.listed.append(tokens)
            elif self.put == "longest":
                self.most = max(self.most, tokens)

    for put in ("dict", "list"):
        model = Kept(put)
        assert not _streams.keeps_nothing(model, model)
    assert _streams.keeps_nothing(model := Kept("nothing"), model)
    for limit, tried in ((5, 12), (100, 100), (float("inf"), 512)):
        model = Kept("longest")
        assert _streams.keeps_nothing(model, model, limit)
        assert model.most == tried


def test_a_sentence_model_is_tried_with_as_much_as_it_reads(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from encoders.sentence import _may_stream

    folder, params = weights / "sentence-tiny", Params()
    model = build(Params(model=str(folder)))._reader.model  # noqa: SLF001 - the library's
    lengths, forward = set(), model.forward

    def seen(given: Any, *more: Any, **named: Any) -> Any:  # noqa: ANN401 - as the library has it
        lengths.add(given["input_ids"].shape[1])
        return forward(given, *more, **named)

    monkeypatch.setattr(model, "forward", seen)
    assert _may_stream(model, folder, params)
    assert max(lengths) == min(model.max_seq_length, 512)


def test_photographs_have_the_vectors_that_one_thread_gives_them(
    weights: Path,
    torch: Any,  # noqa: ANN401 - as above
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from PIL import Image

    encoder = vision.build(
        vision.Params(model="squeezenet1_1", weights=str(weights / "squeezenet1_1.safetensors"))
    )
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 90, (20, 2)).tolist()
    images = [Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)) for size in sizes]
    names: set[str] = set()
    read = encoder._read  # type: ignore[union-attr]  # noqa: SLF001 - to see who calls it

    def seen(pixels: list[Any]) -> Any:  # noqa: ANN401 - vectors
        names.add(threading.current_thread().name)
        return read(pixels)

    monkeypatch.setattr(encoder, "_read", seen)
    found = encoder.encode(images)
    assert "stream" in names
    torch.set_num_threads(1)
    np.testing.assert_array_equal(found, encoder.encode(images))
