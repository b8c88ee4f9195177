"""What the redactor takes out, and what it leaves."""

from __future__ import annotations

import traceback

import pytest

from flows.output.redact import RedactedError, redact, redact_all, redacting, remember, scrubbed
from flows.pipeline.retries import passes

SECRET = "p@ss w'rd\\42/öäü"  # noqa: S105 - a test's


@pytest.fixture(autouse=True)
def _remembered() -> None:
    remember("REDACT_TEST", SECRET)
    remember("REDACT_TEST_LINES", "-----BEGIN-----\nAbCdEf0123456789\n-----END-----")
    remember("REDACT_TEST_SHORT", "the")


@pytest.mark.parametrize(
    "written",
    [SECRET, repr(SECRET), f'"{SECRET}"', "p%40ss%20w%27rd%5C42/%C3%B6%C3%A4%C3%BC"],
)
def test_every_way_of_writing_it_is_taken_out(written: str) -> None:
    told = redact(f"denied: {written}!")
    assert "${REDACT_TEST}" in told
    assert "42" not in told


def test_each_line_of_a_key_is_taken_out() -> None:
    assert redact("bad line 'AbCdEf0123456789'") == "bad line '${REDACT_TEST_LINES}'"


def test_short_values_are_left() -> None:
    assert redact("the other") == "the other"


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("postgresql://ann:secret@db/x", "postgresql://***@db/x"),
        ("see https://ann:se:cr@et@host:80/a?b=c@d", "see https://***@host:80/a?b=c@d"),
        ("https://host:80/path@2x.png", "https://host:80/path@2x.png"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("mail ann@example.org: no", "mail ann@example.org: no"),
    ],
)
def test_passwords_in_addresses_are_always_taken_out(told: str, left: str) -> None:
    assert redact(told) == left


def test_json_is_redacted_throughout() -> None:
    assert redact_all({"a": [SECRET, 1, {"b": SECRET}]}) == {
        "a": ["${REDACT_TEST}", 1, {"b": "${REDACT_TEST}"}]
    }


class Stubborn(Exception):  # noqa: N818 - it is no error of ours
    def __str__(self) -> str:
        return f"I say {SECRET}"


def test_an_error_keeps_its_type_where_its_words_can_change() -> None:
    clean = scrubbed(ConnectionError(f"lost {SECRET}"))
    assert (type(clean), str(clean), passes(clean)) == (
        ConnectionError, "lost ${REDACT_TEST}", True,
    )  # fmt: skip
    missing = scrubbed(FileNotFoundError(2, "No such file", f"/x/{SECRET}"))
    assert str(missing) == "[Errno 2] No such file: '/x/${REDACT_TEST}'"


def first() -> None:
    raise Stubborn


def second() -> None:
    raise KeyError(SECRET)


def third() -> None:
    """Fails for one reason while it deals with another."""
    try:
        first()
    except Stubborn as error:
        try:
            second()
        except KeyError:
            raise ValueError(f"for {SECRET}") from error


def test_no_cause_tells_what_the_error_does_not() -> None:
    with pytest.raises(ValueError, match="REDACT_TEST") as caught, redacting():
        third()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert isinstance(caught.value.__cause__, RedactedError)


def test_an_error_that_cannot_change_is_stood_for() -> None:
    with pytest.raises(RedactedError, match=r"Stubborn: I say \$\{REDACT_TEST\}"), redacting():
        raise Stubborn
