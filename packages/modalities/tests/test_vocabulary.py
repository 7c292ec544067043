from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import BlockPlan, Vocabulary, VocabularyPlan, train_tokenizer
from pydantic import ValidationError

TOKENIZER = train_tokenizer(["the cat sat on the mat"], 280)
VOCABULARY = Vocabulary(VocabularyPlan.lay_out(TOKENIZER, ["TEXT", "BOX"], {"bin": 64, "aaa": 3}), TOKENIZER)


def test_blocks_follow_each_other_in_their_order() -> None:
    assert [block.name for block in VOCABULARY.plan.blocks] == ["control", "text", "aaa", "bin"]
    assert VOCABULARY.plan.controls == ("pad", "unk", "mask", "end", "next", "choose", "begin:BOX", "begin:TEXT")
    assert VOCABULARY.block("bin").stop == VOCABULARY.size == 8 + TOKENIZER.size + 3 + 64
    assert VOCABULARY.block_of([0, 7, 8, VOCABULARY.size - 1]) == ["control", "control", "text", "bin"]


def test_the_plan_round_trips_and_refuses_gaps() -> None:
    plan = VOCABULARY.plan
    assert VocabularyPlan.model_validate_json(plan.model_dump_json()) == plan
    broken = [*plan.blocks[:-1], BlockPlan(name="bin", start=plan.blocks[-1].start + 1, size=64)]
    with pytest.raises(ValidationError, match="`bin` starts at"):
        VocabularyPlan(controls=plan.controls, blocks=tuple(broken), tokenizer_digest=plan.tokenizer_digest)


def test_another_tokenizer_is_refused() -> None:
    with pytest.raises(ValueError, match="not the vocabulary's"):
        Vocabulary(VOCABULARY.plan, train_tokenizer(["other words"], 280))


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(KeyError, match=r"no block `codes`.*bin"):
        VOCABULARY.block("codes")
    with pytest.raises(KeyError, match="begin:TEXT"):
        VOCABULARY.id("begin:IMAGE")


@given(st.lists(st.sampled_from(["cat", "<mask>", "<end>", "<begin:TEXT>", "<pad>", " ", "<", "mask>", "<bin_3>"])))
def test_only_mask_becomes_a_control_token(pieces: list[str]) -> None:
    text = "".join(pieces)
    ids = VOCABULARY.tokenizer.encode(text)
    assert ids.count(VOCABULARY.id("mask")) == text.count("<mask>")
    assert set(VOCABULARY.block_of([i for i in ids if i != VOCABULARY.id("mask")])) <= {"text"}


def test_mask_is_written_with_single_blanks() -> None:
    encode, decode = VOCABULARY.tokenizer.encode, VOCABULARY.tokenizer.decode
    assert decode(encode("the<mask>  sat <mask>")) == "the <mask> sat <mask>"
    assert encode("the <mask> sat") == [*encode("the"), VOCABULARY.id("mask"), *encode("sat")]


def test_decoding_leaves_out_what_is_no_text() -> None:
    ids = [VOCABULARY.id("begin:TEXT"), *VOCABULARY.tokenizer.encode("cat"), VOCABULARY.block("bin").start, VOCABULARY.id("end")]
    assert VOCABULARY.tokenizer.decode(ids) == "cat"


def test_spellings_and_pickle() -> None:
    other = pickle.loads(pickle.dumps(VOCABULARY))
    assert other.spell([other.id("next"), other.block("bin").start + 5]) == ["<next>", "<bin_5>"]
    assert "".join(other.spell(other.tokenizer.encode("the cat"))) == "▁the▁cat"
    with pytest.raises(IndexError):
        other.spell([other.size])
