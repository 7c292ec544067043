from __future__ import annotations

import doctest
import importlib
import subprocess
import sys

import ofa_modalities
import pytest


@pytest.mark.parametrize("module", ["lines", "delimited", "suffixes", "specs", "vocabulary_plan", "processor"])
def test_specs_and_plans_load_without_torch_and_numpy(module: str) -> None:
    program = f"import sys, ofa_modalities.{module}; print(sorted({{'torch', 'numpy', 'PIL', 'tokenizers'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_typed() -> None:
    for name in ofa_modalities.__all__:
        assert getattr(ofa_modalities, name) is not None
    assert set(ofa_modalities.__all__) == set(ofa_modalities._HOME)
    with pytest.raises(AttributeError, match="nothing"):
        ofa_modalities.nothing  # noqa: B018


@pytest.mark.parametrize("module", ["tokenizer", "vocabulary", "closed_set", "image.encoding"])
def test_examples_in_docstrings_run(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"ofa_modalities.{module}")).failed == 0
