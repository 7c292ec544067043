"""Every job of the repository, in plain virtual environments with pip.

    nox -s tests    each package's tests in an environment with its own dependencies only, then the tests across packages
    nox -s lint     ruff, mypy --strict, import-linter
    nox -s demo     the main job: one model, six tasks, a page of answers in ./demo
    nox -s bench    throughput, memory, import times, a step, an answer and loading beside T5
    nox -s build    wheels of all five packages, installed in a fresh environment

Environments lie in .nox. The packages that need torch share one of them, because torch is large; it is installed anew when
a pyproject.toml or constraints.txt changes. What stands after ``--`` is handed on:
``nox -s tests-instruction -- -k round_trip``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import venv
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "tests"]

ROOT = Path(__file__).parent
PACKAGES = ("instruction", "modalities", "models", "trainer", "cli")
TEST_TOOLS = ("pytest", "hypothesis")
LINT_TOOLS = ("ruff", "mypy", "import-linter", "types-PyYAML", "nox")
EXTRAS = {"modalities": "[all]", "trainer": "[parquet,datasets]"} | {
    "models": "[diffusion,xformers]" if sys.platform == "linux" else "[diffusion]"
}
"""xformers has wheels for Linux; its masks and its own reasons not to run are tested without a GPU."""


WHEEL_CONTENTS = """
from importlib.metadata import files

DATA = {"drawings.parquet", "backgrounds.parquet", "descriptions.parquet", "LICENSES.md", "Apache-2.0.txt", "page.html"}
DATA |= {"speech.parquet", "motion.parquet", "video.parquet", "tables.parquet", "phones.parquet", "LICENSES-EXTENSION.md"}
for name in ("instruction", "modalities", "models", "trainer", "cli"):
    wanted = {"py.typed", "LICENSE"} | (DATA if name == "trainer" else set())
    missing = wanted - {path.name for path in files(f"ofa-{name}")}
    assert not missing, f"the wheel of ofa-{name} lacks {sorted(missing)}"
"""
"""Asks installed wheels whether they hold their types, licences and data."""


class Environment:
    """A virtual environment by name under .nox, and the means to run its programs."""

    def __init__(self, session: nox.Session, name: str, *, fresh: bool = False) -> None:
        self.session = session
        self.folder = ROOT / ".nox" / name
        self.programs = self.folder / ("Scripts" if os.name == "nt" else "bin")
        if fresh or not (self.programs / "pip").exists():
            session.log(f"making {self.folder.relative_to(ROOT)} with Python {sys.version.split()[0]}")
            venv.create(self.folder, clear=True, with_pip=True)

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of the environment, with its folder first on the path."""
        path = f"{self.programs}{os.pathsep}{os.environ.get('PATH', '')}"
        self.session.run(str(self.programs / program), *arguments, env={"PATH": path}, external=True)

    def install(self, *requirements: str) -> None:
        """Install under constraints.txt, unless the same was installed from the same project files before."""
        digest = hashlib.sha256("\n".join(requirements).encode())
        for path in (ROOT / "constraints.txt", *sorted(ROOT.glob("packages/*/pyproject.toml"))):
            digest.update(path.read_bytes())
        stamp = self.folder / f"installed-{digest.hexdigest()[:16]}"
        if not stamp.exists():
            self.run("python", "-m", "pip", "install", "--quiet", "--no-compile", "-c", "constraints.txt", *requirements)
            stamp.touch()

    def install_packages(self, *names: str, tools: tuple[str, ...] = (), extras: bool = False) -> None:
        """Install packages of this repository as editable, in one command so that their ranges resolve to each other."""
        folders = [f"packages/{name}{EXTRAS.get(name, '') if extras else ''}" for name in names]
        self.install(*(part for folder in folders for part in ("-e", folder)), *tools)

    def test(self, *paths: str) -> None:
        """Run pytest on folders of tests, with the settings of the root."""
        self.run("python", "-m", "pytest", "-c", "pyproject.toml", "--rootdir", ".", "-q", *paths, *self.session.posargs)


def full_environment(session: nox.Session) -> Environment:
    """The environment of everything that needs torch."""
    environment = Environment(session, "full")
    environment.install_packages(*PACKAGES, tools=(*TEST_TOOLS, *LINT_TOOLS), extras=True)
    return environment


@nox.session
def tests(session: nox.Session) -> None:
    """All tests: the three sessions below, one after the other."""
    for name in ("tests-instruction", "tests-modalities", "tests-full"):
        session.notify(name, posargs=session.posargs)


@nox.session(name="tests-instruction")
def tests_instruction(session: nox.Session) -> None:
    """The instruction package beside pydantic alone."""
    environment = Environment(session, "instruction")
    environment.install_packages("instruction", tools=TEST_TOOLS)
    environment.test("packages/instruction/tests")


@nox.session(name="tests-modalities")
def tests_modalities(session: nox.Session) -> None:
    """The modalities package with its extras, without models or trainer; frames of pandas are read, but not by it."""
    environment = Environment(session, "modalities")
    environment.install_packages("instruction", "modalities", tools=(*TEST_TOOLS, "pandas"), extras=True)
    environment.test("packages/modalities/tests")


@nox.session(name="tests-full")
def tests_full(session: nox.Session) -> None:
    """Models, trainer and command line, then the tests across packages."""
    full_environment(session).test("packages/models/tests", "packages/trainer/tests", "packages/cli/tests", "tests")


@nox.session
def lint(session: nox.Session) -> None:
    """Rules, types and the direction of imports."""
    environment = full_environment(session)
    environment.run("ruff", "check", ".")
    environment.run("ruff", "format", "--check", ".")
    environment.run("mypy", *(f"packages/{name}/src" for name in PACKAGES), "benchmarks", "noxfile.py", "conftest.py")
    environment.run("lint-imports")


@nox.session
def demo(session: nox.Session) -> None:
    """Train one model on six tasks and answer held-out rows: demo/index.html."""
    full_environment(session).run("ofa", "demo", "--output", "demo", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios and counts; ``-- --json`` prints them for a program."""
    environment = full_environment(session)
    for name in ("imports", "memory", "throughput", "t5_steps", "t5_answers", "loading", "encoding"):
        environment.run("python", f"benchmarks/{name}.py", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheels into ./dist and try them where nothing else is installed."""
    environment = Environment(session, "build", fresh=True)
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    folders = [f"./packages/{name}" for name in PACKAGES]
    environment.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(dist), *folders)
    environment.install(*sorted(str(path) for path in dist.glob("*.whl")))
    with tempfile.TemporaryDirectory() as elsewhere, session.chdir(elsewhere):
        environment.run("python", "-c", WHEEL_CONTENTS)
        environment.run("ofa", "--version")
        environment.run("ofa", "plan", "[IMAGE:img] what does the image describe? -> [TEXT:cap]")
        environment.run("ofa", "doctor")
