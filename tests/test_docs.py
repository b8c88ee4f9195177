"""Each encoder kind has a page, whose example is a configuration and which names every key."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from encoders import registry
from flows.config.configuration import load

PAGES = Path(__file__).parent.parent / "docs" / "encoders"


def page(kind: str) -> str:
    return (PAGES / f"{kind}.md").read_text("utf-8")


def test_every_kind_has_a_page_and_no_other() -> None:
    assert sorted(file.stem for file in PAGES.glob("*.md")) == sorted([*registry.kinds(), "index"])


@pytest.mark.parametrize("kind", registry.kinds())
class TestEveryPage:
    def test_its_examples_are_a_configuration(
        self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocks = re.findall(r"^```toml\n(.*?)^```$", page(kind), re.MULTILINE | re.DOTALL)
        assert blocks
        text = "\n".join(blocks)
        for name in re.findall(r"(?<!\$)\$\{(\w+)\}", text):
            monkeypatch.setenv(name, "given")
        (tmp_path / "page.toml").write_text(text, encoding="utf-8")
        features = load(tmp_path / "page.toml").features
        assert kind in {feature.encoder.kind for feature in features.values()}

    def test_it_names_every_key(self, kind: str) -> None:
        named = set(re.findall(r"`(\w+)`", page(kind)))
        keys = {field.name for field in fields(registry.params_type(kind))}
        assert keys - named == set()
