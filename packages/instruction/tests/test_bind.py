"""Binding the values of a row to an instruction's slots."""

from collections.abc import Callable, Sequence

import pytest
from ofa_instruction import (
    BackendSpec,
    BindError,
    Bound,
    BoundContrast,
    BoundInstruction,
    BoundRepeat,
    BoundSlot,
    BoundText,
    Catalog,
    OFAWarning,
    bind,
    compile,
)
from ofa_instruction.binding import is_empty, items_of

Binder = Callable[..., BoundInstruction]


@pytest.fixture(scope="session")
def bound(catalog: Catalog, profile: BackendSpec) -> Binder:
    def run(text: str, row: dict[str, object], with_targets: bool = True) -> BoundInstruction:
        (plan,) = compile(text, catalog, profile).instructions
        return bind(plan, row, with_targets=with_targets)

    return run


def values(nodes: Sequence[Bound]) -> list[object]:
    """Values only: a slot's, a text's words, a list of items of a repeat, a tuple for a contrast."""
    out: list[object] = []
    for node in nodes:
        match node:
            case BoundText(plan):
                out.append(plan.text)
            case BoundSlot(_, value):
                out.append(value)
            case BoundRepeat(_, items):
                out.append([values(item) for item in items])
            case BoundContrast(_, members):
                out.append(tuple(values(members)))
    return out


def test_slots_and_words(bound: Binder) -> None:
    result = bound("[IMAGE:i] what? -> [TEXT:a]", {"i": b"png", "a": "cat", "more": 1})
    assert values(result.source) == [b"png", "what?"]
    assert values(result.target) == ["cat"]


def test_one_column_on_both_sides_and_twice_on_one(bound: Binder) -> None:
    result = bound("[TEXT:a] [TEXT:a] -> [TEXT:a]", {"a": "x"})
    assert (values(result.source), values(result.target)) == (["x", "x"], ["x"])


def test_values_are_never_read_as_instructions(bound: Binder) -> None:
    assert values(bound("[TEXT:a] ->", {"a": "[TEXT:b] -> x"}).source) == ["[TEXT:b] -> x"]


def test_a_repeat_takes_equally_long_lists(bound: Binder) -> None:
    result = bound("[IMAGE:i] -> ([BOX:b] is [TEXT:t])*", {"i": 0, "b": [1, 2], "t": ("one", "two")})
    assert values(result.target) == [[[1, "is", "one"], [2, "is", "two"]]]


def test_nested_repeats_take_lists_of_lists(bound: Binder) -> None:
    row: dict[str, object] = {"a": ["x", "y"], "b": [["p"], []]}
    assert values(bound("([TEXT:a] ([TEXT:b])*)* ->", row).source) == [[["x", [["p"]]], ["y", []]]]


def test_two_repeats_may_share_a_column(bound: Binder) -> None:
    result = bound("([TEXT:a])* -> ([TEXT:a])*", {"a": ["x", "y"]})
    assert values(result.source) == values(result.target) == [[["x"], ["y"]]]


def test_contrasts_bind_their_members(bound: Binder) -> None:
    assert values(bound("([IMAGE:i|TEXT:t])* ->", {"i": [1], "t": ["x"]}).source) == [[[(1, "x")]]]


def test_unnamed_slots_take_the_columns_of_their_places(bound: Binder) -> None:
    assert values(bound("[TEXT] [TEXT] ->", {"0": "x", "1": "y"}).source) == ["x", "y"]
    with pytest.raises(BindError, match="`1` is the place of an unnamed slot"):
        bound("[TEXT] [TEXT] ->", {"0": "x"})


def test_a_repeat_may_have_no_items(bound: Binder) -> None:
    assert values(bound("([TEXT:a] [TEXT:b])* ->", {"a": [], "b": []}).source) == [[]]


class Array:
    """Something with a length and indices, as arrays have."""

    def __init__(self, *items: int) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> int:
        return self.items[index]


def test_arrays_are_lists_in_a_repeat(bound: Binder) -> None:
    assert values(bound("[IMAGE:i] ([BOX:b])* ->", {"i": 0, "b": Array(7, 8)}).source) == [0, [[7], [8]]]


def test_inference_needs_no_answers(bound: Binder) -> None:
    text = "[TEXT:q] -> [TEXT:p,no_loss] [TEXT:a] ([TEXT:b])*"
    result = bound(text, {"q": "?", "p": "so"}, with_targets=False)
    assert values(result.target) == ["so", None, []]
    result = bound(text, {"q": "?", "p": "so", "a": None, "b": ["x", None]}, with_targets=False)
    assert values(result.target) == ["so", None, [["x"], [None]]]
    with pytest.raises(BindError, match="`p` is missing"):
        bound(text, {"q": "?"}, with_targets=False)


def test_prompts_in_a_repeat_of_answers_count_its_items(bound: Binder) -> None:
    text = "-> ([TEXT:p,no_loss] [TEXT:a])*"
    assert values(bound(text, {"p": ["x", "y"]}, with_targets=False).target) == [[["x", None], ["y", None]]]


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ({"b": [], "t": []}, "i", "column `i` is missing: the row has b t"),
        ({"i": None, "b": [], "t": []}, "i", "column `i` is empty, and its slot is `required`"),
        ({"i": 0, "b": [1]}, "t", "column `t` is missing"),
        ({"i": 0, "b": [1], "t": None}, "t", "column `t` is empty: there is no answer to learn"),
        ({"i": 0, "b": [1, 2], "t": ["x"]}, "t", "must be equally long: `b` has 2 items, `t` 1"),
        ({"i": 0, "b": 1, "t": ["x"]}, "b", "must be a list, not int"),
        ({"i": 0, "b": [1], "t": "x"}, "t", "must be a list, not str"),
        ({"i": 0, "b": [1], "t": {"x": 1}}, "t", "must be a list, not dict"),
        ({"i": 0, "b": [1, None], "t": ["x", "y"]}, "b", "column `b`: item 1 is empty"),
        ({}, "i", "the row has no columns"),
    ],
)
def test_rows_that_do_not_fit(row: dict[str, object], column: str, message: str, bound: Binder) -> None:
    with pytest.raises(BindError, match=message) as caught:
        bound("[IMAGE:i,required] -> ([BOX:b] [TEXT:t])*", row)
    assert caught.value.column == column


def test_a_near_match_is_suggested(bound: Binder) -> None:
    with pytest.raises(BindError, match=r"did you mean `question`\?"):
        bound("[TEXT:qestion] ->", {"question": "?", "b": 1})


@pytest.mark.parametrize("text", ['["a", "b"]', "['a', 'b']", "('a', 'b')", ' ["a","b"] '])
def test_the_text_of_a_list_is_its_items(text: str) -> None:
    assert list(items_of("words", text)) == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["a", "", "['a' 'b']", "[1 2]", "[a]", "{}", "[" * 100_000, "['" + "a" * 2_000_000 + "']", "(1)"]
)
def test_any_other_text_is_no_list(text: str) -> None:
    with pytest.raises(BindError, match="must be a list, not str; in a text file write"):
        items_of("words", text)


@pytest.mark.parametrize("text", ["a;b", " a ; b ", "a;b;", '["a", "b"]', "['a', 'b']"])
def test_labels_stand_in_one_text_with_semicolons_or_as_a_list(text: str, bound: Binder) -> None:
    assert list(items_of("tags", text, splits=True)) == ["a", "b"]
    for instruction in ("-> ([CATEGORY:tags])*", "-> ([TEXT:tags,closed_set])*"):
        assert values(bound(instruction, {"tags": text}).target) == [[["a"], ["b"]]]


def test_one_label_is_one_item_and_none_is_an_empty_list(bound: Binder) -> None:
    assert values(bound("-> ([CATEGORY:tags])*", {"tags": "a b"}).target) == [[["a b"]]]
    assert values(bound("-> ([CATEGORY:tags])*", {"tags": "[]"}).target) == [[]]
    row = {"img": "a.png", "boxes": "1,2,3,4; 5,6,7,8"}
    assert values(bound("[IMAGE:img] -> ([BOX:boxes])*", row).target) == [[["1,2,3,4"], ["5,6,7,8"]]]


def test_prose_is_not_torn_at_its_semicolons(bound: Binder) -> None:
    with pytest.raises(BindError, match="must be a list, not str"):
        bound("-> ([TEXT:parts])*", {"parts": "one; two"})


EMPTY = [None, "", " \t\n", float("nan"), {"bytes": None, "path": None}]


@pytest.mark.parametrize("value", EMPTY)
def test_an_empty_input_is_bound_to_nothing(value: object, bound: Binder) -> None:
    for text in ("[TEXT:a] [IMAGE:i] -> [TEXT:b]", "[IMAGE:i] [BOX:a] -> [TEXT:b]"):
        for with_targets in (True, False):
            result = bound(text, {"a": value, "i": 0, "b": "x"}, with_targets=with_targets)
            assert sorted(map(repr, values(result.source))) == ["0", "None"]
    with pytest.raises(BindError, match="column `a` is empty, and its slot is `required`"):
        bound("[TEXT:a,required] -> [TEXT:b]", {"a": value, "b": "x"})


@pytest.mark.parametrize("value", EMPTY)
def test_an_empty_answer_is_no_answer(value: object, bound: Binder) -> None:
    for text in ("[TEXT:a] -> [TEXT:b]", "[TEXT:a] -> ([TEXT:b])*"):
        with pytest.raises(BindError, match="there is no answer to learn") as caught:
            bound(text, {"a": "x", "b": value})
        assert caught.value.no_answer
    assert values(bound("[TEXT:a] -> [TEXT:b]", {"a": "x", "b": value}, with_targets=False).target) == [None]
    with pytest.raises(BindError, match="what the answer begins with must be there") as caught:
        bound("[TEXT:a] -> [TEXT:p,no_loss] [TEXT:b]", {"a": "x", "p": value, "b": "y"})
    assert not caught.value.no_answer


def test_nothing_in_a_repeat(bound: Binder) -> None:
    text = "([IMAGE:i] [TEXT:t])* -> [TEXT:b]"
    assert values(bound(text, {"i": [1, None], "t": ["", "x"], "b": "y"}).source) == [[[1, None], [None, "x"]]]
    assert values(bound(text, {"i": [1, 2], "t": None, "b": "y"}).source) == [[[1, None], [2, None]]]
    assert values(bound(text, {"i": "", "t": None, "b": "y"}).source) == [[]]
    assert values(bound("[TEXT:b] -> ([TEXT:t])*", {"b": "y", "t": []}).target) == [[]]
    with pytest.raises(BindError, match="column `t`: item 1 is empty"):
        bound("[TEXT:b] -> ([TEXT:t])*", {"b": "y", "t": ["x", ""]})
    with pytest.raises(BindError, match="column `t`: item 0 is empty"):
        bound("([TEXT:t,required])* -> [TEXT:b]", {"b": "y", "t": [None]})


@pytest.mark.parametrize("value", [0, 0.0, False, [], "0", b"", {"bytes": b"", "path": None}, {"path": "x"}, {}])
def test_what_is_something(value: object) -> None:
    assert not is_empty(value)


def test_what_is_missing_is_not_empty(bound: Binder) -> None:
    with pytest.raises(BindError, match="column `a` is missing"):
        bound("[TEXT:a] -> [TEXT:b]", {"b": "x"})


def test_required_says_nothing_of_an_answer(bound: Binder) -> None:
    with pytest.warns(OFAWarning, match=r"`required`.*has no effect"):
        bound("[TEXT:a] -> [TEXT:b,required]", {"a": "x", "b": "y"})
