"""A feature of texts, and four of smaller vectors of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.config.settings import Gc
from tests.flows.project import Project, vector

N, WIDE = 60, 32
NONE_STAYS = Gc(1, 0, drop_retired_after_days=0, grace_hours=0, compact_fragments=2)
CONF = """
[encoders.int8]
kind = "quantize"
quantile = 0.0

[encoders.bits]
kind = "quantize"
bits = 1

[encoders.first]
kind = "truncate"
dim = 16
{first}

[features.small]
over = [{over}]
encoder = "int8"

[features.tiny]
over = [{over}]
encoder = "bits"

[features.short]
over = [{over}]
encoder = "first"

[features.shortest]
over = ["short"]
encoder = "bits"
"""
REDUCED = ("small", "tiny", "short", "shortest")


def texts(n: int = N) -> list[tuple[str, str, str]]:
    return [(f"r{i:02d}", f"text {i}", "x") for i in range(n)]


def configure(project: Project, over: str = '"notes"', first: str = "matryoshka = true") -> None:
    project.encoder |= {"dim": WIDE}
    project.more = CONF.format(over=over, first=first)


def found(table: Any) -> list[tuple[str, float]]:  # noqa: ANN401 - pyarrow ships no types
    return list(zip(table["record_id"].to_pylist(), table["distance"].to_pylist(), strict=True))


def ids(table: Any) -> list[str]:  # noqa: ANN401 - as above
    return list(table["record_id"].to_pylist())


def matrix(project: Project, view: str) -> Any:  # noqa: ANN401 - an array
    rows = project.rows(view)
    return np.stack([vector(rows[key]) for key in sorted(rows)])


def brute(project: Project, name: str, parent: str, factor: int) -> float:
    """Recall at 10 over all records, by sorting all distances."""
    truth, candidates = nearest(project, parent, 10), nearest(project, name, 10 * factor)
    both = zip(truth, candidates, strict=True)
    return float(np.mean([len({*near} & {*some}) / 10 for near, some in both]))


def nearest(project: Project, view: str, k: int) -> Any:  # noqa: ANN401 - an array
    rows = matrix(project, view).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    near = rows @ rows.T
    np.fill_diagonal(near, -np.inf)
    return np.argsort(-near, axis=1, kind="stable")[:, :k]
