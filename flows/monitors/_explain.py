"""What moved, in words: of two samples that differ, the words and the kept values that tell them.

For a word the log odds of standing in a text, in the current sample less in the reference's, are
weighed by their uncertainty, with an informative Dirichlet prior that draws rare words to what both
samples say together (Monroe, Colaresi & Quinn 2008, "Fightin' words"). A text counts a word once:
one that says a word ten times is not ten independent observations. Raw contents are not in the
store, so only kept columns have words. Which words moved is judged by Fisher's exact test, under
the Benjamini-Hochberg procedure, since z-scores of rare words are anything but normal; the z-score
says which of them moved most clearly.

A word, or a value, is named only if at least three records of one sample have it: one that
stands in a single record would tell whose it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flows.analysis import describing
from flows.monitors import _cutting, _multiple, _rows, _sliced, _told
from flows.monitors.base import Part
from storage.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flows.monitors.base import Sample

    Rows = NDArray[np.intp]
    Values = NDArray[np.float64]

ALPHA = 0.1
"""The share of words, and of values, told to have moved that may not have."""

_WORDS, _VALUES, _RECORDS = 12, 8, 5
_MOST_VALUES = 50
_PRIOR = 20.0
"""Texts that the prior is worth."""


def explain(reference: Sample, current: Sample) -> tuple[Part, ...]:
    """The words and the kept values that moved, the clearest first.

    Each content counts once, and so does each record whose rows are parts of it: they keep the same
    columns.

    Returns:
        Parts of kind ``word`` with the shares of texts that have it and the z-score of its log
        odds, above 0 for words that came and below 0 for those that went; then parts of kind
        ``slice`` for values whose share moved. Where no texts are kept, one part says so.
    """
    before, now = _once(reference), _once(current)
    if not (len(before) and len(now)):
        return ()
    ids = _rows.ids_at(current.record_ids, now)
    kept = {
        name: _at(reference.kept[name], before) + _at(current.kept[name], now)
        for name in reference.kept
        if name in current.kept and name not in PARTS.names
    }
    said = texts(kept)
    others = {name: values for name, values in kept.items() if not _of_texts(name, values)}
    words = (_WORDLESS,) if said is None else moved_words(said, len(before), ids)
    return words + _moved_values(others, len(before), ids)


def texts(kept: Mapping[str, Sequence[object]]) -> list[str] | None:
    """The texts of each record, one after the other; None where no kept column is of texts.

    The id of a record that rows are parts of is none, whatever words stand in it.
    """
    own = {name: values for name, values in kept.items() if name not in PARTS.names}
    columns = [values for name, values in own.items() if _of_texts(name, values)]
    if not columns:
        return None
    return ["\n".join(str(v) for v in row if v is not None) for row in zip(*columns, strict=True)]


def _of_texts(name: str, values: Sequence[object]) -> bool:
    return describing.text_column({name: values}) is not None


_WORDLESS = Part(
    "word",
    "words",
    "cannot tell",
    "no column of texts is kept beside the vectors; name one as keep in the source, and the words "
    "that moved are told",
)


def moved_words(texts: Sequence[str], n: int, ids: Sequence[str]) -> tuple[Part, ...]:
    """The words that tell the texts of two samples apart, at most twelve.

    Args:
        texts: of the reference's n records, then of the current ones.
        n: how many there are of the reference.
        ids: of the current records.
    """
    said, names = _said(texts)
    if not len(names):
        return ()
    m = len(texts) - n
    before, now = (np.asarray(side.sum(axis=0)).ravel() for side in (said[:n], said[n:]))
    tested = _testable(before + now, n, m) & (np.maximum(before, now) >= _cutting.FEWEST)
    before, now = before[tested], now[tested]
    z = log_odds(before, now, n, m)
    moved = _multiple.benjamini_hochberg(_p_values(before, now, n, m), ALPHA)
    order = [place for place in np.argsort(-np.abs(z), kind="stable").tolist() if moved[place]]
    said, names = said[n:, np.flatnonzero(tested)], names[tested]
    found = []
    for place in order[:_WORDS]:
        having = np.flatnonzero(said[:, [place]].toarray().ravel())[:_RECORDS]
        records = _rows.ids_at(ids, having) if z[place] > 0 else []
        shares = float(before[place] / n), float(now[place] / m)
        found.append(_word(str(names[place]), shares, float(z[place]), records))
    return tuple(found)


def _testable(counts: Values, n: int, m: int) -> NDArray[np.bool_]:
    """Words common enough to be found however many others are tested, ``(words,)``.

    A word whose texts could all be of one sample without that being surprising can only hide
    others. Tarone 1990, "A modified Bonferroni method for discrete data": the k words whose least
    possible p-value is at most alpha/k; no more is known of them than how common they are.
    """
    most_now, most_before = np.minimum(counts, m), np.minimum(counts, n)
    least = np.minimum(
        _p_values(counts - most_now, most_now, n, m),
        _p_values(most_before, counts - most_before, n, m),
    )
    every = np.arange(1, len(counts) + 1)
    fitting = np.searchsorted(np.sort(least), ALPHA / every, side="right") <= every
    testable: NDArray[np.bool_] = least <= ALPHA / every[np.argmax(fitting)]
    return testable


def _p_values(before: Values, now: Values, n: int, m: int) -> Values:
    """Two-sided p-values of each word's counts, ``(words,)``: twice the smaller tail."""
    from scipy.stats import hypergeom

    law = hypergeom(n + m, (before + now).astype(np.intp), m)
    doubled: Values = np.minimum(2 * np.minimum(law.cdf(now), law.sf(now - 1)), 1.0)
    return doubled


def log_odds(before: Values, now: Values, n: int, m: int) -> Values:
    """The weighted log odds of each word, in standard deviations, ``(words,)``.

    Monroe et al. 2008, equations 15 to 22, for texts that have a word or have it not.

    Args:
        before: texts of the reference that have the word.
        now: current texts that have it.
        n: texts of the reference.
        m: current texts.
    """
    prior = _PRIOR * (before + now) / (n + m)
    rest = _PRIOR - prior

    def odds(have: Values, texts: int) -> tuple[Values, Values]:
        yes, no = have + prior, texts - have + rest
        return np.log(yes / no), 1 / yes + 1 / no

    (ours, noise), (theirs, more) = odds(before, n), odds(now, m)
    weighed: Values = (theirs - ours) / np.sqrt(noise + more)
    return weighed


def _said(texts: Sequence[str]) -> tuple[Any, NDArray[np.str_]]:
    """Which words the texts have, ``(texts, words)`` sparse, and the words, as clusters' are."""
    from sklearn.feature_extraction.text import CountVectorizer

    counting = CountVectorizer(
        stop_words="english",
        token_pattern=r"(?u)\b[^\W\d_][\w'-]+\b",  # noqa: S106 - no password
        min_df=min(_cutting.FEWEST, len(texts)),
        binary=True,
        dtype=np.float64,
    )
    try:
        said = counting.fit_transform(texts).tocsr()
    except ValueError:  # there are only stop words and rare ones, or none at all
        return None, np.empty(0, dtype=np.str_)
    return said, counting.get_feature_names_out()


def _word(name: str, shares: tuple[float, float], z: float, records: Sequence[str]) -> Part:
    before, now = shares
    return Part(
        kind="word",
        name=str(name),
        verdict="alarm",
        summary=f"{_told.moved(before, now)} of texts have it",
        figures={"share_reference": before, "share_current": now, "z": z},
        record_ids=tuple(records),
    )


def _moved_values(
    kept: Mapping[str, Sequence[object]], n: int, ids: Sequence[str]
) -> tuple[Part, ...]:
    """The slices whose share moved, at most eight; times are left out, which move by nature."""
    sizes = n, len(ids)
    columns = (_cutting.cut(name, values, _MOST_VALUES) for name, values in kept.items())
    pairs = [
        pair for column in columns if not column.is_time for pair in _sliced.shares(column, sizes)
    ]
    if not pairs:
        return ()
    adjusted = _multiple.benjamini_yekutieli(np.array([p for _, p in pairs])).tolist()
    looked = [
        _sliced.Looked.counted(one, sizes, p_value, q_value)
        for (one, p_value), q_value in zip(pairs, adjusted, strict=True)
        if q_value <= ALPHA
    ]
    looked.sort(key=lambda one: (one.least_q, -abs(one.shares[1] - one.shares[0])))
    return tuple(one.part(ids, ALPHA, _RECORDS) for one in looked[:_VALUES])


def _once(sample: Sample) -> Rows:
    """One row a content and a record."""
    owners = sample.kept.get(PARTS.parent, sample.record_ids)
    seen: set[object] = set()
    rows = []
    for row, (owner, content) in enumerate(zip(owners, sample.content_hashes, strict=True)):
        if ("owner", owner) not in seen and ("content", content) not in seen:
            rows.append(row)
            seen |= {("owner", owner), ("content", content)}
    return np.array(rows, dtype=np.intp)


def _at(values: Sequence[object], rows: Rows) -> list[object]:
    return [values[row] for row in rows.tolist()]
