"""Fields that are read out of a file's path: ``{label}/{name}.jpg``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from flows.sources._params import ParamError
from storage.nearest import perhaps

_FIELD = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Pattern:
    """A pattern that the end of a path must match.

    A field matches one character or more, but no ``/``: as few as will do, the leftmost field
    first, so that ``{digit}_{rest}`` splits at the first underscore.

    A field takes what the wildcards of the path found, and of the folders before them only what
    the path itself names, and that only where no ``**`` makes the depth vary: below ``photos/**``
    the label of ``photos/1.jpg`` is not ``photos``.

    Raises:
        ParamError: if braces do not pair, a field has no name or a second place, or two fields
            touch, since nothing would say where one ends.
    """

    text: str

    def __post_init__(self) -> None:
        if re.search(r"[{}]", _FIELD.sub("", self.text)):
            raise ParamError(f"pattern {self.text!r} has a brace without its partner")
        if not self.fields:
            raise ParamError(f"pattern {self.text!r} has no field; write one as {{label}}")
        for name in self.fields:
            if not name.isidentifier():
                raise ParamError(
                    f"pattern {self.text!r} has a field {name!r}; a field is a plain name in "
                    "braces, without formats or wildcards"
                )
            if self.fields.count(name) > 1:
                raise ParamError(f"pattern {self.text!r} has the field {name!r} more than once")
        if "}{" in self.text:
            raise ParamError(f"pattern {self.text!r} has fields that touch; put text between them")

    @cached_property
    def fields(self) -> list[str]:
        """The names of the fields, in order."""
        return _FIELD.findall(self.text)

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        pieces = _FIELD.split(self.text)
        body = "".join(
            f"(?P<{piece}>[^/]+?)" if index % 2 else re.escape(piece)
            for index, piece in enumerate(pieces)
        )
        return re.compile(f"(?:^|/){body.removeprefix('/')}\\Z")

    def match(self, path: str, free: int = 0) -> dict[str, str] | None:
        """The fields of a path with ``/``, or None if it does not match.

        Args:
            path: all of it.
            free: where what fields may take begins; before it only literal text may match.
        """
        found = self._regex.search(path)
        return found.groupdict() if found and found.start(self.fields[0]) >= free else None


def check_template(template: str, fields: list[str]) -> None:
    """Check a template such as ``{label}/{name}``, to be filled by ``str.format_map``.

    Raises:
        ParamError: if it has no field, or one that the pattern has not.
    """
    named = _FIELD.findall(template)
    if not named or re.search(r"[{}]", _FIELD.sub("", template)):
        raise ParamError(f"id must be a template such as '{{label}}/{{name}}', got {template!r}")
    for name in named:
        if name not in fields:
            raise ParamError(
                f"id {template!r} names {name!r}, which is no field of pattern"
                f"{perhaps(name, fields)}"
            )
