"""Guesses in words, for people and for programs."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.guessing.model import Guess, Value

_KEY_WIDTH = 12


def lines(guess: Guess) -> list[str]:
    """A guess, a line a key with its reason, then what the user should know."""
    rows = [(line.key, shown(line.value), line.why) for line in guess.source]
    rows.append(("encoder", guess.encoder.kind, guess.encoder.why))
    rows += [(line.key, shown(line.value), line.why) for line in guess.feature]
    told = [f"{guess.name}: {guess.what}"]
    told += [
        f"  {key:<{_KEY_WIDTH}} {value}{f'  ({why})' if why else ''}" for key, value, why in rows
    ]
    return [*told, *(f"  note: {note}" for note in guess.notes)]


def all_lines(guesses: Sequence[Guess]) -> Iterator[str]:
    """Guesses as `lines` tells of each; what is to be known of several is said once, below them."""
    times = Counter(note for guess in guesses for note in guess.notes)
    for guess in guesses:
        yield from lines(replace(guess, notes=tuple(n for n in guess.notes if times[n] == 1)))
    for note in (note for note, count in times.items() if count > 1):
        names = ", ".join(guess.name for guess in guesses if note in guess.notes)
        yield f"note on {names}: {note}"


def shown(value: Value) -> str:
    """A value as a person writes it."""
    if isinstance(value, list):
        return ", ".join(shown(item) for item in value)
    if value == "":
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) and value.isprintable() else repr(value)


def row(guess: Guess) -> dict[str, Any]:
    """A guess for ``--json``."""
    coder = guess.encoder
    return {
        "feature": guess.name,
        "found": guess.what,
        "modality": guess.modality,
        "source": {"kind": guess.kind} | {line.key: line.value for line in guess.source},
        "encoder": {"name": coder.name, "kind": coder.kind}
        | {line.key: line.value for line in coder.keys},
        "settings": {line.key: line.value for line in guess.feature},
        "reasons": {line.key: line.why for line in guess.source if line.why}
        | {"encoder": coder.why},
        "notes": list(guess.notes),
    }


def next_steps(guess: Guess, conf: str) -> list[str]:
    """Commands to go on with, ready to be copied.

    Args:
        guess: that is in the configuration.
        conf: the option that names the configuration, or nothing.
    """
    name = guess.name
    steps = [f"vecmill run {name}"]
    if guess.modality == "interactions" and guess.example is not None:
        steps.append(f"vecmill recommend {name} --user {shlex.quote(guess.example[1])}")
    elif guess.example is not None:
        option, value = guess.example
        steps.append(f"vecmill search {name} {option} {shlex.quote(value)} -k 5")
    else:
        steps.append(f'vecmill sql "FROM {name} LIMIT 5"')
    steps.append(f"vecmill map {name}")
    return [*(f"export {need}=..." for need in guess.needs), *(f"{step}{conf}" for step in steps)]
