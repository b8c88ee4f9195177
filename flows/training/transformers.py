"""scikit-learn transformers: stored vectors by record id, and a version's encoder for new records.

Both hold names and numbers alone, so they can be cloned and pickled with a pipeline: no vector and
no weight goes with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from flows.lifecycle.pinned import pin, settings_of
from flows.matrices import matrix
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import polars as pl
    from numpy.typing import NDArray

    from flows.lifecycle.pinned import Pinned
    from storage.model import Version

Missing: TypeAlias = Literal["error", "nan", "zero"]

_NAMED = 3
_BATCH = 1_024


class VectorTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """From record ids to their stored vectors.

    `fit` pins the state that is read: what is published later does not change a fitted pipeline.
    `version` and `as_of` say which state, for every fit and clone.

    Args:
        feature: the feature.
        version: the version; the live one where none is given.
        as_of: a run or a time, to read what readers saw then.
        missing: what an id without a row gives: ``error``, a row of ``nan``, or of ``zero``.
        conf: the configuration file.

    Attributes:
        version_: the version that was pinned.
        run_: the run that left the state.
        n_features_out_: the width of vectors.
    """

    def __init__(
        self,
        feature: str,
        *,
        version: int | None = None,
        as_of: str | None = None,
        missing: Missing = "error",
        conf: str | Path | None = None,
    ) -> None:
        self.feature = feature
        self.version = version
        self.as_of = as_of
        self.missing = missing
        self.conf = conf

    def fit(self, ids: Sequence[Any] | None = None, y: object = None) -> VectorTransformer:  # noqa: ARG002 - as scikit-learn calls it
        """Pin the state to read; the ids are not looked at.

        Raises:
            UsageError: if there is no such state.
        """
        self._pin()
        return self

    def transform(self, ids: Sequence[Any] | NDArray[Any]) -> NDArray[np.float32]:
        """The vectors of records, ``(n, dim)`` float32, in the order of the ids.

        Args:
            ids: record ids, ``(n,)`` or one column ``(n, 1)``; numbers are taken as their digits.

        Raises:
            UsageError: if one has no row and ``missing`` is ``error``.
        """
        pinned = self._pinned if hasattr(self, "_pinned") else self._pin()
        wanted = _ids(ids)
        places = pinned.reader.places_of(wanted)
        there = places >= 0
        if self.missing == "error" and not there.all():
            gone = [one for one, known in zip(wanted, there, strict=True) if not known]
            named = ", ".join(map(repr, gone[:_NAMED])) + (", …" if len(gone) > _NAMED else "")
            raise UsageError(
                f"{pinned.version.table} has no row of {len(gone):,} of {len(wanted):,} ids: "
                f'{named}; leave them out, or ask for missing="nan" or "zero"'
            )
        fill = np.nan if self.missing == "nan" else 0.0
        found = np.full((len(wanted), pinned.version.dim), fill, np.float32)
        known = np.flatnonzero(there)
        for start in range(0, len(known), _BATCH):
            some = known[start : start + _BATCH]
            rows = pinned.reader.take(places[some], ["vector"])
            found[some] = matrix(rows.column("vector"), pinned.version.dim)
        return found

    def get_feature_names_out(self, input_features: object = None) -> NDArray[Any]:  # noqa: ARG002 - as above
        """A name a dimension, such as ``articles_0``."""
        pinned = self._pinned if hasattr(self, "_pinned") else self._pin()
        return _names(self.feature, pinned.version.dim)

    def _pin(self) -> Pinned:
        if self.missing not in {"error", "nan", "zero"}:
            raise UsageError(f"missing is error, nan or zero, got {self.missing!r}")
        self._pinned = pin(settings_of(self.conf), self.feature, self.version, self.as_of)
        self.version_ = self._pinned.version.version
        self.run_ = self._pinned.run_id
        self.n_features_out_ = self._pinned.version.dim
        return self._pinned

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_pinned")


class EncoderTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """From records to vectors by the encoder that made a version, proved by its fingerprint.

    What a model is served with is then what it was trained on: no second implementation, no skew.

    Args:
        feature: the feature.
        version: the version; the live one where none is given.
        conf: the configuration file.

    Attributes:
        version_: the version whose encoder was taken.
        n_features_out_: the width of vectors.
    """

    def __init__(
        self, feature: str, *, version: int | None = None, conf: str | Path | None = None
    ) -> None:
        self.feature = feature
        self.version = version
        self.conf = conf

    def fit(self, records: Any = None, y: object = None) -> EncoderTransformer:  # noqa: ANN401, ARG002 - as scikit-learn calls it
        """Choose the version; nothing is learned, since its encoder has done so.

        Raises:
            UsageError: if there is no such version.
        """
        from flows.config.stores import Stores
        from flows.lifecycle.chosen import chosen

        settings = settings_of(self.conf)
        version = chosen(settings, Stores.of(settings), self.feature, self.version)
        if version.modality == "vector":
            raise UsageError(
                f"{version.table} is over the vectors of other features, so it has no records of "
                "its own to encode; encode these"
            )
        self._chosen = version
        self.version_ = version.version
        self.n_features_out_ = version.dim
        return self

    def transform(self, records: Any) -> NDArray[np.float32]:  # noqa: ANN401 - as Encoder.encode takes them
        """The vectors of records, ``(n, dim)`` float32, in their order.

        Args:
            records: texts; or rows, as a data frame of Polars or pandas or as a list of dicts; or
                whatever else the encoder takes, such as decoded images.

        Raises:
            SearchError: if the encoder is not here any more.
            EncoderError: if a record cannot be encoded.
        """
        from flows.searching.queries import own_encoder

        if not hasattr(self, "_chosen"):
            self.fit()
        encoder = own_encoder(settings_of(self.conf), self._chosen)
        batch = _batch(records, self._chosen)
        found = [
            np.asarray(encoder.encode(batch[start : start + _BATCH]), np.float32)
            for start in range(0, len(batch), _BATCH)
        ]
        return np.concatenate(found) if found else np.empty((0, self._chosen.dim), np.float32)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[Any]:  # noqa: ARG002 - as above
        """A name a dimension, such as ``articles_0``."""
        if not hasattr(self, "_chosen"):
            self.fit()
        return _names(self.feature, self._chosen.dim)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_chosen")


def _ids(given: Sequence[Any] | NDArray[Any]) -> list[str]:
    """Record ids as texts, whatever holds them."""
    ids = np.asarray(given, dtype=object)
    if ids.ndim == 2 and ids.shape[1] == 1:  # noqa: PLR2004 - one column of a data frame
        ids = ids[:, 0]
    if ids.ndim != 1:
        raise UsageError(
            f"record ids come as (n,) or as one column (n, 1), got an array of shape {ids.shape}"
        )
    return [str(one) for one in ids.tolist()]


def _batch(records: Any, version: Version) -> Any:  # noqa: ANN401 - as Encoder.encode takes it
    if version.modality == "text":
        return _texts(records, version)
    if version.modality == "tabular":
        return _rows(records, version.types)
    if version.modality in {"graph", "interactions"}:
        return _batched(records, version)
    return list(records)


def _batched(records: Any, version: Version) -> pl.DataFrame:  # noqa: ANN401 - as above
    """Records that are told by whom they are near to, or have met: as a batch has them."""
    import polars as pl

    if not isinstance(records, pl.DataFrame):
        raise UsageError(
            f"{version.table} encodes records of modality {version.modality!r}, which come as a "
            f"data frame of Polars with the columns of a batch, got {type(records).__name__}; "
            "VectorTransformer takes their ids"
        )
    return records


def _texts(records: Any, version: Version) -> list[str]:  # noqa: ANN401 - as above
    texts = np.asarray(records, dtype=object)
    if texts.ndim == 2 and texts.shape[1] == 1:  # noqa: PLR2004 - one column of a data frame
        texts = texts[:, 0]
    if texts.ndim != 1:
        raise UsageError(
            f"{version.table} encodes texts, (n,) or one column (n, 1), got an array of shape "
            f"{texts.shape}; put the columns of a record together as its source does"
        )
    given: list[Any] = texts.tolist()
    for one in given:
        if not isinstance(one, str):
            raise UsageError(
                f"{version.table} encodes texts, got {one!r}; leave it out, or fill it"
            )
    return given


def _rows(records: Any, types: Mapping[str, str]) -> pl.DataFrame:  # noqa: ANN401 - as above
    """Rows, each column read as the version's source reads it."""
    import polars as pl

    from flows.searching.queries import typed

    if not isinstance(records, pl.DataFrame):
        listed = records.to_dict("records") if hasattr(records, "to_dict") else list(records)
        records = pl.DataFrame(listed, infer_schema_length=None)
    return pl.DataFrame(
        [typed(records[name], types.get(name), "records") for name in records.columns]
    )


def _names(feature: str, dim: int) -> NDArray[Any]:
    return np.array([f"{feature}_{nth}" for nth in range(dim)], dtype=object)
