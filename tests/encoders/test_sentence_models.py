"""Sentence models of other make: tables of tokens, routes of their own, prompts, and chunks."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders.abilities import Truncated
from encoders.base import EncoderError
from encoders.registry import splitter
from encoders.sentence import Params, SentenceEncoder, build, recipe
from storage.ids import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEXTS = ["the cat is a dog", "the mill ground the grain", "stone"]
LONG = "the mill ground the grain so fine it is flour . a dog is not a cat"


@pytest.fixture(scope="module")
def tiny(weights: Path) -> Path:
    return weights / "sentence-tiny"


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny, tmp_path / "model")


def name_prompts(folder: Path, prompts: Mapping[str, str], default: str | None = None) -> None:
    file = folder / "config_sentence_transformers.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"prompts": prompts, "default_prompt_name": default}))


class TestPrompts:
    def test_a_model_names_those_of_documents_and_queries(self, copy: Path) -> None:
        plain = build(Params(model=str(copy)))
        name_prompts(copy, {"passage": "the passage: ", "query": "a cat: "})
        named = build(Params(model=str(copy)))
        expected = plain.encode([f"the passage: {text}" for text in TEXTS])
        np.testing.assert_allclose(named.encode(TEXTS), expected, atol=1e-6)
        expected = plain.encode([f"a cat: {text}" for text in TEXTS])
        np.testing.assert_allclose(named.encode_query(TEXTS), expected, atol=1e-6)

    def test_parameters_go_before_what_the_model_names(self, copy: Path) -> None:
        name_prompts(copy, {"document": "stone ", "query": "stone "})
        own = build(Params(model=str(copy), prompt="", query_prompt="a dog: "))
        name_prompts(copy, {})
        plain = build(Params(model=str(copy)))
        np.testing.assert_allclose(own.encode(TEXTS), plain.encode(TEXTS), atol=1e-6)
        expected = plain.encode([f"a dog: {text}" for text in TEXTS])
        np.testing.assert_allclose(own.encode_query(TEXTS), expected, atol=1e-6)

    def test_a_model_without_one_for_queries_encodes_both_alike(self, copy: Path) -> None:
        name_prompts(copy, {"usual": "it is "}, "usual")
        encoder = build(Params(model=str(copy)))
        np.testing.assert_array_equal(encoder.encode_query(TEXTS), encoder.encode(TEXTS))
        encoder = build(Params(model=str(copy), prompt="so "))
        np.testing.assert_array_equal(encoder.encode_query(TEXTS), encoder.encode(TEXTS))

    def test_those_of_queries_are_no_part_of_the_fingerprint(self, copy: Path) -> None:
        one, other = (Params(model=str(copy), query_prompt=text) for text in ("", "a dog: "))
        assert recipe(one) == recipe(other)
        assert recipe(one) != recipe(Params(model=str(copy), prompt="a dog: "))

    def test_those_that_only_documents_have_change_the_fingerprint(self, copy: Path) -> None:
        name_prompts(copy, {"document": "it is "})
        assert recipe(Params(model=str(copy)))["prompt"] == "it is "
        name_prompts(copy, {"usual": "it is "}, "usual")
        assert recipe(Params(model=str(copy)))["prompt"] is None

    def test_there_are_no_queries_without_texts(self, tiny: Path) -> None:
        assert build(Params(model=str(tiny))).encode_query([]).shape == (0, 32)


class TestChunks:
    def params(self, tiny: Path, **chunk: Any) -> Params:  # noqa: ANN401 - as in TOML
        from encoders._chunks import Chunk

        return Params(model=str(tiny), chunk=Chunk(**chunk), prompt="passage: ")

    def test_windows_are_pooled_by_their_tokens(self, tiny: Path) -> None:
        params = self.params(tiny, tokens=10, pool="mean")
        plain = build(Params(model=str(tiny), prompt="passage: "))
        windows = [LONG[start:end] for start, end in self.spans(tiny, LONG, tokens=10)]
        weights = np.array([len(window.split()) for window in windows], np.float32)
        mean = weights @ plain.encode(windows)
        found = build(params).encode([LONG, "stone"])
        np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-5)
        np.testing.assert_allclose(found[1], plain.encode(["stone"])[0], atol=1e-6)
        assert len(windows) == 3
        assert weights.tolist() == [6, 6, 5]

    def test_windows_are_pooled_by_their_greatest(self, tiny: Path) -> None:
        found = build(self.params(tiny, tokens=10, pool="max")).encode([LONG])[0]
        plain = build(Params(model=str(tiny), prompt="passage: "))
        windows = [LONG[start:end] for start, end in self.spans(tiny, LONG, tokens=10)]
        most = plain.encode(windows).max(axis=0)
        np.testing.assert_allclose(found, most / np.linalg.norm(most), atol=1e-5)

    def spans(self, tiny: Path, text: str, **chunk: Any) -> list[tuple[int, int]]:  # noqa: ANN401 - as above
        cut = splitter("sentence", self.params(tiny, **chunk))
        assert cut is not None
        return cut([text])[0]

    def test_rows_of_their_own_lose_nothing(self, tiny: Path) -> None:
        texts = [LONG[a:b] for a, b in self.spans(tiny, LONG, tokens=10, overlap=2)]
        encoder = build(self.params(tiny, tokens=10, overlap=2))
        cut = encoder.truncated(texts)
        assert cut.texts == 0
        assert cut.tokens <= 10 * len(texts)
        assert encoder.encode(texts).shape == (len(texts), 32)

    def test_there_is_nothing_to_split_where_they_are_pooled(self, tiny: Path) -> None:
        assert splitter("sentence", Params(model=str(tiny))) is None
        assert splitter("sentence", self.params(tiny, tokens=10, pool="mean")) is None
        encoder = build(self.params(tiny, tokens=10, pool="mean"))
        assert encoder.truncated([LONG * 20]) == Truncated()

    def test_every_key_is_part_of_the_fingerprint(self, tiny: Path) -> None:
        ways: list[dict[str, Any]] = [
            {"tokens": 10},
            {"tokens": 11},
            {"tokens": 10, "overlap": 2},
            {"tokens": 10, "pool": "mean"},
            {"tokens": 10, "pool": "max"},
        ]
        recipes = [recipe(self.params(tiny, **way)) for way in ways]
        recipes.append(recipe(Params(model=str(tiny), prompt="passage: ")))
        assert len({fingerprint(found) for found in recipes}) == 6

    def test_more_than_the_model_reads_is_refused(self, tiny: Path) -> None:
        with pytest.raises(EncoderError, match=r"tokens = 65\} is more than the 64 tokens"):
            build(self.params(tiny, tokens=65, pool="mean"))
        with pytest.raises(EncoderError, match=r"tokens = 65\} is more than the 64 tokens"):
            build(self.params(tiny, tokens=65))

    def test_the_tokenizer_may_lower_its_texts(self, copy: Path) -> None:
        file = copy / "sentence_bert_config.json"
        tokenizer = json.loads((copy / "tokenizer.json").read_text())
        tokenizer["normalizer"] = None
        (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
        upper = "MILL STONE WHEEL GRAIN FLOUR GROUND"
        assert len(self.spans(copy, upper, tokens=6)) == 6 / 2
        file.write_text(json.dumps(json.loads(file.read_text()) | {"do_lower_case": True}))
        assert len(self.spans(copy, upper, tokens=6)) == 6 / 2


@pytest.fixture
def table(tiny: Path, tmp_path: Path) -> Path:
    """A static model as model2vec itself saves it."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    vectors = np.random.default_rng(3).standard_normal((size, 12)).astype(np.float32)
    StaticModel(vectors, tokenizer, normalize=True).save_pretrained(tmp_path / "table")
    return tmp_path / "table"


class TestTables:
    def test_vectors_are_those_of_model2vec(self, table: Path) -> None:
        from model2vec import StaticModel

        expected = StaticModel.from_pretrained(table).encode(TEXTS)
        found = build(Params(model=str(table)))
        np.testing.assert_allclose(found.encode(TEXTS), expected, atol=1e-6)
        assert found.recipe() == recipe(Params(model=str(table)))
        (table / "modules.json").unlink()
        early = build(Params(model=str(table)))
        np.testing.assert_allclose(early.encode(TEXTS), expected, atol=1e-6)

    def test_texts_of_any_length_are_read(self, table: Path) -> None:
        encoder = build(Params(model=str(table)))
        long = "mill " * 5000
        assert encoder.truncated([long]) == Truncated()
        np.testing.assert_allclose(encoder.encode([long]), encoder.encode(["mill"]), atol=1e-5)
        with pytest.raises(EncoderError, match=r"max_tokens = 8 .* reads texts of any length"):
            build(Params(model=str(table), max_tokens=8))

    def test_they_gain_nothing_by_a_short_type(self, table: Path) -> None:
        assert recipe(Params(model=str(table), dtype="auto"))["dtype"] == "float32"

    def test_a_table_can_be_cut_into_chunks(self, table: Path) -> None:
        from encoders._chunks import Chunk

        params = Params(model=str(table), chunk=Chunk(6, pool="max"))
        assert isinstance(build(params), SentenceEncoder)
        found = build(params).encode([LONG])
        assert not np.allclose(found, build(Params(model=str(table))).encode([LONG]), atol=1e-3)


def test_routes_of_their_own_are_taken(tiny: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    document: Any = SentenceTransformer(str(tiny), device="cpu")
    tokenizer = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    weights = np.random.default_rng(3).standard_normal((size, 32)).astype(np.float32)
    query = StaticEmbedding(tokenizer, embedding_weights=weights)
    router = Router.for_query_document([query], list(document), default_route="query")
    SentenceTransformer(modules=[router]).save(str(tmp_path / "routed"), create_model_card=False)
    encoder = build(Params(model=str(tmp_path / "routed")))
    plain = build(Params(model=str(tiny)))
    np.testing.assert_allclose(encoder.encode(TEXTS), plain.encode(TEXTS), atol=1e-6)
    asked = query.embedding(query.preprocess(["stone"])["input_ids"][None]).detach().numpy()
    expected = asked / np.linalg.norm(asked)
    np.testing.assert_allclose(encoder.encode_query(["stone"]), expected, atol=1e-6)
    assert encoder.recipe()["task"] == "document"


def test_auto_is_what_the_machine_computes_in(tiny: Path) -> None:
    import torch

    able = torch.cpu.get_capabilities()
    short = bool(able.get("amx_bf16") or able.get("avx512_bf16"))
    found = recipe(Params(model=str(tiny), dtype="auto", device="cpu"))["dtype"]
    assert found == ("bfloat16" if short else "float32")
    assert recipe(Params(model=str(tiny), dtype="bfloat16"))["dtype"] == "bfloat16"
