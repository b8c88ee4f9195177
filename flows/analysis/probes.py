"""Which of some features tells a label best: their published vectors, joined by record id."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.analysis import probing
from flows.config.stores import Stores
from flows.lifecycle.chosen import check_kept, kept_columns, readable
from flows.matrices import matrix
from flows.output import units
from storage import query, views
from storage.ids import seed
from storage.model import UsageError
from storage.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.analysis.probing import Difference, Fold, Scores
    from flows.config.settings import Settings
    from storage.model import Version

SAMPLE, _MOST = 5_000, 50_000
_FOLDS = 5
_LEAST = 20

# Which records are drawn is found without their vectors, so that none but theirs are read.
_DRAWN = """
WITH drawn AS (
    SELECT r.record_id FROM ({first}) r {semi} WHERE r.{label} IS NOT NULL {grouped}
    QUALIFY row_number() OVER (PARTITION BY r.content_hash ORDER BY r.record_id) = 1
    ORDER BY md5('{salt}' || r.content_hash), r.record_id LIMIT {size})
SELECT {columns} FROM drawn d {joins} ORDER BY d.record_id
"""


@dataclass(frozen=True)
class Asked:
    """What is to be told from vectors.

    Attributes:
        label: a kept column of the first feature.
        group: a kept column whose records stay together, such as who spoke; None for none.
        folds: in how many parts records are cut; None for five, or as many as there are groups.
        numeric: whether the label is a number to be predicted.
        size: how many records to draw, at most.
    """

    label: str
    group: str | None = None
    folds: int | None = None
    numeric: bool = False
    size: int = SAMPLE

    def __post_init__(self) -> None:
        if self.folds is not None and self.folds < 2:  # noqa: PLR2004 - to learn from and to test on
            raise UsageError(f"--folds must be at least 2, got {self.folds}")
        if not _LEAST <= self.size <= _MOST:
            raise UsageError(f"--sample must be {_LEAST} to {_MOST:,}, got {self.size}")


@dataclass(frozen=True)
class Probed:
    """What `probe` finds.

    Attributes:
        versions: whose vectors were probed.
        scores: by table and probe.
        baseline: what one gets without vectors.
        compared: each later feature with the first, by table and probe.
        records: how many were drawn, each of another content, with a vector of every feature.
        classes: how many labels there are; None of numbers.
        groups: how many groups; None without.
        rare: records left out, since their label is too rare to stand in every fold.
    """

    versions: tuple[Version, ...]
    asked: Asked
    scores: dict[tuple[str, probing.Probe], Scores]
    baseline: Scores
    compared: dict[tuple[str, probing.Probe], Difference]
    records: int
    classes: int | None
    groups: int | None
    rare: int = 0

    def table(self) -> list[dict[str, Any]]:
        """One row of plain values for each feature and probe."""
        rows = []
        for version in self.versions:
            for how in ("linear", "knn"):
                scores = self.scores[version.table, how]
                gap = self.compared.get((version.table, how))
                rows.append(
                    {
                        "feature": version.feature,
                        "version": version.version,
                        "probe": how,
                        self._measure: scores.mean,
                        "±": scores.deviation,
                        "baseline": self.baseline.mean,
                        "difference": None if gap is None else gap.mean,
                        "low": None if gap is None else gap.low,
                        "high": None if gap is None else gap.high,
                        "p_value": None if gap is None else gap.p_value,
                        "folds": list(scores.folds),
                        "records": self.records,
                    }
                )
        return rows

    @property
    def _measure(self) -> str:
        return "r2" if self.asked.numeric else "accuracy"

    def sentences(self) -> list[str]:
        """How to read the table."""
        n, asked = len(self.baseline.folds), self.asked
        of = "" if self.classes is None else f" of {self.classes} classes"
        apart = "" if asked.group is None else f", no {asked.group!r} on both sides of a fold"
        what = "R²" if asked.numeric else "accuracy"
        guess = "the mean" if asked.numeric else "the most frequent one"
        records = units.several(self.records, "record")
        told = [
            f"{what} for {asked.label!r}{of} on {records}, each of another content",
            f"mean ± standard deviation over {n} folds{apart}",
            f"always saying {guess} gives {self.baseline.mean:.3f}",
        ]
        if self.rare:
            told.append(
                f"{units.verb(self.rare, 'record', 'was', 'were')} left out: fewer than "
                f"{asked.folds or _FOLDS} have {'its' if self.rare == 1 else 'their'} label"
            )
        first = self.versions[0].table
        for (table, how), gap in self.compared.items():
            told.append(
                f"{how}: {table} less {first}: {gap.mean:+.3f} (95 % from {gap.low:+.3f} to "
                f"{gap.high:+.3f}), p = {gap.p_value:.2g}"
            )
        if self.compared:
            told.append(
                "by the corrected resampled t-test (Nadeau & Bengio 2003) over the same folds"
                + (", p by Holm over all comparisons" if len(self.compared) > 2 else "")  # noqa: PLR2004 - of one pair
            )
        return told


def probe(settings: Settings, names: Sequence[str], asked: Asked) -> Probed:
    """Measure how well the vectors of features tell a label.

    Draw and folds are seeded by the published states: the same states measure the same.

    Args:
        settings: the configuration.
        names: the features; their records are joined by id.
        asked: what is to be told.

    Raises:
        UsageError: if a column is not kept, or there are too few records, classes or groups.
    """
    if doubled := [name for name, times in Counter(names).items() if times > 1]:
        raise UsageError(f"the feature {doubled[0]!r} is named more than once; leave one out")
    stores = Stores.of(settings)
    states = [readable(settings, stores, name) for name in names]
    versions = tuple(version for version, _ in states)
    if len({version.chunked for version in versions}) > 1:
        told = ", ".join(v.table for v in versions if v.chunked)
        raise UsageError(
            f"the rows of {told} are chunks of records, and those of the others are records; "
            "features to be compared need both the one or the other"
        )
    kept = kept_columns(stores, *states[0])
    check_kept(versions[0], kept, "--label", asked.label)
    if asked.group is not None:
        check_kept(versions[0], kept, "--group", asked.group)
    salt = " ".join(manifest.run_id for _, manifest in states)
    table = _draw(stores, versions, asked, salt)
    vectors = [
        matrix(table.column(f"vector_{nth}"), version.dim).astype(np.float64)
        for nth, version in enumerate(versions)
    ]
    good: NDArray[np.bool_] = np.logical_and.reduce([np.isfinite(r).all(axis=1) for r in vectors])
    labels = _labels(table, asked, versions[0])
    if asked.numeric:
        good &= np.isfinite(labels)
    groups = None
    if "grouped" in table.column_names:
        groups = np.array([str(g) for g in table.column("grouped").to_pylist()])
    rare = 0
    if not asked.numeric:
        rare = _without_rare(labels, good, asked.folds or _FOLDS)
    labels, groups = labels[good], None if groups is None else groups[good]
    vectors = [rows[good] for rows in vectors]
    parts = _parts(versions, labels, groups, asked, seed(salt) % 2**31)
    found = _measured(versions, vectors, labels, groups, parts, asked)
    return replace(found, rare=rare)


def _draw(stores: Stores, versions: Sequence[Version], asked: Asked, salt: str) -> pa.Table:
    """The vectors, label and group of records that every version has, drawn by their content."""
    rows = [views.current(v.table) if v.history else f"FROM {v.table}" for v in versions]
    group = asked.group or (PARTS.parent if versions[0].chunked else None)
    columns = [f"r0.{_name(asked.label)} AS label"]
    columns += [f"r{nth}.vector AS vector_{nth}" for nth in range(len(rows))]
    columns += [] if group is None else [f"r0.{_name(group)} AS grouped"]
    sql = _DRAWN.format(
        first=rows[0],
        semi=" ".join(
            f"SEMI JOIN ({other}) s{nth} ON s{nth}.record_id = r.record_id"
            for nth, other in enumerate(rows[1:])
        ),
        label=_name(asked.label),
        grouped="" if group is None else f"AND r.{_name(group)} IS NOT NULL",
        columns=", ".join(columns),
        joins=" ".join(
            f"JOIN ({one}) r{nth} ON r{nth}.record_id = d.record_id" for nth, one in enumerate(rows)
        ),
        salt=salt,
        size=asked.size,
    )
    with query.connect(stores.catalog, stores.vectors) as con:
        return query.run(con, sql).to_arrow_table()


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _labels(table: pa.Table, asked: Asked, version: Version) -> NDArray[Any]:
    """The label of each record: a text, or a number."""
    given = table.column("label").to_pylist()
    if not asked.numeric:
        return np.array([str(value) for value in given], dtype=np.str_)
    try:
        return np.array([float(value) for value in given], np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"--numeric takes a column of numbers, and {asked.label!r} of {version.table} has "
            f"others: {error}; leave the option out, or read the column as a number"
        ) from error


def _without_rare(labels: NDArray[Any], good: NDArray[np.bool_], folds: int) -> int:
    """Leave out records of labels too rare to stand in every fold; how many there were."""
    values, counts = np.unique(labels[good], return_counts=True)
    rare = good & np.isin(labels, values[counts < folds])
    good &= ~rare
    return int(rare.sum())


def _parts(
    versions: Sequence[Version],
    labels: NDArray[Any],
    groups: NDArray[Any] | None,
    asked: Asked,
    state: int,
) -> list[Fold]:
    """The folds.

    Raises:
        UsageError: if there are too few records, classes or groups for them.
    """
    where = " and ".join(version.table for version in versions)
    n, label = len(labels), asked.label
    kinds = len(np.unique(labels))
    least = max(_LEAST, 2 * (asked.folds or _FOLDS))
    if n < least:
        raise UsageError(
            f"{where}: {units.several(n, 'record')} of different content "
            f"{'has' if n == 1 else 'have'} {label!r} and a vector in each; "
            f"{least} or more are needed to probe for it"
        )
    if kinds < 2 or (not asked.numeric and kinds > n // _FOLDS):  # noqa: PLR2004 - one is no choice
        raise UsageError(
            f"{label!r} has {units.several(kinds, 'different value')} over "
            f"{units.several(n, 'record')}; a probe needs 2 or more"
            + ("" if asked.numeric else f", and {_FOLDS} records of each on average; a number is "
               "predicted with --numeric")
        )  # fmt: skip
    folds = asked.folds or _FOLDS
    if groups is not None:
        there = len(np.unique(groups))
        folds = asked.folds or min(_FOLDS, there)
        if folds > there or there < 2:  # noqa: PLR2004 - to learn from and to test on
            raise UsageError(
                f"the records are of {there} groups, and each must stand in one fold; --folds must "
                f"be 2 to {there}" if there > 1 else
                f"all {n:,} records are of one group, so there is none to test on"
            )  # fmt: skip
    if groups is not None and not asked.numeric and _bound(labels, groups):
        raise UsageError(
            f"each {label!r} is met in one group alone, so none can be learned from the others; "
            "leave --group out, or name another column"
        )
    made = probing.folds(labels, groups, folds, state, numeric=asked.numeric)
    if any(len(np.unique(labels[learn])) < 2 for learn, _ in made):  # noqa: PLR2004 - as above
        raise UsageError(
            f"with a group apart, records of one {label!r} alone are left to learn from: the label "
            f"goes with {asked.group!r}, so it cannot be told for groups not seen"
        )
    return made


def _bound(labels: NDArray[Any], groups: NDArray[Any]) -> bool:
    """Whether no label is met in more than one group."""
    return all(len(np.unique(groups[labels == label])) == 1 for label in np.unique(labels))


def _measured(
    versions: tuple[Version, ...],
    vectors: Sequence[NDArray[np.float64]],
    labels: NDArray[Any],
    groups: NDArray[Any] | None,
    parts: Sequence[Fold],
    asked: Asked,
) -> Probed:
    scores: dict[tuple[str, probing.Probe], Scores] = {}
    numeric = asked.numeric
    for version, rows in zip(versions, vectors, strict=True):
        scores[version.table, "linear"] = probing.linear(
            rows, labels, groups, parts, numeric=numeric
        )
        scores[version.table, "knn"] = probing.knn(
            rows, labels, parts, version.metric, numeric=numeric
        )
    first = versions[0].table
    compared: dict[tuple[str, probing.Probe], Difference] = {
        (table, how): probing.compare(scores[first, how], found)
        for (table, how), found in scores.items()
        if table != first
    }
    if len(versions) > 2:  # noqa: PLR2004 - more than a pair
        compared = _holm(compared)
    return Probed(
        versions,
        asked,
        scores,
        probing.baseline(labels, parts, numeric=numeric),
        compared,
        records=len(labels),
        classes=None if numeric else len(np.unique(labels)),
        groups=None if groups is None else len(np.unique(groups)),
    )


def _holm(
    compared: dict[tuple[str, probing.Probe], Difference],
) -> dict[tuple[str, probing.Probe], Difference]:
    """The same comparisons, their p-values adjusted for how many there are: Holm 1979."""
    order = sorted(compared, key=lambda key: compared[key].p_value)
    adjusted, worst = {}, 0.0
    for rank, key in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * compared[key].p_value))
        adjusted[key] = replace(compared[key], p_value=worst)
    return {key: adjusted[key] for key in compared}
