"""What every tool's module does alike: its command line, the records, and what changed of them.

It runs in the environment of each tool, so it needs the standard library alone, and numpy for
vectors.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Vectors = Mapping[str, tuple[str, Sequence[float]]]
    """By record id, the text that is held and its vector."""


@dataclass(frozen=True)
class Job:
    """What a tool is asked for.

    Attributes:
        records: a CSV file with the columns ``id`` and ``text``.
        store: the folder that the tool keeps all of its files in; there is one for each turn.
        model: the folder of the model, as sentence-transformers saves it.
    """

    records: Path
    store: Path
    model: Path

    def texts(self) -> dict[str, str]:
        """The records, by id."""
        with self.records.open(encoding="utf-8", newline="") as file:
            return {row["id"]: row["text"] for row in csv.DictReader(file)}


@dataclass(frozen=True)
class Difference:
    """What is to be done so that a store holds what it should.

    Attributes:
        put: texts that are new or changed, by id.
        gone: ids that are to be deleted.
    """

    put: dict[str, str]
    gone: list[str]


def difference(held: Mapping[str, str], wanted: Mapping[str, str]) -> Difference:
    """What one has to find out by hand for a tool that does not look what changed."""
    put = {name: text for name, text in wanted.items() if held.get(name) != text}
    return Difference(put, [name for name in held if name not in wanted])


def command(
    whole: Callable[[Job], None],
    dump: Callable[[Job], Vectors],
    *,
    changes: Callable[[Job], None] | None = None,
    prepare: Callable[[Job], None] | None = None,
    close: Callable[[Job], None] | None = None,
) -> None:
    """Do what the command line asks for.

    Args:
        whole: hand all records to the tool.
        dump: tell what the tool holds.
        changes: hand it what changed, where it does not find out by itself.
        prepare: set up what is set up once a machine, which is not measured.
        close: stop what the tool leaves running.
    """
    actions: dict[str, Callable[[Job], object] | None] = {
        "whole": whole, "changes": changes, "prepare": prepare, "close": close,
    }  # fmt: skip
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=[*actions, "dump", "offers"])
    parser.add_argument("--records", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    if asked.action == "offers":
        sys.stdout.write(" ".join(name for name, action in actions.items() if action) + "\n")
        return
    job = Job(asked.records, asked.store, asked.model)
    if asked.action == "dump":
        _save(dump(job), asked.output)
        return
    action = actions[asked.action]
    if action is None:
        parser.error(f"the tool has no action {asked.action!r}")
    action(job)


def _save(found: Vectors, output: Path) -> None:
    import numpy as np

    vectors = np.array([vector for _, vector in found.values()], dtype=np.float32)
    texts = [text for text, _ in found.values()]
    np.savez(output, ids=np.array([*found]), texts=np.array(texts), vectors=vectors)
