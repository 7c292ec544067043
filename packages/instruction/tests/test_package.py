"""The package as a whole: light to import, complete in its exports, its examples true."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import ofa_instruction
import pytest

MODULES = [module.name for module in pkgutil.iter_modules(ofa_instruction.__path__)]
README = Path(__file__).parents[1] / "README.md"


def test_nothing_heavy_is_imported() -> None:
    program = "import sys, ofa_instruction; ofa_instruction.parse('[TEXT:a] -> [TEXT:b]'); print(*sys.modules)"
    path = str(Path(ofa_instruction.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {program}"], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "ofa_instruction" in loaded
    assert not loaded & {"numpy", "torch", "transformers", "tokenizers", "PIL", "yaml", "rich"}


def test_exports_exist_once_and_are_documented() -> None:
    assert len(set(ofa_instruction.__all__)) == len(ofa_instruction.__all__)
    for name in ofa_instruction.__all__:
        value = getattr(ofa_instruction, name)
        if isinstance(value, type) and value.__module__.startswith("ofa_instruction"):
            assert value.__doc__, name


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"ofa_instruction.{name}")).failed == 0


def test_examples_in_the_readme() -> None:
    results = doctest.testfile(str(README), module_relative=False)
    assert results.attempted > 5
    assert results.failed == 0


def test_the_readme_lists_every_error_code() -> None:
    text = README.read_text(encoding="utf-8")
    for code, meaning in ofa_instruction.ERROR_CATALOGUE.items():
        assert f"| {code} | {meaning.replace('|', chr(92) + '|')} |" in text


def test_the_readme_lists_every_module() -> None:
    text = README.read_text(encoding="utf-8")
    assert all(f"{name}.py" in text for name in MODULES)
