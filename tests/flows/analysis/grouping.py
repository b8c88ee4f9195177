"""Texts of three topics, put into groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.analysis import clusters
from flows.analysis.clustered import Asked
from flows.output.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from flows.analysis.clustered import Clustered
    from tests.flows.project import Project


def cluster(project: Project, number: int | None = None, **asked: Any) -> Clustered:  # noqa: ANN401 - keys of Asked
    return clusters.cluster(project.settings(), "notes", Asked(**asked), Silent(), number)


def assigned(project: Project, view: str = "notes_clusters") -> dict[str, int]:
    with project.connect() as con:
        rows = con.sql(f'SELECT record_id, "cluster" FROM {view}').fetchall()  # noqa: S608 - one of our names
    return dict(rows)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def garbled(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:4] + b"\xff" * 200 + data[204:])
