"""Values by column on a command line: whatever they look like, and whatever the column is called."""

from __future__ import annotations

import pytest
from ofa_cli.column_options import column_option, read_columns, require_columns, split_columns
from ofa_cli.errors import UserError

OPTIONS = {"--data": True, "--json": False, "-h": False, "--help": False, "--beams": True, "--sample": False, "--input": True}


@pytest.mark.parametrize("value", ["-5", "--", "--json", "-h", "--data", "", " ", "a=b", "->", "-", "ñ"])
def test_the_word_behind_a_column_is_its_value_whatever_it_looks_like(value):
    for words in (["--text", value], [f"--text={value}"]):
        own, given = split_columns(["run", *words, "--json", "task"], OPTIONS)
        assert own == ["run", "--json", "task"]
        assert read_columns(given, [], ["text"], options=OPTIONS) == {"text": value}


@pytest.mark.parametrize("name", ["data", "json", "help", "beams", "input", "sample"])
def test_a_column_named_as_an_option_is_goes_through_input(name):
    assert read_columns([], [f"{name}=-5"], [name, "text"], options=OPTIONS) == {name: "-5"}
    words = column_option(name, "-5", OPTIONS)
    assert words == ["--input", f"{name}=-5"]
    own, given = split_columns(words, OPTIONS)
    assert (own, given) == (words, [])
    with pytest.raises(UserError, match=f"add --input {name}="):
        require_columns({}, [name], OPTIONS)


def test_an_option_of_the_command_keeps_its_own_value():
    own, given = split_columns(["--data", "--text", "--beams=3", "--text", "x"], OPTIONS)
    assert own == ["--data", "--text", "--beams=3"]
    assert given == [("text", "x")]


def test_an_arrow_at_the_start_of_an_instruction_is_no_option():
    own, given = split_columns(["run", "-> [TEXT:a]", "--a", "->"], OPTIONS)
    assert (own, given) == (["run", " -> [TEXT:a]"], [("a", "->")])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--txet", "x"], "no column `txet`; did you mean `text`?"),
        (["--beems", "3"], "did you mean the option `--beams`?"),
        (["--sampel", "--text", "x"], "did you mean the option `--sample`?"),
        (["--text"], '--text needs a value; an empty one is --text ""'),
        (["--text", "a", "--text=b"], "`text` is given twice"),
    ],
)
def test_what_is_wrong_is_said(words, message):
    own, given = split_columns(words, OPTIONS)
    with pytest.raises(UserError) as caught:
        read_columns(given, [], ["text"], options=OPTIONS, extra=own)
    assert message in str(caught.value)


def test_a_mistyped_flag_before_the_instruction_is_named(ofa):
    answer = ofa("infer", "runs/x", "--sampel", "task")
    assert answer.code == 2
    assert "no option `--sampel`; did you mean `--sample`?" in answer.err
