"""Settings of this package's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # for trainer_rows.py


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Small products are slower on several threads, most of all beside other programs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
