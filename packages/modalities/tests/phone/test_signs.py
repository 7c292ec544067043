"""Nothing of a text is left out when it is pronounced: signs are said, or are an error with their place."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import SampleError
from ofa_modalities.phone.numbers import spell_numbers
from ofa_modalities.phone.reading import read_phones
from ofa_modalities.phone.signs import _SILENT, after_numbers, before_numbers
from ofa_modalities.phone.spec import PhoneOptions

OPTIONS = PhoneOptions(fallback="rules", stress=False)


def said(text: str) -> str:
    return " ".join(read_phones(text, "text", OPTIONS))


def words(text: str) -> str:
    return " ".join(after_numbers(spell_numbers(before_numbers(text))).split())


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("-5", "minus five"),
        ("−5", "minus five"),
        ("(-5)", "minus five"),
        ("-.5", "minus point five"),
        ("5 - 3", "five minus three"),
        ("x - 3", "x minus three"),
        ("5-3", "five dash three"),
        ("3–5", "three to five"),
        ("-5–-3", "minus five to minus three"),
        ("1e-5", "one e minus five"),
        ("€5", "five euros"),
        ("1 €", "one euro"),
        ("-$5", "minus five dollars"),
        ("₮5", "tugrik five"),
        ("£", "pound"),
        ("50°", "fifty degrees"),
        ("50º", "fifty degrees"),
        ("20 °C", "twenty degrees celsius"),
        ("20℉", "twenty degrees fahrenheit"),
        ("5 %", "five percent"),
        ("5‰", "five per mille"),
        ("1/2", "one half"),
        ("2½", "two and one half"),
        ("3/4 cup", "three quarters cup"),
        ("24/7", "twenty four over seven"),
        ("1/2/2020", "one slash two slash two thousand twenty"),
        ("22nd", "twenty second"),
        ("1.2.3", "one point two point three"),
        (".5", "point five"),
        ("10k", "ten k"),
        ("x²", "x squared"),
        ("10⁻⁶", "ten to the minus six"),
        ("1 km", "one kilometer"),
        ("60km/h", "sixty kilometers per hour"),
        ("5 µm", "five micrometers"),
        ("6 ft", "six feet"),
        ("5×3", "five times three"),
        ("a/b", "a slash b"),
        ("<5", "less than five"),
        ("π", "pi"),
        ("C++", "C plus plus"),
        ("C#", "C number"),
        ("™", "trademark"),
        ("٣", "three"),
        ("5\u200b6", "five six"),
        ("naïve Łódź", "naive Lodz"),
        ("Straße, Søren", "Strasse, Soren"),
        ("cœur, Ærø", "coeur, AEro"),
        ("“well-known” (x)", "well known x"),
    ],
)
def test_signs_are_said(text, spoken) -> None:
    assert words(text) == spoken


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello Привет", "'П' (cyrillic capital letter pe) at character 7 is not pronounced"),
        ("مرحبا", "'م' (arabic letter meem) at character 1"),
        ("ok 👍", "'👍' (thumbs up sign) at character 4"),
        ("αβγ", "'α' (greek small letter alpha) at character 1"),
        ("a\x07", "'\\x07' (without a name) at character 2"),
    ],
)
def test_what_has_no_sound_here_is_an_error_with_its_place(text, message) -> None:
    with pytest.raises(SampleError) as caught:
        said(text)
    assert caught.value.column == "text"
    assert message in str(caught.value)


@given(st.characters(codec="utf-8"))
def test_no_character_beside_a_number_is_dropped(sign: str) -> None:
    """It changes what is said, is refused, or is one of those that nobody reads aloud."""
    is_mark = sign == "5" or {unicodedata.category(part) for part in unicodedata.normalize("NFKD", sign)} <= {
        "Mn",
        "Me",
        "Cf",
        "Zs",
    }
    is_pause = (
        sign.isspace()
        or unicodedata.normalize("NFKC", sign).strip() in ("", "'", *",.?!;:…。、，‒–—―")
        or set(unicodedata.normalize("NFKC", sign)) <= {*_SILENT, *".'’‘ʼ?!;:,", " "}
    )
    if is_mark or is_pause:
        return
    for text in (f"{sign}5", f"5{sign}", f"x {sign} y"):
        try:
            found = said(text)
        except SampleError:
            continue
        assert found != said(text.replace(sign, "")), text


@given(st.text(st.sampled_from("0123456789-−–.,/½²€$%°kmx× ⁄ⁿ"), max_size=12))
def test_any_number_is_words_or_a_clear_error(text: str) -> None:
    try:
        found = words(text)
    except ValueError:
        return
    assert not any(letter.isdigit() for letter in found)


@pytest.mark.parametrize("most", [1, 7, 300])
@pytest.mark.parametrize(
    "text", ["hello -5 km of €3 worlds, " * 3000, "1234567890" * 3000, "HH AH0 L OW1 | W ER1 L D | " * 3000, "K D " * 9000]
)
def test_the_first_symbols_of_a_long_text_are_those_of_all(text, most) -> None:
    found = read_phones(text, "text", OPTIONS, enough=most)
    assert len(found) > most
    assert found[:most] == read_phones(text, "text", OPTIONS)[:most]


def test_a_text_of_megabytes_is_read_as_far_as_it_is_used() -> None:
    text = "the quick brown fox " * 500_000
    assert 512 < len(read_phones(text, "text", OPTIONS, enough=512)) < 10_000
    with pytest.raises(SampleError, match="9,999,999 characters; at most 100,000 are"):
        read_phones(text, "text", OPTIONS)
    with pytest.raises(SampleError, match="a word of at most 64"):
        read_phones("x" * 10**7, "text", OPTIONS, enough=512)
