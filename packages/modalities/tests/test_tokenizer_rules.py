"""What a tokenizer.json may hold: real ones pass, those that could do harm are refused with the field's name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ofa_modalities.tokenizer import TextTokenizer, train_tokenizer
from ofa_modalities.tokenizer_patterns import check_pattern

REAL_PATTERNS = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*",
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lo}&&[^\p{Han}]]*[\p{Ll}\p{Lo}&&[^\p{Han}]]+",
    r" ?[^(\s|[.,!?…。，、।۔،])]+",
    r"(?=(\d{3})+(?!\d))",
    r" {2,}",
    r"[\n\r\t]",
]


@pytest.mark.parametrize("pattern", REAL_PATTERNS)
def test_patterns_of_real_tokenizers_pass(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", "(a*)*", "(a|a)*b", "(?:a|ab)+c", "a*a*a*b", ".*.*.*x", "a?" * 30 + "a" * 30, "(a?){30}a{30}", r"(a)\1",
     r"(?<n>a)\g<n>", "a{100000}", "((a{100}){100}){100}", "(a+){2,}", "(.|.)" * 20 + "x", "a**", "(" * 40 + ")" * 40, "x" * 3000,
     "(", ")", "[a", "(?~a)"],
)  # fmt: skip
def test_patterns_that_explode_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"character|never closed|parentheses"):
        check_pattern(pattern)


@pytest.fixture(scope="module")
def state() -> str:
    return train_tokenizer(["the cat sat on the mat"] * 5, 280).to_json()


def _sequence(kind: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "Sequence", kind: parts}


DOUBLE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
HOSTILE: list[tuple[str, object, str]] = [
    ("normalizer", _sequence("normalizers", [DOUBLE] * 30), "normalizer"),
    ("normalizer", _sequence("normalizers", [{"type": "Prepend", "prepend": "a"}] * 40), "normalizer.normalizers"),
    ("normalizer", {"type": "Prepend", "prepend": "a" * 10**6}, "normalizer.prepend"),
    ("normalizer", {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}, "normalizer.pattern.Regex"),
    ("normalizer", {"type": "Replace", "pattern": {"String": ""}, "content": "a"}, "normalizer.pattern"),
    ("normalizer", {"type": "Unheard"}, "normalizer.type"),
    ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(a|a)*$"}, "behavior": "Isolated"}, "pre_tokenizer.pattern.Regex"),
    ("pre_tokenizer", {"type": "FixedLength", "length": 10**12}, "pre_tokenizer.length"),
    ("pre_tokenizer", 7, "pre_tokenizer"),
    (
        "post_processor",
        {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 999},
        "post_processor",
    ),
    ("decoder", {"type": "Strip", "content": "a", "start": 10**12, "stop": 0}, "decoder.start"),
    ("added_tokens", [{"id": 10**9, "content": "x"}], "added_tokens.0"),
    ("added_tokens", [{"id": 1, "content": "x" * 10**5}], "added_tokens.0"),
    ("model", None, "model"),
    ("model", {"type": "BPE", "vocab": {"a": 10**9}, "merges": []}, "model.vocab"),
    ("model", {"type": "BPE", "vocab": {"a": "0"}, "merges": []}, "model.vocab"),
    ("model", {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]}, "model.merges.0"),
    ("model", {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}, "model.merges.0"),
    ("model", {"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": 5}, "model.unk_id"),
    ("model", {"type": "WordPiece", "vocab": {"a": 0}, "max_input_chars_per_word": 10**9}, "model.max_input_chars_per_word"),
    ("model", {"type": "Unheard"}, "model.type"),
]


@pytest.mark.parametrize(("name", "value", "field"), HOSTILE)
def test_what_could_do_harm_is_refused_with_its_field(state: str, name: str, value: object, field: str) -> None:
    with pytest.raises(ValueError, match=f"`{field}") as found:
        TextTokenizer(json.dumps(json.loads(state) | {name: value}))
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 400


@pytest.mark.parametrize("text", ["", "[", "[]", "7", "[" * 100_000, '{"a":' * 100_000, "\ud800"])
def test_what_is_no_tokenizer_at_all(text: str) -> None:
    with pytest.raises(ValueError, match="not a tokenizer"):
        TextTokenizer(text)


SPECIAL = {"id": "[CLS]", "type_id": 0}
REAL: list[dict[str, Any]] = [
    {  # BERT
        "normalizer": {
            "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": SPECIAL}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "[CLS]": 1, "the": 2, "cat": 3, "##s": 4},
        },
    },
    {  # Llama
        "normalizer": _sequence(
            "normalizers", [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
        ),
        "decoder": _sequence(
            "decoders",
            [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
             {"type": "Strip", "content": " ", "start": 1, "stop": 0}],
        ),
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": True, "byte_fallback": True, "vocab": {"<unk>": 0, "▁": 1, "t": 2, "▁t": 3, "c": 4}, "merges": ["▁ t"],
        },
    },
    {  # T5
        "normalizer": _sequence(
            "normalizers", [{"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]
        ),
        "pre_tokenizer": _sequence(
            "pretokenizers",
            [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}],
        ),
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁", -2.0], ["the", -3.5], ["▁cat", -4]]},
    },
    {  # Llama 3
        "pre_tokenizer": _sequence(
            "pretokenizers",
            [{"type": "Split", "pattern": {"Regex": REAL_PATTERNS[1]}, "behavior": "Isolated", "invert": False},
             {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}],
        ),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "ignore_merges": True, "vocab": {"t": 0, "h": 1, "th": 2, "Ġ": 3}, "merges": [["t", "h"]]},
    },
]  # fmt: skip


@pytest.mark.parametrize("parts", REAL)
def test_tokenizers_of_real_kinds_are_read_and_used(parts: dict[str, Any]) -> None:
    tokenizer = TextTokenizer(json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": []} | parts))
    vocabulary = parts["model"]["vocab"]
    assert tokenizer.size == len(vocabulary)
    assert set(tokenizer.encode("the cat")) <= set(range(tokenizer.size))


def test_the_digest_is_that_of_the_text_and_older_ones_are_known(state: str) -> None:
    import hashlib

    tokenizer = TextTokenizer(state)
    assert tokenizer.digest == hashlib.sha256(state.encode()).hexdigest()
    ordered = json.dumps(json.loads(state), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert tokenizer.has_digest(hashlib.sha256(ordered.encode()).hexdigest())
    assert not tokenizer.has_digest("0" * 64)
