"""What tells the records of one cluster from those of the others: words, and values of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

NOISE = -1

_WORDS, _VALUES = 8, 3
_MOST_TEXTS = 0.5
"""A word in a larger share of all texts tells nothing of a cluster."""

_MOST_DIFFERENT = 50
"""Values of a column beyond which none of them says much."""

_SURPRISE = 3.0
"""Standard deviations by which a value must be more frequent in a cluster than overall."""


def words(texts: Sequence[str | None], labels: NDArray[np.int64]) -> dict[int, tuple[str, ...]]:
    """The words that tell each cluster's texts from the others', the most telling first.

    Class-based TF-IDF (Grootendorst 2022): ``tf(t, c) log(1 + A / f(t))``, with tf the share of the
    word among those of the cluster, f its count over all clusters, A the mean number of words a
    cluster. Words of fewer than two texts, of more than half of all, and the English function words
    that scikit-learn lists are left out.

    Args:
        texts: a text a record, None where it has none.
        labels: ``(n,)``, its cluster; noise is described too.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    numbers = np.unique(labels)
    said = [text or "" for text in texts]
    counting = CountVectorizer(
        stop_words="english",
        token_pattern=r"(?u)\b[^\W\d_][\w'-]+\b",  # noqa: S106 - no password
        min_df=min(2, len(said)),
    )
    try:
        counts = counting.fit_transform(said)
    except ValueError:  # there are only stop words, or none at all
        return {int(number): () for number in numbers}
    spread = np.asarray((counts > 0).sum(axis=0)).ravel() / max(len(said), 1)
    telling = (spread <= _MOST_TEXTS) | (len(numbers) == 1)
    by_cluster = np.vstack([np.asarray(counts[labels == c].sum(axis=0)).ravel() for c in numbers])
    by_cluster = by_cluster * telling
    total = by_cluster.sum(axis=0)
    mean = by_cluster.sum() / len(numbers)
    idf = np.log1p(np.divide(mean, total, where=total > 0, out=np.zeros(len(total))))
    names = counting.get_feature_names_out()
    found = {}
    for number, row in zip(numbers, by_cluster, strict=True):
        scores = row / max(row.sum(), 1) * idf
        best = np.argsort(-scores, kind="stable")[:_WORDS]
        found[int(number)] = tuple(str(names[i]) for i in best if scores[i] > 0)
    return found


def values(
    columns: Mapping[str, Sequence[Any]], labels: NDArray[np.int64]
) -> dict[int, tuple[str, ...]]:
    """Values of columns that a cluster has more of than all records do, the most surprising first.

    A value is told where its count in the cluster is more than three standard deviations of a
    binomial count above what its share of all records would give. Columns of more than 50 different
    values are passed over.

    Args:
        columns: the columns, ``(n,)`` each.
        labels: ``(n,)``, the cluster of each record.
    """
    numbers, sizes = np.unique(labels, return_counts=True)
    ranked: dict[int, list[tuple[float, str]]] = {int(number): [] for number in numbers}
    for name, given in columns.items():
        told = np.array(["" if value is None else str(value) for value in given], dtype=object)
        different = sorted({*told} - {""})
        if not 1 < len(different) <= _MOST_DIFFERENT:
            continue
        for value in different:
            has = told == value
            overall = has.mean()
            for number, size in zip(numbers, sizes, strict=True):
                inside = has[labels == number].mean()
                deviation = np.sqrt(overall * (1 - overall) / size)
                surprise = float((inside - overall) / deviation)
                if surprise > _SURPRISE:
                    text = f"{name} = {value} ({inside:.0%}, overall {overall:.0%})"
                    ranked[int(number)].append((-surprise, text))
    return {number: tuple(text for _, text in sorted(told)[:_VALUES])
            for number, told in ranked.items()}  # fmt: skip


def text_column(columns: Mapping[str, Sequence[Any]]) -> str | None:
    """The first column of texts that are mostly of several words; None where there is none."""
    for name, given in columns.items():
        texts = [value for value in given if isinstance(value, str)]
        if texts and np.mean([len(text.split()) > 2 for text in texts]) > _MOST_TEXTS:  # noqa: PLR2004 - several
            return name
    return None
