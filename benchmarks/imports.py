"""Import and start times, each the least of several fresh processes, beside what they are allowed.

The least is taken because everything else on the machine can only add to a start. Byte code may be written, as it is where a
package is used a second time: with PYTHONDONTWRITEBYTECODE every start would compile all modules of this repository anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import Value, parser, show

RUN_FILE = """\
model: nano
tasks:
  mood:
    instruction: "[TEXT:text] is it good? -> [TEXT:label,closed_set]"
    train: my.csv
"""


def least_ms(arguments: list[str], rounds: int, folder: Path) -> float:
    """Wall time of a process, interpreter included."""
    times = []
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL, env=environment)
        times.append(time.perf_counter() - started)
    return min(times) * 1000


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=5)
    options = made.parse_args()
    command = "import sys; from ofa_cli.main import run; sys.exit(run(sys.argv[1:]))"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run.yaml").write_text(RUN_FILE, encoding="utf-8")
        (folder / "my.csv").write_text("text,label\ngood,yes\nbad,no\n", encoding="utf-8")

        def measure(*arguments: str) -> float:
            return least_ms(list(arguments), options.rounds, folder)

        pydantic, torch = measure("-c", "import pydantic.main"), measure("-c", "import torch")
        instruction = measure("-c", "import ofa_instruction") - pydantic
        models = measure("-c", "from ofa_models import GeneralistModel, Session") - torch
        help_ms = measure("-c", command, "--help")
        plan_ms = measure("-c", command, "plan", "[IMAGE:img] what does the image describe? -> [TEXT:cap]")
        check_ms = measure("-c", command, "check", "run.yaml")
    figures = (
        ("import ofa_instruction, beyond pydantic", instruction, 60),
        ("import ofa_models with Session, beyond torch", models, 150),
        ("ofa --help", help_ms, 500),
        ("ofa plan", plan_ms, 500),
        ("ofa check", check_ms, 500),
    )
    rows: list[dict[str, Value]] = [
        {"what": what, "ms": round(ms, 1), "at most": most, "within": ms <= most} for what, ms, most in figures
    ]
    show("start times", rows, as_json=options.json)


if __name__ == "__main__":
    main()
