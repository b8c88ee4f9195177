"""Records of one modality named by another: labels from a list, captions from another feature.

Zero-shot labels are those whose text is nearest to a record in the space of its encoder (Radford
et al. 2021). Captions are the nearest records of a feature that shares the space. Both are exact,
and read vectors in blocks, so that memory does not grow with the number of records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.abilities import Bridging
from encoders.wording import check_wording, worded
from flows.config.stores import Stores
from flows.searching import spaces
from flows.searching.queries import SearchError, note_gap, own_encoder
from flows.searching.ranking import Best, softmax, top
from flows.searching.search import check_k, live
from storage.vectors import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from storage.model import Manifest, Version

_BLOCK = 4096
"""Records, and captions, that are held together at a time: 64 MB of cosines."""
_LEAST_LABELS = 2


@dataclass(frozen=True)
class Named:
    """Rows by the block, and what they have in common.

    Attributes:
        schema: their columns.
        blocks: the rows, those of a record one after the other, best first.
    """

    schema: pl.Schema
    blocks: Iterator[pl.DataFrame]


def label(
    settings: Settings, name: str, labels: Sequence[str], prompts: Sequence[str] = (), k: int = 1
) -> Named:
    """The labels of a list that fit each record of a feature best.

    Args:
        settings: the configuration.
        name: the feature; its encoder takes texts beside its records.
        labels: two or more, all different.
        prompts: words around each label, ``{}`` where it stands; of several prompts the mean of
            the unit vectors is taken, as in the paper. The encoder's own prompt goes around them.
        k: how many labels a record.

    Returns:
        record_id, rank from 1, label, share (a softmax over the labels of this list, at the scale
        that the model has learned: it says nothing of labels that are not in it), cosine.

    Raises:
        SearchError: if the labels are none to choose from, or the feature's encoder takes no texts
            beside its records.
    """
    check_k(k)
    _check_labels(labels)
    for prompt in prompts:
        try:
            check_wording("--prompt", prompt)
        except ValueError as error:
            raise SearchError(str(error)) from error
    stores = Stores.of(settings)
    version, manifest = live(settings, stores, name)
    texts, scale = _label_vectors(settings, version, labels, prompts or ("{}",))
    names = np.array(labels, object)
    schema = _schema("label", "share", "cosine")

    def blocks() -> Iterator[pl.DataFrame]:
        for ids, vectors, _ in _read(stores, version, manifest):
            cosines = vectors @ texts.T
            places = top(cosines, k)
            shares = softmax(scale * cosines)
            found = {
                "label": names[places].ravel().tolist(),
                "share": np.take_along_axis(shares, places, axis=1).ravel(),
                "cosine": np.take_along_axis(cosines, places, axis=1).ravel(),
            }
            yield _frame(ids, places.shape[1], found, schema)

    note_gap(version.modality, "text")
    return Named(schema, blocks())


def caption(settings: Settings, name: str, source: str, k: int = 1) -> Named:
    """The records of another feature that are nearest to each record of a feature.

    Args:
        settings: the configuration.
        name: the feature whose records are captioned.
        source: the feature of the captions; the two share a space (`flows.searching.spaces`).
        k: how many captions a record.

    Returns:
        record_id, rank from 1, caption_id, cosine, then what the captions' source keeps, such as
        the text itself.

    Raises:
        SearchError: if a feature has no live version, or the two share no space.
    """
    check_k(k)
    stores = Stores.of(settings)
    (version, manifest), (other, state) = (live(settings, stores, f) for f in (name, source))
    apart = spaces.why_apart(settings, version, other)
    if apart:
        raise SearchError(f"{name} cannot be captioned from {source}: {apart}")
    if version.metric != "cosine":
        raise SearchError(
            f"{version.table} is searched by {version.metric!r}, and captions are ranked by cosine"
        )
    import polars as pl

    dataset = stores.vectors.dataset(other.table, state.lance_version)
    kept = [c for c in dataset.schema.names if c not in SYSTEM_COLUMNS]
    schema = _schema("caption_id", "cosine")
    shown = [f"{name}_1" if name in schema else name for name in kept]
    empty = dataset.schema.empty_table().select(kept)
    schema.update(zip(shown, pl.DataFrame(empty).schema.values(), strict=True))

    def blocks() -> Iterator[pl.DataFrame]:
        for ids, vectors, _ in _read(stores, version, manifest):
            best, told = Best(len(ids), k), _Told()
            for names, candidates, rows in _read(stores, other, state, kept):
                best.add(vectors @ candidates.T, names)
                told.keep(rows, best.ids)
            names = best.ids.ravel().tolist()
            found = {"caption_id": names, "cosine": best.scores.ravel()}
            more = {show: told.column(name, names) for show, name in zip(shown, kept, strict=True)}
            yield _frame(ids, best.ids.shape[1], found | more, schema)

    note_gap(version.modality, other.modality)
    return Named(schema, blocks())


class _Told:
    """What the captions say that are the best ones by now."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Any]] = {}

    def keep(self, rows: pa.Table, ids: NDArray[np.object_]) -> None:
        """Take on those of some rows that are among the best, and let go of what is not."""
        import pyarrow as pa
        import pyarrow.compute as pc

        best = set(ids.ravel().tolist())
        self._rows = {name: row for name, row in self._rows.items() if name in best}
        among = pc.is_in(rows["record_id"], value_set=pa.array(sorted(best), pa.string()))
        for row in rows.filter(among).to_pylist():
            self._rows[row["record_id"]] = row

    def column(self, name: str, ids: Sequence[str]) -> list[Any]:
        """A column of the captions of these ids."""
        return [self._rows[one][name] for one in ids]


def _schema(*names: str) -> pl.Schema:
    import polars as pl

    types = {"label": pl.String, "caption_id": pl.String, "share": pl.Float64, "cosine": pl.Float32}
    first = {"record_id": pl.String, "rank": pl.Int64}
    return pl.Schema({**first, **{name: types[name] for name in names}})


def _frame(
    ids: Sequence[str], each: int, found: Mapping[str, Any], schema: pl.Schema
) -> pl.DataFrame:
    """The rows of some records, of which each has as many, best first."""
    import polars as pl

    records = {
        "record_id": np.repeat(np.array(ids, object), each).tolist(),
        "rank": np.tile(np.arange(1, each + 1), len(ids)),
    }
    return pl.DataFrame({**records, **found}, schema=schema)


def _read(
    stores: Stores, version: Version, manifest: Manifest, kept: Sequence[str] = ()
) -> Iterator[tuple[list[str], NDArray[np.float32], pa.Table]]:
    """The rows of a version by the block: ids, unit vectors ``(n, dim)``, and the kept columns."""
    columns = ["record_id", "vector", *kept]
    state = (version.table, manifest.lance_version)
    for rows in stores.vectors.blocks(*state, columns, _BLOCK, history=version.history):
        flat = rows["vector"].combine_chunks().flatten().to_numpy()
        vectors = _unit(flat.reshape(len(rows), version.dim))
        yield rows["record_id"].to_pylist(), vectors, rows.drop_columns("vector")


def _label_vectors(
    settings: Settings, version: Version, labels: Sequence[str], prompts: Sequence[str]
) -> tuple[NDArray[np.float32], float]:
    """The unit vectors of labels ``(n, dim)``, and the scale of their cosines with records."""
    encoder = own_encoder(settings, version) if "space" in version.recipe else None
    if not isinstance(encoder, Bridging) or "text" not in encoder.others:
        raise SearchError(
            f"{version.table} holds {version.modality} vectors of kind {version.kind!r}, which has "
            "no tower for texts beside them; labels need a feature of images or recordings by an "
            "encoder such as clip or clap"
        )
    total = np.zeros((len(labels), version.dim), np.float32)
    for prompt in prompts:
        total += _unit(encoder.encode_other("text", worded(prompt, labels)))
    return _unit(total), encoder.scale


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    found: NDArray[np.float32] = rows / np.maximum(norms, np.finfo(np.float32).tiny)
    return found


def _check_labels(labels: Sequence[str]) -> None:
    doubled = [one for place, one in enumerate(labels) if one in labels[:place]]
    if doubled:
        raise SearchError(f"the labels name {doubled[0]!r} more than once; leave one out")
    if any(not one.strip() for one in labels):
        raise SearchError("a label is empty; leave it out")
    if len(labels) < _LEAST_LABELS:
        raise SearchError(
            f"labels are chosen among, so two or more are needed, got {len(labels)}; add others "
            "that could be, such as 'something else'"
        )
