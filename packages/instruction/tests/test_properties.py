"""Laws of the language: it round-trips, never crashes, and reads in a linear number of steps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_instruction import (
    MODALITIES,
    Attribute,
    Contrast,
    Instruction,
    InstructionError,
    Node,
    Repeat,
    Slot,
    Text,
    count_steps,
    parse,
    parse_template,
)

CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"))
PIECES = st.sampled_from(
    [
        *("[", "]", "(", ")", ")*", "*", "|", "|||", "->", "\\", "\\[", "\\->", " ", "-", ">", "[TEXT]", "[IMAGE:a]", "TEXT"),
        *(":", ",", "=", '"', "x", "[BOX:b,k=v]", '[TEXT:c,k="v w"]', "[[", "]]", "]*", "\n", "日本", "\x00", "\ud800"),
        "[IMAGE|TEXT]",
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join))
WORDS = st.one_of(st.text(CHARACTERS, min_size=1), st.text("()*|[]\\->ab ", min_size=1)).map(str.strip).filter(bool)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
VALUES = st.none() | st.text(CHARACTERS, min_size=1)
ATTRIBUTES = st.dictionaries(NAMES, VALUES, max_size=3).map(lambda items: tuple(Attribute(*item) for item in items.items()))
SLOTS = st.builds(Slot, st.sampled_from(MODALITIES), st.just("") | NAMES, ATTRIBUTES)
CONTRASTS = st.builds(Contrast, st.lists(SLOTS, min_size=2, max_size=3).map(tuple))


def merge_texts(nodes: list[Node]) -> tuple[Node, ...]:
    """Drop a text that follows another: the parser makes one of them."""
    return tuple(
        node for index, node in enumerate(nodes) if not (index and isinstance(node, Text) and isinstance(nodes[index - 1], Text))
    )


def sentences(items: st.SearchStrategy[Node]) -> st.SearchStrategy[tuple[Node, ...]]:
    return st.lists(items, max_size=3).map(merge_texts)


NODES = st.recursive(
    st.builds(Text, WORDS) | SLOTS | CONTRASTS,
    lambda inner: st.builds(Repeat, sentences(inner).filter(lambda body: any(not isinstance(node, Text) for node in body))),
    max_leaves=8,
)


def number(nodes: tuple[Node, ...], counter: list[int]) -> tuple[Node, ...]:
    """The nodes with every slot without a name named by its place."""
    out: list[Node] = []
    for node in nodes:
        match node:
            case Slot():
                name = node.name or str(counter[0])
                counter[0] += 1
                out.append(Slot(node.modality, name, node.attributes))
            case Repeat():
                out.append(Repeat(number(node.body, counter)))
            case Contrast():
                out.append(Contrast(number(node.members, counter)))  # type: ignore[arg-type]
            case Text():
                out.append(node)
    return tuple(out)


@st.composite
def instructions(draw: st.DrawFn) -> Instruction:
    counter = [0]
    source = number(draw(sentences(NODES)), counter)
    target = number(draw(sentences(NODES)), counter)
    if not counter[0]:
        target = (*target, Slot("TEXT", "0"))
    return Instruction(source, target)


@given(instructions())
def test_a_tree_survives_its_spelling(instruction: Instruction) -> None:
    again = parse(str(instruction))
    assert again == instruction
    assert hash(again) == hash(instruction)
    assert str(again) == str(instruction)


@settings(max_examples=25)
@given(st.lists(instructions(), min_size=2, max_size=2))
def test_alternatives_survive_their_spelling(given_instructions: list[Instruction]) -> None:
    assert parse_template(" ||| ".join(map(str, given_instructions))) == tuple(given_instructions)


def read(text: str) -> tuple[Instruction, ...] | InstructionError:
    """What a template says, or the error that it is."""
    try:
        return parse_template(text)
    except InstructionError as error:
        return error


@given(TEXTS)
def test_any_text_is_read_and_round_trips_or_is_an_error_with_a_place(text: str) -> None:
    result = read(text)
    if isinstance(result, InstructionError):
        assert 0 <= result.span.start <= result.span.stop <= len(text)
        assert result.code in str(result)
        assert str(result).encode()
        return
    for instruction in result:
        assert parse(str(instruction)) == instruction
        assert str(parse(str(instruction))) == str(instruction)


@given(TEXTS)
def test_what_is_read_is_read_in_a_linear_number_of_steps(text: str) -> None:
    text = f"{text} -> [TEXT]"
    if not isinstance(read(text), InstructionError):
        assert count_steps(text) <= 6 * len(text) + 6


@pytest.mark.parametrize(
    "unit",
    [
        *("(", "( ", "[TEXT] ", "([TEXT] ", "([TEXT])* ", "[[TEXT] a]* ", "a)", "\\[", "|| ", "[TEXT|TEXT]"),
        *('[TEXT,k="a b"]', "[ [TEXT] | [TEXT]] ", "(([TEXT])* a (b)", "[TEXT]-> [TEXT] ||| "),
    ],
)
def test_long_texts_take_proportionally_many_steps(unit: str) -> None:
    short, long = (count_steps(unit * count + "-> [TEXT]") for count in (50, 500))
    assert long <= 10 * short


@pytest.mark.parametrize("tail", ["", " -> [TEXT]"])
@pytest.mark.parametrize(
    "text",
    [
        *("[" * 50_000, "(" * 50_000 + ")*" * 50_000, "[[TEXT]" * 50_000, "[TEXT:" + "a" * 50_000, "\\" * 50_001, "|" * 50_000),
        *("([TEXT]" * 20_000 + ")*" * 20_000, "[TEXT" + ",a" * 50_000, '[TEXT,a="' * 50_000, "[" + "A" * 50_000 + "]"),
    ],
    ids=lambda text: text[:7],
)
def test_hostile_texts_are_errors_of_a_readable_length(text: str, tail: str) -> None:
    result = read(text + tail)
    assert isinstance(result, InstructionError)
    assert len(str(result)) < 2000
