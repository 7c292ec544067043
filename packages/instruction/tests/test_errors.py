"""Every malformed text is an error of its own code, with carets on the right columns."""

import pickle

import pytest
from ofa_instruction import ERROR_CATALOGUE, BindError, CatalogError, ErrorCode, InstructionError, parse, parse_template

# Code, text, and the carets below it.
MALFORMED = [
    ("OFA-I001", "[TEXT:a]", "        ^"),
    ("OFA-I001", "", "^"),
    ("OFA-I001", "[TEXT:a] \\-> [TEXT:b]", "                     ^"),
    ("OFA-I002", "[TEXT:a] -> [TEXT:b] -> [TEXT:c]", "                     ^^"),
    ("OFA-I002", "[TEXT:a] ->->", "           ^^"),
    ("OFA-I003", "[IMGAE:img] -> [TEXT:cap]", " ^^^^^"),
    ("OFA-I003", "[image:img] -> [TEXT:cap]", " ^^^^^"),
    ("OFA-I003", "[IMAGE:img] -> [Text:cap]", "                ^^^^"),
    ("OFA-I003", "[IMAGE|FOO] ->", "       ^^^"),
    ("OFA-I003", "([TEXT] [FOO])* ->", "         ^^^"),
    ("OFA-I004", "[IMAGE:img what does it describe? -> [TEXT:cap]", "^"),
    ("OFA-I004", "[IMAGE:img] -> [TEXT:cap", "               ^"),
    ("OFA-I004", "[IMAGE:img] -> [TEXT:cap,", "               ^"),
    ("OFA-I004", "[IMAGE:img] -> [", "               ^"),
    ("OFA-I004", "[IMAGE[TEXT]] ->", "^"),
    ("OFA-I004", "[[BOX] [TEXT] -> [TEXT]]*", "^"),
    ("OFA-I004", "-> [[BOX] [TEXT]", "   ^"),
    ("OFA-I005", "IMAGE:img] -> [TEXT:cap]", "         ^"),
    ("OFA-I005", "[IMAGE:img]] -> [TEXT:cap]", "           ^"),
    ("OFA-I005", "[BOX] [TEXT])* ->", "            ^^"),
    ("OFA-I005", "([BOX] -> [TEXT])*", "                ^^"),
    ("OFA-I005", "-> [[BOX] )* [TEXT]]*", "          ^^"),
    ("OFA-I006", "[TEXT:cap, no_loss] ->", "          ^"),
    ("OFA-I006", "[ TEXT:cap] ->", " ^"),
    ("OFA-I006", "[TEXT:cap ] ->", "         ^"),
    ("OFA-I006", "[TEXT :cap] ->", "     ^"),
    ("OFA-I006", "[TEXT:cap,k= v] ->", "            ^"),
    ("OFA-I006", "[IMAGE |TEXT] ->", "      ^"),
    ("OFA-I007", "[] ->", " ^"),
    ("OFA-I007", "[:img] ->", " ^"),
    ("OFA-I007", "[TEXT:] ->", "      ^"),
    ("OFA-I007", "[TEXT:,k] ->", "      ^"),
    ("OFA-I007", "[TEXT:a,] ->", "        ^"),
    ("OFA-I007", "[TEXT:a,,k] ->", "        ^"),
    ("OFA-I007", "[TEXT:a,=v] ->", "        ^"),
    ("OFA-I007", "[TEXT:a,k=] ->", "          ^"),
    ("OFA-I007", '[TEXT:a,k=""] ->', "          ^^"),
    ("OFA-I007", "[TEXT|] ->", "      ^"),
    ("OFA-I007", "[|TEXT] ->", " ^"),
    ("OFA-I008", "[TEXT:1st] ->", "      ^^^"),
    ("OFA-I008", "[TEXT:my-name] ->", "      ^^^^^^^"),
    ("OFA-I008", "[TEXT:a,mask-ratio=1] ->", "        ^^^^^^^^^^"),
    ("OFA-I009", "[TEXT:a:b] ->", "       ^"),
    ("OFA-I009", "[TEXT=a] ->", "     ^"),
    ("OFA-I009", "[TEXT:a,k=b=c] ->", "           ^"),
    ("OFA-I009", '[TEXT:"a"] ->', "      ^^^"),
    ("OFA-I009", '[TEXT:a,k="b"c] ->', "             ^"),
    ("OFA-I010", "[TEXT:a,k=1,k=2] ->", "            ^"),
    ("OFA-I011", '[TEXT:a,k="b] ->', "          ^"),
    ("OFA-I011", '[TEXT:a,k="\\n"] ->', "           ^^"),
    ("OFA-I012", "a \\n [TEXT] ->", "  ^^"),
    ("OFA-I012", "[TEXT] -> \\", "          ^"),
    ("OFA-I012", "[TEXT] \\- -> ", "       ^^"),
    ("OFA-I012", "[TEXT:a\\]] ->", "       ^"),
    ("OFA-I013", "a -> b", "^^^^^^"),
    ("OFA-I013", " -> ", " ^^"),
    ("OFA-I014", "[BOX]* ->", "     ^"),
    ("OFA-I014", "[IMAGE|TEXT]* ->", "            ^"),
    ("OFA-I014", "[[IMAGE]|[TEXT]]* ->", "                ^"),
    ("OFA-I015", "(a)* [TEXT] ->", "^^^^"),
    ("OFA-I015", "[[BOX] [TEXT]] ->", "^"),
    ("OFA-I015", "[[BOX]] ->", "^"),
    ("OFA-I015", "[[[BOX]]*]* ->", " ^"),
    ("OFA-I015", "[[BOX|TEXT] [TEXT]]* ->", "^"),
    ("OFA-I016", "[[IMAGE]|] ->", "^^^^^^^^^^"),
    ("OFA-I016", "[[IMAGE] a|[TEXT]] ->", "^^^^^^^^^^^^^^^^^^"),
    ("OFA-I016", "[[BOX] a|b [TEXT]]* ->", "^^^^^^^^^^^^^^^^^^"),
    ("OFA-I017", "(" * 17 + "[TEXT]" + ")*" * 17 + " ->", "^" * 57),
    ("OFA-I017", "[[BOX] " * 17, " " * 112 + "^"),
    ("OFA-I018", "[TEXT] -> a |||| b", "            ^^^^"),
    ("OFA-I018", "[[IMAGE]||[TEXT]] ->", "        ^^"),
    ("OFA-I018", "[[IMAGE] (a|b) [TEXT]]* ->", "           ^"),
    ("OFA-I019", "a\x00 [TEXT] ->", " ^"),
    ("OFA-I019", "a [TEXT] -> \ud800", "            ^"),
]


@pytest.mark.parametrize(("code", "text", "carets"), MALFORMED)
def test_malformed(code: str, text: str, carets: str) -> None:
    with pytest.raises(InstructionError) as caught:
        parse_template(text)
    error = caught.value
    assert error.code == code
    assert error.text == text
    assert (error.span.start, max(error.span.stop, error.span.start + 1)) == (len(carets) - carets.count("^"), len(carets))
    assert str(error).splitlines()[2] == f"  {carets}"
    str(error).encode()


def test_every_code_of_the_text_is_tried() -> None:
    assert {code for code, _, _ in MALFORMED} == {code for code in ErrorCode if code < "OFA-I1"}
    assert set(ERROR_CATALOGUE) == set(ErrorCode)


def test_the_whole_message() -> None:
    with pytest.raises(InstructionError) as caught:
        parse("[IMGAE:img] what does the image describe? -> [TEXT:cap]")
    assert str(caught.value) == (
        "OFA-I003: unknown modality `IMGAE`\n"
        "  [IMGAE:img] what does the image describe? -> [TEXT:cap]\n"
        "   ^^^^^\n"
        "  known: AUDIO BOX CATEGORY IMAGE MOTION PHONE STRUCT TEXT VIDEO\n"
        "  did you mean `IMAGE`? To write a literal bracket use `\\[`."
    )
    assert caught.value.span == (1, 6)


def test_parse_of_alternatives_says_how_to_read_them() -> None:
    with pytest.raises(InstructionError, match="parse_template") as caught:
        parse("[TEXT:a] -> [TEXT:b] ||| [TEXT:a] -> [TEXT:b]")
    assert caught.value.span == (21, 24)


def test_the_arrow_missing_in_one_alternative() -> None:
    with pytest.raises(InstructionError) as caught:
        parse_template("[TEXT:a] -> [TEXT:b] ||| [TEXT:a]")
    assert (caught.value.code, caught.value.span) == ("OFA-I001", (33, 33))


@pytest.mark.parametrize(
    ("before", "shown", "columns"),
    [
        ("日本 ", "日本 ", 5),
        ("e\u0301 ", "e\u0301 ", 2),
        ("\t\t", "  ", 2),
        ("one\ntwo ", "two ", 4),
        ("one\r\ntwo ", "two ", 4),
        ("\u202e ", "\ufffd ", 2),
        ("\ud800", "\ufffd", 0),
    ],
)
def test_carets_stand_under_their_place_whatever_comes_before(before: str, shown: str, columns: int) -> None:
    with pytest.raises(InstructionError) as caught:
        parse(f"{before}[FOO:a] -> x")
    _, line, carets, *_ = str(caught.value).split("\n")
    assert line.startswith(f"  {shown}")
    assert carets == ("  " + " " * columns + ("^" if "\ud800" in before else " ^^^"))


def test_wide_characters_get_wide_carets_and_a_span_ends_with_its_line() -> None:
    with pytest.raises(InstructionError) as caught:
        parse("[日本:a] ->")
    assert str(caught.value).splitlines()[2] == "   ^^^^"
    with pytest.raises(InstructionError) as caught:
        parse("say\nno ->\nslot")
    assert str(caught.value).splitlines()[1:3] == ["  say", "  ^^^"]


def test_a_long_line_is_cut_around_the_place() -> None:
    with pytest.raises(InstructionError) as caught:
        parse("a" * 5000 + "[FOO]" + "b" * 5000 + "->")
    _, line, carets, *_ = str(caught.value).splitlines()
    assert len(line) < 300
    assert line[carets.index("^") :].startswith("FOO]")
    with pytest.raises(InstructionError) as caught:
        parse(f"[{'X' * 100_000}] ->")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "error",
    [
        InstructionError("OFA-I001", "message", "text", (1, 2), "hint"),
        CatalogError("message", reason="unknown", group="ofa.metrics", name="x", hint="hint"),
        BindError("message", "column"),
    ],
)
def test_errors_can_be_pickled(error: ValueError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
