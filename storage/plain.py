"""Conditions that cost no more than their rows: comparisons, and functions that let nothing grow.

DuckDB and Lance carry out at once what is constant in a condition, and neither can be stopped in
one call of a function: ``length(repeat('x', 3000000000)) > 1`` holds 6 GB before a row is read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FUNCTIONS = frozenset({
    "+", "-", "*", "/", "//", "%", "||", "~~", "!~~", "~~*", "!~~*", "~~~",
    "abs", "array_contains", "array_has", "ceil", "ceiling", "char_length", "character_length",
    "contains", "date_part", "date_trunc", "datepart", "datetrunc", "day", "dayofweek", "dayofyear",
    "ends_with", "epoch", "floor", "greatest", "hour", "ilike_escape", "isfinite", "isinf", "isnan",
    "lcase", "least", "left", "len", "length", "like_escape", "list_contains", "list_has",
    "list_value", "lower", "ltrim", "minute", "month", "not_ilike_escape", "not_like_escape", "now",
    "nullif", "position", "prefix", "quarter", "regexp_full_match", "regexp_like", "regexp_matches",
    "right", "round", "rtrim", "second", "sign", "starts_with", "strlen", "strpos", "substr",
    "substring", "suffix", "to_days", "to_hours", "to_minutes", "to_months", "to_seconds",
    "to_weeks", "to_years", "today", "trim", "trunc", "ucase", "upper", "week", "year",
})  # fmt: skip


def check(condition: str) -> None:
    """Refuse a condition of which a part may grow beyond the values it is over.

    One that DuckDB cannot parse is let through: whoever carries it out says what is wrong with it.

    Raises:
        UsageError: names the function, or says that there is a subquery.
    """
    import duckdb

    with duckdb.connect() as con:
        ((tree,),) = con.execute(
            "SELECT json_serialize_sql(?)", [f"SELECT ({condition}\n)"]
        ).fetchall()
    try:
        for node in _nodes(json.loads(tree)):
            _check_node(node)
    except RecursionError:
        raise UsageError("this condition has too many parts within parts; ask by fewer") from None


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        tree = list(tree.values())
    for part in tree if isinstance(tree, list) else ():
        yield from _nodes(part)


def _check_node(node: dict[str, Any]) -> None:
    if node["class"] == "SUBQUERY":
        raise UsageError("a condition here has no SELECT within it; `vecmill sql` takes such")
    name = str(node.get("function_name", "")).lower()
    if node["class"] in {"FUNCTION", "WINDOW"} and name not in _FUNCTIONS:
        raise UsageError(
            f"a condition here compares, and calls plain functions such as lower() and year(), but "
            f"not {name}(); `vecmill search --where` takes all that Lance does"
        )
