"""Whatever a configuration says, it gives settings or a refusal."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.config.configuration import load
from flows.config.settings import Settings, SettingsError
from tests.flows.config.writing import FEATURE

WORDS = (
    "store engine sources encoders monitors features kind path news mini articles source encoder "
    "drift alpha workers retries catalog"
)
NAMES = st.sampled_from(WORDS.split())
SCALARS = st.one_of(
    NAMES,
    st.sampled_from(["table", "files", "mfcc", "${NO_SUCH_VARIABLE}", "${:-}", "$${", "", "*.csv"]),
    st.text(max_size=5),
    st.integers(-3, 10**20),
    st.floats(),
    st.booleans(),
    st.dates(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def as_toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return str(value)


def load_bytes(content: bytes) -> Settings | None:
    """The settings, None where they are refused as they should be."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.toml"
        path.write_bytes(content)
        try:
            return load(path)
        except SettingsError:
            return None


@QUICK
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_tables_give_settings_or_a_refusal(tables: dict[str, object]) -> None:
    text = "\n".join(f"{as_toml(key)} = {as_toml(value)}" for key, value in tables.items())
    load_bytes(text.encode())


@QUICK
@given(
    section=st.sampled_from(["sources.news", "encoders.mini", "features.articles", "engine"]),
    key=st.sampled_from(["path", "id", "keep", "types", "mels", "rate", "monitors", "workers"]),
    value=VALUES,
)
def test_any_value_of_a_key_gives_settings_or_a_refusal(
    section: str, key: str, value: object
) -> None:
    header = f"[{section}]\n"
    text = FEATURE if header in FEATURE else FEATURE + header
    load_bytes(text.replace(header, f"{header}{key} = {as_toml(value)}\n").encode())


@QUICK
@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_give_settings_or_a_refusal(content: bytes) -> None:
    load_bytes(content)
