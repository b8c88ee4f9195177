"""Texts without what was erased: whole ids and values, and no id of another record that holds one.

An id may hold any character, and be a part of another: after ``record-10``, ``record-100`` is to be
read as it was. Where ids stand in fields of their own, these are compared. In a sentence an id ends
where a word does, or at a quotation mark; an id that goes on beyond that, as ``record-10/2`` does,
can be told by those that are known alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

LEAST_ID, LEAST_VALUE = 8, 12
"""Bytes from which an id, or a value, cannot well stand in a text or file by chance."""

GONE = "[erased]"
"""What stands in texts where an erased id or value stood."""

_NO_SPACES = 0x0E00
"""From here on scripts may put no space between words, so that a letter is no sign of a longer."""
_ESCAPED = re.compile(r"(\\[abfnrtv0\"'\\/]|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|%[0-9A-Fa-f]{2})\Z")


@dataclass(frozen=True)
class Blotter:
    """Takes ids and values out of texts.

    Attributes:
        ids: of the records, and of rows that are parts of them. Short ones are seen in quotes.
        values: texts that no other record has; they go wherever they stand.
        others: ids that stay, and of which an id that goes may be a part.
    """

    ids: frozenset[str]
    values: frozenset[str]
    others: frozenset[str] = frozenset()
    _long: dict[str, bool] = field(init=False)
    _stay: dict[str, str] = field(init=False)
    _quoted: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        long = [i for i in self.ids if size(i) >= LEAST_ID]
        whole = {form: True for i in long for form in written(i)}
        anywhere = {form: False for value in self.values for form in written(value)}
        stay = {form: form for other in self.others for form in self._standing(other)}
        quoted = {
            f"{q}{form}{q}": f"{q}{GONE}{q}"
            for i in self.ids
            if size(i) < LEAST_ID
            for form in written(i)
            for q in "'\""
        }
        for name, forms in (("_long", whole | anywhere), ("_stay", stay), ("_quoted", quoted)):
            object.__setattr__(self, name, forms)

    def _standing(self, other: str) -> Iterator[str]:
        """How an id that stays stands in texts, so that it can be told from one that goes.

        Beyond quotes it has no blanks, and more than a sentence has after a word: where ``n-10,``
        is an id as well, what was said of ``n-10`` must not be taken for it.
        """
        rests = [other.replace(i, "") for i in self.ids if i in other]
        plain = not any(c.isspace() for c in other)
        plain = plain and all(any(c.isalnum() for c in rest) for rest in rests)
        for form in written(other):
            yield from (f"{q}{form}{q}" for q in "'\"")
            if plain:
                yield form

    def text(self, text: str) -> str:
        """The text with `GONE` where one of them stood."""
        found = [form for form in self._long if form in text]
        found += [form for form in self._quoted if form in text]
        if not found:
            return text
        stay = [form for form in self._stay if form in text]
        # The longest first: of two that begin at one place it is the longer one that stands there.
        forms = sorted({*found, *stay}, key=lambda form: (-len(form), form))
        pattern = re.compile("|".join(map(re.escape, forms)))
        cleaned, at = "", 0
        while match := pattern.search(text, at):
            start = match.start()
            there = (form for form in forms if text.startswith(form, start))
            told = ((len(form), self._instead(form, text, start)) for form in there)
            length, instead = next((one for one in told if one[1] is not None), (1, text[start]))
            cleaned += f"{text[at:start]}{instead}"
            at = start + length
        return cleaned + text[at:]

    def _instead(self, form: str, text: str, start: int) -> str | None:
        """What to put in the place of a form; None where it does not stand there whole."""
        if form in self._quoted:
            return self._quoted[form]
        if not self._long.get(form, True):
            return GONE
        if not _is_whole(text, start, start + len(form)):
            return None
        return form if form in self._stay else GONE

    def json(self, value: Any, *, named: bool) -> Any:  # noqa: ANN401 - any JSON
        """JSON with every string in it cleaned, keys too.

        Args:
            value: as it was parsed.
            named: whether ids go out of lists of ``record_ids``, which else stay as they are.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                self.text(key): [i for i in inner if not (named and i in self.ids)]
                if key == "record_ids" and isinstance(inner, list)
                else self.json(inner, named=named)
                for key, inner in value.items()
            }
        return [self.json(one, named=named) for one in value] if isinstance(value, list) else value


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether no word goes on beyond what stands there."""
    goes_on = end < len(text) and _joins(text[end - 1], text[end])
    begun = start > 0 and _joins(text[start], text[start - 1])
    return not goes_on and (
        not begun or _ESCAPED.search(text[max(0, start - 6) : start]) is not None
    )


def _joins(edge: str, beside: str) -> bool:
    return all((c.isalnum() or c == "_") and ord(c) < _NO_SPACES for c in (edge, beside))


def written(term: str) -> list[str]:
    """A term as it is, as messages quote it, and as JSON holds either; the longest first."""
    plain = (term, repr(term)[1:-1])
    held = (json.dumps(form, ensure_ascii=False)[1:-1] for form in plain)
    return sorted({*plain, *held}, key=lambda form: (-len(form), form))


def holding(known: Iterable[str], ids: Collection[str]) -> set[str]:
    """Those of some known ids that are none of these, and of which one of these is a part."""
    gone = set(ids)
    return {one for one in known if one not in gone and any(i in one for i in gone)}


def size(text: str) -> int:
    """The bytes of a text in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))
