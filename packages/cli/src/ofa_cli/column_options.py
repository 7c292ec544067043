"""Values by column on a command line: ``--img photo.jpg``, ``--img=photo.jpg``, ``--input img=photo.jpg``.

Which columns there are is known once the instruction is compiled, so every option that the command does not have is taken for
a column: it has a value, the next word whatever that looks like (``--text -5``, ``--text --``, ``--text ""``), as the options
that the command has do.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from ofa_cli.errors import UserError, nearest

COLUMNS = "ofa_cli.columns"
"""Where the context's ``meta`` holds what :func:`split_columns` found."""

Given = list[tuple[str, str | None]]
"""Names with their values as they were given; None: nothing stood behind the name."""


class InstructionCommand(TyperCommand):
    """A command with an instruction among its arguments, which may begin with its arrow."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep ``-> [TEXT:name]`` from being read as an option."""
        return super().parse_args(ctx, [_shielded(word) for word in args])


class ColumnsCommand(TyperCommand):
    """An :class:`InstructionCommand` whose unknown options are columns with a value each."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the columns out before the command's own options are read."""
        options = options_of(self, ctx)
        own, given = split_columns(args, options)
        try:
            rest: list[str] = super().parse_args(ctx, own)
        except typer.BadParameter as error:  # also what typer says of a missing argument
            _blame_mistyped(given, options, error)
            raise
        ctx.meta[COLUMNS] = given
        return rest


def _blame_mistyped(given: Given, options: Iterable[str], error: Exception) -> None:
    """A mistyped option without a value takes the word behind it, which is then missing: say so."""
    for name, value in given:
        near = difflib.get_close_matches(f"--{name}", options, n=1)
        if near:
            raise UserError(
                f"there is no option `--{name}`; did you mean `{near[0]}`? (it was read as a column: `{value}`)"
            ) from error


def split_columns(words: Sequence[str], options: dict[str, bool]) -> tuple[list[str], Given]:
    """(words of the command itself, columns with their values).

    options: those that the command has, and whether each takes a value.

    >>> split_columns(["run", "--text", "-5", "--json", "--n=3"], {"--json": False})
    (['run', '--json'], [('text', '-5'), ('n', '3')])
    """
    own: list[str] = []
    given: Given = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            own += [word, *rest]
            break
        if name in options:
            own.append(word)
            if options[name] and not equals and rest:
                own.append(rest.pop(0))
        elif word.startswith("--"):
            given.append((name[2:], value if equals else rest.pop(0) if rest else None))
        else:
            own.append(_shielded(word))
    return own, given


def _shielded(word: str) -> str:
    return f" {word}" if word.startswith("->") else word


def read_columns(
    given: Given, inputs: Sequence[str], columns: Sequence[str], *, options: Collection[str] = (), extra: Sequence[str] = ()
) -> dict[str, str]:
    """Values by column of what stood on the command line.

    inputs: what ``--input`` was given. options: of the command, for one that was mistyped. extra: words that nothing asked for.
    Raises UserError for a name that is no column of the instruction, for one without a value, for one that comes twice and for
    extra words.
    """
    values: dict[str, str] = {}
    for name, value in given:
        _check_name(name, columns, options)
        if value is None:
            raise UserError(f'--{name} needs a value; an empty one is --{name} ""')
        _put(values, name, value)
    for item in inputs:
        name, equals, value = item.partition("=")
        if not equals:
            raise UserError(f"--input {item}: write NAME=VALUE, for example --input {columns[0] if columns else 'img'}=…")
        _check_name(name, columns)
        _put(values, name, value)
    if extra:
        example = " ".join(column_option(columns[0] if columns else "NAME", "…", options))
        raise UserError(f"unexpected argument `{extra[0]}`; values are given by column: {example}")
    return values


def _check_name(name: str, columns: Sequence[str], options: Collection[str] = ()) -> None:
    if name in columns:
        return
    known = " ".join(f"--{column}" for column in columns) or "none"
    own = difflib.get_close_matches(f"--{name}", options, n=1)
    hint = nearest(name, columns) or (f"; did you mean the option `{own[0]}`?" if own else "")
    raise UserError(f"the instruction reads no column `{name}`{hint}\nits columns: {known}")


def _put(values: dict[str, str], name: str, value: str) -> None:
    if name in values:
        raise UserError(f"the column `{name}` is given twice")
    values[name] = value


def require_columns(values: Mapping[str, object], columns: Sequence[str], options: Collection[str]) -> None:
    """Raise UserError where a column that the instruction reads has no value."""
    missing = [column for column in columns if column not in values]
    if missing:
        add = " ".join(" ".join(column_option(column, "…", options)) for column in missing)
        raise UserError(f"the instruction also reads {', '.join(f'`{column}`' for column in missing)}: add {add}")


def column_option(name: str, value: str, options: Collection[str]) -> list[str]:
    """The words that give a column its value on the line of a command that has these ``options``.

    >>> column_option("img", "photo.jpg", ["--data"]), column_option("data", "-5", ["--data"])
    (['--img', 'photo.jpg'], ['--input', 'data=-5'])
    """
    return ["--input", f"{name}={value}"] if f"--{name}" in options else [f"--{name}", value]


def options_of(command: Any, context: Any) -> dict[str, bool]:
    """The options of a command, long and short, and whether each takes a value."""
    return {name: not one.is_flag for one in command.get_params(context) if one.param_type_name == "option" for name in one.opts}


def infer_options() -> dict[str, bool]:
    """The options of ``ofa infer``, for a line that another command prints."""
    from ofa_cli.main import app

    group: Any = typer.main.get_command(app)
    command = group.commands["infer"]
    return options_of(command, typer.Context(command))
