"""What is wanted of a clustering, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.analysis import clustering
from flows.analysis.clustering import NOISE
from flows.output import units
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.analysis.clustering import Method
    from storage.clusters import Clustering, Group
    from storage.model import Version


@dataclass(frozen=True)
class Asked:
    """What is wanted; what is None is as it was, or as Vecmill chooses.

    Attributes:
        method: how clusters are found.
        k: how many, for k-means.
        least: records that make a cluster, for HDBSCAN.
        words: the kept column of texts that clusters are described by.
        anew: find clusters again, though there are some.
    """

    method: Method | None = None
    k: int | None = None
    least: int | None = None
    words: str | None = None
    anew: bool = False

    def __post_init__(self) -> None:
        if self.k is not None and self.k < 1:
            raise UsageError(f"-k must be at least 1, got {self.k}")
        if self.least is not None and self.least < 2:  # noqa: PLR2004 - one record is no group
            raise UsageError(f"--min-size must be at least 2, got {self.least}")
        if self.k is not None and (self.method == "hdbscan" or self.least is not None):
            raise UsageError("-k goes with --method kmeans; hdbscan finds out how many there are")
        if self.least is not None and self.method == "kmeans":
            raise UsageError("--min-size goes with --method hdbscan; kmeans takes -k")


@dataclass(frozen=True)
class Clustered:
    """The clusters of a version.

    Attributes:
        clustering: how they were found.
        groups: what each is.
        fresh: whether they were found just now.
        new: records assigned that were not before; None where nothing was assigned.
        changed: records assigned again, since their content is another; as above.
        unassigned: rows of the version that belong to no cluster and are no noise either.
    """

    version: Version
    clustering: Clustering
    groups: Sequence[Group]
    fresh: bool
    new: int | None
    changed: int | None
    unassigned: int

    def table(self) -> list[dict[str, Any]]:
        """One row of plain values a cluster."""
        return [
            {
                "feature": self.version.feature,
                "version": self.version.version,
                "cluster": group.cluster,
                "size": group.size,
                "share": group.share,
                "words": list(group.words),
                "kept_values": list(group.kept_values),
                "examples": list(group.examples),
            }
            for group in self.groups
        ]

    def summary(self) -> dict[str, Any]:
        """What holds for all of them, as plain values."""
        return {
            "feature": self.version.feature,
            "version": self.version.version,
            "method": self.clustering.method,
            "clusters": sum(group.cluster != NOISE for group in self.groups),
            "rows": self.clustering.rows,
            "noise": self.clustering.noise,
            "found_now": self.fresh,
            "new": self.new,
            "changed": self.changed,
            "unassigned": self.unassigned,
            "figures": dict(self.clustering.figures),
        }

    def sentences(self) -> list[str]:
        """How to read the table."""
        name, figures = self.version.feature, self.clustering.figures
        told = []
        if self.fresh and "silhouette" in figures:
            tried = ", ".join(f"{k}: {value:.3f}" for k, value in figures["silhouette"].items())
            told.append(
                f"k = {figures['k']} has the highest mean silhouette on a sample ({tried}); -k "
                "takes another"
                if tried
                else "the records are too few or too equal to tell clusters apart, so all are one"
            )
            if tried and figures["k"] == clustering.TRIED[-1]:
                told.append(f"k = {figures['k']} is the largest that is tried; more may fit better")
        if self.new is not None and not self.fresh:
            made = self.clustering.made_at
            told.append(
                f"{self.new:,} new and {self.changed:,} changed records assigned to the clusters "
                f"of {units.moment(made) if made else 'before'}; --anew finds others"
            )
        if self.clustering.noise:
            told.append(
                f"noise (-1), in no cluster: {units.several(self.clustering.noise, 'record')}"
            )
        if self.unassigned and self.new is None:
            told.append(
                f"{units.several(self.unassigned, 'row')} of {self.version.table} "
                f"{'is' if self.unassigned == 1 else 'are'} not assigned yet; "
                f"`vecmill cluster {name}` does so"
            )
        elif self.unassigned:
            why = "its vector is" if self.unassigned == 1 else "their vectors are"
            told.append(
                f"{units.several(self.unassigned, 'row')} of {self.version.table} "
                f"{'is' if self.unassigned == 1 else 'are'} not assigned: "
                f"{why} not finite, or all zero"
            )
        told.append(f"in SQL: {self.version.table}_clusters and {self.version.table}_cluster_sizes")
        return told
