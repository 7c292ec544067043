from __future__ import annotations

import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import TextTokenizer, load_tokenizer, train_tokenizer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = ["the cat sat on the mat", "a dog, a cat and naïve 日本 words", "the end"] * 4
TOKENIZER = train_tokenizer(TEXTS, 300)


@given(st.text())
def test_any_text_comes_back_stripped(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text.strip()


def test_a_word_is_one_token_at_the_start_and_inside() -> None:
    assert TOKENIZER.encode("cat") == TOKENIZER.encode("  cat ")
    assert TOKENIZER.encode("the cat")[1:] == TOKENIZER.encode("cat")


def test_training_is_deterministic_across_processes() -> None:
    program = f"from ofa_modalities import train_tokenizer; print(train_tokenizer({TEXTS!r}, 300).digest)"
    digests = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    }
    assert digests == {TOKENIZER.digest}


def test_it_is_never_larger_than_asked() -> None:
    assert 257 <= TOKENIZER.size <= 300
    with pytest.raises(ValueError, match="at least 257"):
        train_tokenizer(TEXTS, 100)


def test_save_load_and_pickle_keep_it(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path)
    for other in (load_tokenizer(tmp_path), load_tokenizer(tmp_path / "tokenizer.json"), pickle.loads(pickle.dumps(TOKENIZER))):
        assert other.digest == TOKENIZER.digest
        assert other.encode("a naïve cat") == TOKENIZER.encode("a naïve cat")


def test_a_lone_surrogate_is_an_error() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        TOKENIZER.encode("a \ud800 b")


def test_blanks_have_no_tokens() -> None:
    assert TOKENIZER.encode(" \n\t ") == []


def test_what_is_no_tokenizer_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="save_pretrained"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="not a tokenizer"):
        load_tokenizer(tmp_path)


def _word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=["[UNK]", "[CLS]", "[SEP]"]))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding()
    return tokenizer


def _sentence_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=["</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


@pytest.mark.parametrize("make", [_word_piece, _sentence_piece])
def test_tokenizers_of_other_kinds_load_without_specials_truncation_and_padding(make: object, tmp_path: Path) -> None:
    foreign = make()  # type: ignore[operator]
    foreign.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_tokenizer(tmp_path)
    text = "the cat sat on the mat"
    ids = tokenizer.encode(text)
    assert len(ids) > 2
    assert max(ids) < tokenizer.size
    assert tokenizer.decode(ids) == text
    assert TextTokenizer(tokenizer.to_json()).digest == tokenizer.digest


def test_the_spelling_of_a_special_token_is_plain_text() -> None:
    tokenizer = TextTokenizer(_word_piece().to_str())
    assert not {1, 2} & set(tokenizer.encode("[CLS] the cat [SEP]"))


@pytest.mark.parametrize("text", ["señal", "日本 words", "an 🙂 and a\nline", "Ġ is a letter", "ññ ñ"])
def test_pieces_are_characters_and_not_bytes(text: str) -> None:
    pieces = TOKENIZER.pieces(TOKENIZER.encode(text))
    assert len(pieces) == len(TOKENIZER.encode(text))
    shared = [re.fullmatch(r"<(.*):(\d)/\d>", piece, re.DOTALL) for piece in pieces]
    whole = [match[1] if match else piece for match, piece in zip(shared, pieces, strict=True) if not match or match[2] == "1"]
    assert "".join(whole).replace("▁", " ").strip() == text.replace("\n", "\\n")


def test_a_character_that_several_tokens_share_is_told_by_each() -> None:
    tokenizer = train_tokenizer(["abc"], 257)
    assert tokenizer.pieces(tokenizer.encode("añ")) == ["▁", "a", "<ñ:1/2>", "<ñ:2/2>"]
    assert tokenizer.pieces(tokenizer.encode("añ")[:-1]) == ["▁", "a", "<c3>"]


def test_pieces_of_byte_fallback_are_characters() -> None:
    state = models.BPE({"<0xC3>": 0, "<0xB1>": 1, "a": 2, "▁": 3, "<unk>": 4}, [], unk_token="<unk>", byte_fallback=True)
    inner = Tokenizer(state)
    inner.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = TextTokenizer(inner.to_str())
    assert tokenizer.pieces(tokenizer.encode("añ")) == ["a", "<ñ:1/2>", "<ñ:2/2>"]
