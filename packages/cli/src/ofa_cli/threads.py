"""How threads of the numerical libraries wait for each other.

By default they spin: on a machine that does something else as well, a step then waits for threads that have no core, and
training was seen to run 3 to 10 times slower. Threads that sleep instead cost nothing measurable on a quiet machine. The
libraries read this once, when they are loaded, so the command sets it before anything imports them.
"""

from __future__ import annotations

import os

WAITING = {
    "OMP_WAIT_POLICY": "PASSIVE",  # torch: libgomp, libomp and Intel's
    "OPENBLAS_THREAD_TIMEOUT": "4",  # numpy: 2^4 cycles of spinning, its least, in place of 2^26
}
"""Variables of the environment that make threads sleep while they wait."""


def let_threads_sleep() -> None:
    """Set what the user has not set; without effect once torch or numpy is loaded."""
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)


def thread_waiting() -> str:
    """How threads of this process wait, in words."""
    policy = os.environ.get("OMP_WAIT_POLICY", "").upper()
    if policy == "PASSIVE":
        return "asleep (OMP_WAIT_POLICY=PASSIVE)"
    return f"spinning (OMP_WAIT_POLICY={policy or 'not set'}): slow beside other work; PASSIVE is faster there"
