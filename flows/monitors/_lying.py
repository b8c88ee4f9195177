"""How a table lies in its store: what makes reading it slower, or the store larger than it must."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lying:
    """How the published state of a version lies there.

    Attributes:
        rows: how many it has.
        fragments: pieces that it lies in.
        small_fragments: those that hold fewer rows than they might.
        deleted_rows: rows that are deleted, and still lie in a data file.
        states: Lance versions of its table, published or not.
        old_states: those that nobody needs: ``[gc]`` does not keep them, or they were never
            published.
        orphan_bytes: what goes with these, and files of writes that failed.
        unindexed: the most rows that one of its indexes does not know.
    """

    rows: int
    fragments: int
    small_fragments: int
    deleted_rows: int
    states: int
    old_states: int
    orphan_bytes: int
    unindexed: int
