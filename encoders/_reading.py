"""The keys by which encoders of tables and of vectors are told how to read their records."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from encoders._ranges import check_counts
from encoders.base import EncoderUsageError, Modality
from encoders.vectors import Part, check_parts

if TYPE_CHECKING:
    from encoders.base import Json

Scale: TypeAlias = Literal["auto", "norm", "standard", "none"]

READS: tuple[Modality, ...] = ("tabular", "vector")
_OF_TABLES = ("categories", "min_count", "max_categories")
_SCALES = ("auto", "norm", "standard", "none")


@dataclass(frozen=True)
class Reading:
    """How records are read: the keys that encoders of tables and of vectors share.

    Attributes:
        reads: what the feature's records are: rows of a table (``tabular``), or the vectors of
            the features that it is over (``vector``).
        categories: of tables: columns of numbers or truth values to be read as categories.
        min_count: of tables: how often a category must stand in the sample to have a feature.
        max_categories: of tables: how many have one, the most frequent ones.
        scale: of vectors: how parts are made comparable: ``auto`` by the metric of each, ``norm``
            brings every vector to norm 1, ``standard`` every part to a mean squared norm of 1
            about its mean, ``none`` takes them as they are.
        parts: of vectors: the features that the encoder is over; a run fills them in from the
            feature's ``over``, so a configuration leaves them out.

    Raises:
        ValueError: if a value is out of its range, or belongs to the other kind of records.
    """

    reads: Literal["tabular", "vector"] = "tabular"
    categories: tuple[str, ...] = ()
    min_count: int = 5
    max_categories: int = 50
    scale: Scale = "auto"
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        if self.reads not in READS:
            raise ValueError(f"reads must be one of {', '.join(READS)}, got {self.reads!r}")
        if self.scale not in _SCALES:
            raise ValueError(f"scale must be one of {', '.join(_SCALES)}, got {self.scale!r}")
        object.__setattr__(self, "categories", column_names(self.categories))
        check_counts(self, ("min_count", "max_categories"))
        others = ("categories",) if self.reads == "vector" else ("scale", "parts")
        for name in others:
            if getattr(self, name) != getattr(Reading, name):
                instead = "tabular" if self.reads == "vector" else "vector"
                raise ValueError(
                    f"{name} goes with reads = {instead!r}, and this encoder reads "
                    f"{self.reads}; take {name} out, or set reads"
                )

    def scaling(self, part: Part) -> str:
        """How a part is made comparable: ``norm``, ``standard`` or ``none``."""
        if self.scale != "auto":
            return self.scale
        return "norm" if part.metric == "cosine" else "standard"


def column_names(given: tuple[str, ...] | str) -> tuple[str, ...]:
    """The value of ``categories``, in their order.

    Raises:
        ValueError: if it is one name, whose letters would be taken for columns.
    """
    if isinstance(given, str):
        raise ValueError(  # noqa: TRY004 - as every other wrong value of a parameter
            f"categories must be a list of column names, got {given!r}"
        )
    return tuple(sorted(given))


def check(kind: str, reading: Reading) -> None:
    """Check parameters against the parts that a run has filled in.

    Raises:
        EncoderUsageError: if vectors are to be read and no part was named, or one has a metric
            that says nothing of its scale.
    """
    if reading.reads == "tabular":
        return
    check_parts(kind, reading.parts)
    unclear = [part.feature for part in reading.parts if part.metric == "dot"]
    if unclear and reading.scale == "auto":
        raise EncoderUsageError(
            f"vectors of {unclear[0]!r} are compared by dot product, in which their length counts "
            f"and which {kind} does not keep: say how to scale them, scale = 'norm', 'standard' or "
            "'none'"
        )


def recipe_of(reading: Reading) -> dict[str, Json]:
    """All parameters of an encoder that decide its vectors, its own among them.

    The size of a batch is left out, and what is for records of the other kind; parts are told by
    the fingerprints of their vectors and by how each is scaled.
    """
    unread = _OF_TABLES if reading.reads == "vector" else ()
    found: dict[str, Json] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(reading).items()
        if name not in {"batch_size", "scale", "parts", *unread}
    }
    if reading.reads == "tabular":
        return found
    parts: list[Json] = [p.recipe() | {"scaling": reading.scaling(p)} for p in reading.parts]
    return {**found, "parts": parts}
