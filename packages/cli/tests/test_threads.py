"""The command lets threads sleep while they wait, unless the user said otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from ofa_cli.threads import thread_waiting

PROGRAM = """
import json, os, sys
from ofa_cli.main import main

sys.argv = ["ofa", "--version"]
before = {"torch", "numpy"} & sys.modules.keys()
try:
    main()
except SystemExit:
    print(json.dumps([os.environ["OMP_WAIT_POLICY"], os.environ["OPENBLAS_THREAD_TIMEOUT"], sorted(before)]))
"""


@pytest.mark.parametrize("policy", [None, "ACTIVE"])
def test_it_is_set_before_anything_numerical_is_loaded(policy):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "OPENBLAS_THREAD_TIMEOUT")
    }
    environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [policy or "PASSIVE", "4", []]


@pytest.mark.parametrize(("policy", "told"), [("passive", "asleep"), ("ACTIVE", "spinning"), (None, "not set")])
def test_doctor_says_how_they_wait(monkeypatch, policy, told):
    if policy is None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    assert told in thread_waiting()
