from __future__ import annotations

import numpy as np
import pytest

from encoders.base import EncoderError, State, digest

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(["x", "yz"])}


def test_equal_states_have_equal_digests_in_any_order_and_memory_layout() -> None:
    turned = {"b": ARRAYS["b"].copy(), "a": np.asfortranarray(ARRAYS["a"])}
    first = digest(State(ARRAYS, {"x": 1, "y": [None, "ü"]}))
    assert len(first) == 64
    assert first == digest(State(turned, {"y": [None, "ü"], "x": 1}))


def test_everything_in_a_state_is_in_its_digest() -> None:
    a = ARRAYS["a"]
    states = [
        State({"a": a}),
        State({"b": a}),
        State({"a": a + 1}),
        State({"a": a.reshape(3, 2)}),
        State({"a": a.view(np.int32)}),
        State({"a": a, "b": a}),
        State({"a": a}, {"x": 1}),
        State({"a": a}, {"x": 1.0}),
        State({"a": a}, {"x": "1"}),
        State({}),
    ]
    assert len({digest(state) for state in states}) == len(states)


def test_what_has_no_stable_bytes_is_refused() -> None:
    with pytest.raises(EncoderError, match="array 'a' of an encoder's state has dtype object"):
        digest(State({"a": np.array([None, "x"], dtype=object)}))
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(State({}, {"x": float("nan")}))
