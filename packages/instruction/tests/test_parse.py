"""What the grammar reads, and what it makes of it."""

import pytest
from ofa_instruction import (
    Attribute,
    Catalog,
    Contrast,
    Instruction,
    InstructionError,
    ModalitySpec,
    Repeat,
    Slot,
    Text,
    parse,
    parse_template,
)


def test_a_caption() -> None:
    assert parse("[IMAGE:img] what does the image describe? -> [TEXT:cap]") == Instruction(
        (Slot("IMAGE", "img"), Text("what does the image describe?")), (Slot("TEXT", "cap"),)
    )


def test_unnamed_slots_are_counted_over_both_sides_and_printed_without_a_name() -> None:
    instruction = parse("[IMAGE] a [TEXT:b] [IMAGE|TEXT] -> ([BOX] [TEXT])*")
    assert [slot.name for slot in instruction.slots] == ["0", "b", "2", "3", "4", "5"]
    assert str(instruction) == "[IMAGE] a [TEXT:b] [IMAGE|TEXT] -> ([BOX] [TEXT])*"


def test_attributes_are_flags_and_values() -> None:
    (slot,) = parse('[TEXT:a,no_loss,max_length=876,say="a ]|, -> \\" \\\\ b",lang=x:y,r=-0.5,arrow=->] ->').source
    assert isinstance(slot, Slot)
    assert slot.attributes == (
        Attribute("no_loss"),
        Attribute("max_length", "876"),
        Attribute("say", 'a ]|, -> " \\ b'),
        Attribute("lang", "x:y"),
        Attribute("r", "-0.5"),
        Attribute("arrow", "->"),
    )


def test_quotes_that_are_not_needed_mean_nothing() -> None:
    assert parse('[TEXT:a,k="b"] ->') == parse("[TEXT:a,k=b] ->")
    assert str(parse('[TEXT:a,k="b"] ->')) == "[TEXT:a,k=b] ->"


@pytest.mark.parametrize("text", ["-> [TEXT:a]", "[TEXT:a] ->", " [TEXT:a]->", "words -> [TEXT]", "[TEXT] -> words"])
def test_a_side_may_be_empty_or_words_alone(text: str) -> None:
    assert len(parse(text).slots) == 1


@pytest.mark.parametrize(
    "spelling", ["([BOX] [TEXT])*", "( [BOX] [TEXT])*", "[[BOX][TEXT]]*", "[ [BOX] [TEXT] ]*", "[[BOUNDING_BOX] [TEXT]]*"]
)
def test_both_spellings_of_a_repeat(spelling: str) -> None:
    assert parse(f"-> {spelling}").target == (Repeat((Slot("BOX", "0"), Slot("TEXT", "1"))),)
    assert str(parse(f"-> {spelling}")) == "-> ([BOX] [TEXT])*"


@pytest.mark.parametrize("spelling", ["[IMAGE:a|TEXT:b,k=v]", "[[IMAGE:a]|[TEXT:b,k=v]]", "[ [IMAGE:a] | [TEXT:b,k=v] ]"])
def test_both_spellings_of_a_contrast(spelling: str) -> None:
    contrast = Contrast((Slot("IMAGE", "a"), Slot("TEXT", "b", (Attribute("k", "v"),))))
    assert parse(f"{spelling} ->").source == (contrast,)
    assert str(parse(f"{spelling} ->")) == "[IMAGE:a|TEXT:b,k=v] ->"


def test_repeats_nest_and_hold_contrasts() -> None:
    text = "(in [IMAGE:i] ([BOX:b] is [TEXT:t])* and [IMAGE:j|TEXT:u])* ->"
    repeat = parse(text).source[0]
    assert isinstance(repeat, Repeat)
    assert [type(node) for node in repeat.body] == [Text, Slot, Repeat, Text, Contrast]
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a (b) c [TEXT]", ["a (b) c"]),
        ("a ([TEXT] b) c", ["a (", "b) c"]),
        (":) [TEXT] (", [":)", "("]),
        ("( [TEXT] ) * x", ["(", ") * x"]),
        ("2 * 3 [TEXT]", ["2 * 3"]),
        ("a|b || c [TEXT]", ["a|b || c"]),
        (r"\[IMAGE\] \(\)\* \| \\ \-> [TEXT]", [r"[IMAGE] ()* | \ ->"]),
        (r"[TEXT]\* x", ["* x"]),
        ("<BOS> é 日本 [TEXT] \u00a0 ", ["<BOS> é 日本"]),
        ("a - > [TEXT]", ["a - >"]),
    ],
)
def test_what_is_text(text: str, words: list[str]) -> None:
    instruction = parse(f"{text} ->")
    assert [node.text for node in instruction.source if isinstance(node, Text)] == words
    assert len(instruction.slots) == 1
    assert parse(str(instruction)) == instruction


def test_parentheses_inside_a_repeat_pair_up_or_are_escaped() -> None:
    instruction = parse(r"(one (of many) \( [TEXT] \) \)*)* ->")
    (repeat,) = instruction.source
    assert isinstance(repeat, Repeat)
    assert [str(node) if isinstance(node, Slot) else node.text for node in repeat.body if not isinstance(node, Repeat)] == [  # type: ignore[union-attr]
        "one (of many) (",
        "[TEXT]",
        ") )*",
    ]
    assert parse(str(instruction)) == instruction


def test_canonical_spelling_escapes_no_more_than_it_must() -> None:
    text = r"a (b) c* | \[x\] \\ 2 > 1 - \-> \|\|\| \)* [TEXT] -> (see [TEXT] \) (ok))*"
    assert str(parse(text)) == text


def test_spans_point_into_the_text_and_do_not_count() -> None:
    text = "  say  [TEXT:a,k=v]  -> [[BOX] it]*"
    instruction = parse(text)
    words, slot = instruction.source
    assert isinstance(slot, Slot)
    assert text[slice(*words.span)] == "say"
    assert text[slice(*slot.span)] == "[TEXT:a,k=v]"
    assert text[slice(*slot.modality_span)] == "TEXT"
    assert text[slice(*slot.name_span)] == "a"
    assert text[slice(*slot.attributes[0].key_span)] == "k"
    assert text[slice(*slot.attributes[0].value_span)] == "v"
    assert text[slice(*instruction.target[0].span)] == "[[BOX] it]*"
    other = parse("say [TEXT:a,k=v] -> ([BOX] it)*")
    assert other == instruction
    assert hash(other) == hash(instruction)


def test_alternatives() -> None:
    one, two = parse_template('a [TEXT:x,k="|||"] -> [TEXT:y] ||| [TEXT] b -> [TEXT:y]')
    assert str(one) == 'a [TEXT:x,k="|||"] -> [TEXT:y]'
    assert [slot.name for slot in two.slots] == ["0", "y"]
    assert parse_template("[TEXT:a] ->") == (parse("[TEXT:a] ->"),)


def test_a_catalog_adds_its_modalities_and_their_aliases() -> None:
    spec = ModalitySpec(name="SERIES", aliases=("TIMESERIES",), processor="series", adaptor="frames")
    catalog = Catalog.from_specs(spec)
    assert [slot.modality for slot in parse("[SERIES:a] [TIMESERIES:b] -> [TEXT]", catalog=catalog).slots][:2] == ["SERIES"] * 2
    with pytest.raises(InstructionError, match="known: AUDIO BOX CATEGORY IMAGE MOTION PHONE SERIES STRUCT TEXT VIDEO"):
        parse("[SERIE:a] ->", catalog=catalog)
