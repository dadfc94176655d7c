# SPDX-License-Identifier: MIT
"""Tries a wheel and an sdist as users get them: in clean environments, on every Python there is.

``python -m tools.install FOLDER`` installs each Python's environment from the files in the folder, with the
newest of every dependency, and once more with the oldest Twisted that ``setup.cfg`` allows. In each, twistd
has to list the plugins, a node to serve, and a part of the tests to pass against what is installed.
A program with a wrong type has to be found out by mypy, by what the wheel says of its types alone.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
PLUGINS = ("xjtracker", "xjmanager", "xjrelay", "xjnode", "xjpeer")
TESTS = ("tests.client.test_session", "tests.servers.test_relay", "tests.security.test_certificates")
"""Of everything a little: rules, servers and library on a fake clock, TLS. They need no test dependency."""

PROGRAM = """
import asyncio
from xjrelay.client.aio import connect

async def main() -> None:
    client = await connect("xj://127.0.0.1:5000", "gita", "rahasia")
    receipt = await client.send("hadi", "halo")
    status: {type} = receipt.status

asyncio.run(main())
"""


class Failed(Exception):
    """Something that was tried did not work; the text says what, and what it said."""


def oldest_twisted(setup: Path = ROOT / "setup.cfg") -> str:
    """The requirement for the lowest Twisted of ``install_requires``."""
    config = configparser.ConfigParser()
    config.read(setup, encoding="utf-8")
    [bound] = re.findall(r"^twisted\[tls\] >= (\S+)$", config["options"]["install_requires"], re.MULTILINE)
    return f"twisted[tls] == {bound}.*"


def pythons() -> list[Path]:
    """The newest interpreter of each version from 3.11 up: on the path, or of pyenv."""
    found: dict[tuple[int, ...], tuple[tuple[int, ...], Path]] = {}
    for path in _candidates():
        asked = "import sys; print(*sys.version_info[:3], sys.executable)"
        run = subprocess.run([path, "-c", asked], check=False, capture_output=True, text=True)
        if run.returncode:  # a shim of pyenv, for a version that is not chosen
            continue
        *numbers, executable = run.stdout.split(maxsplit=3)
        full = tuple(map(int, numbers))
        if full[:2] >= OLDEST_PYTHON:
            found[full[:2]] = max(found.get(full[:2], ((), Path())), (full, Path(executable.strip())))
    return [path for _, (_, path) in sorted(found.items())]


def _candidates() -> Iterator[Path]:
    roots = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    roots += (Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob("*/bin")
    for root in roots:
        yield from (path for path in root.glob("python3.*") if re.fullmatch(r"python3\.\d+", path.name))


@dataclass(frozen=True)
class Environment:
    """A clean environment.

    Args:
        folder: made anew.
        python: the interpreter.
    """

    folder: Path
    python: Path

    def make(self, *requirements: str) -> None:
        """Install."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.run(self.python, "-m", "venv", "--without-pip", str(self.folder))
        pip = (
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.bin / "python"),
            "--disable-pip-version-check",
        )
        self.run(*pip, "install", "--quiet", *requirements, cwd=ROOT)

    @property
    def bin(self) -> Path:
        """Where its commands are."""
        return self.folder / "bin"

    def version(self) -> str:
        """What it is made of, for people."""
        asked = "import sys, twisted; print('.'.join(map(str, sys.version_info[:3])), twisted.__version__)"
        python, twisted = self.run(self.bin / "python", "-c", asked).split()
        return f"Python {python}, Twisted {twisted}"

    def lists_plugins(self) -> None:
        """See that twistd has every program, and xj a word to say."""
        said = self.run(self.bin / "twistd", "--help")
        missing = [plugin for plugin in PLUGINS if f"    {plugin} " not in said]
        if missing:
            raise Failed(f"twistd does not list {' '.join(missing)}")
        self.run(self.bin / "xj", "--help")

    def passes(self, *modules: str) -> str:
        """Run tests of ours against what is installed; how many they were."""
        for what in ("tests", "docs", "deploy", "README.md", "setup.cfg"):
            place = self.folder / what
            place.symlink_to(ROOT / what)
        said = self.run(self.bin / "python", "-m", "twisted.trial", *modules)
        if not (passed := re.search(r"^Ran (\d+) tests", said, re.MULTILINE)):
            raise Failed(said)
        return passed[1]

    def serves(self) -> None:
        """Start a node, make an account at it, and stop it."""
        home = self.folder / "home"
        environ = {"PATH": os.environ["PATH"], "HOME": str(home), "XJ_PASSWORD": "rahasia"}
        command: list[str | Path] = [
            self.bin / "twistd",
            "--nodaemon",
            "--pidfile=",
            "xjnode",
            "--listen",
            "tcp:0",
        ]
        with subprocess.Popen(
            command, cwd=self.folder, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as node:
            assert node.stdout is not None
            said = []
            for line in node.stdout:
                said.append(line)
                if ready := re.search(r"xjrelay ready node (\S+)", line):
                    break
            else:
                raise Failed("".join(said))
            xj = [self.bin / "xj", "register", "--user", "esa", "--tracker", ready[1]]
            done = subprocess.run(xj, check=False, env=environ, capture_output=True, text=True)
            node.terminate()
            node.communicate()
        if done.returncode:
            raise Failed(done.stdout + done.stderr + "".join(said))

    def knows_types(self) -> None:
        """See that mypy takes a right program and refuses a wrong one, by the wheel alone."""
        mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", str(self.bin / "python"))
        program = self.folder / "program.py"
        program.write_text(PROGRAM.format(type="str"), encoding="utf-8")
        self.run(*mypy, str(program))
        program.write_text(PROGRAM.format(type="int"), encoding="utf-8")
        try:
            self.run(*mypy, str(program))
        except Failed as refused:
            if "Incompatible types in assignment" in str(refused):
                return
            raise
        raise Failed("mypy found nothing wrong with a status that is a number")

    def run(self, *words: str | Path, cwd: Path | None = None) -> str:
        """What a command says that succeeds.

        Raises:
            Failed: it does not.
        """
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("XJ_", "PYTHON"))
        }
        folder = cwd or (self.folder if self.folder.exists() else ROOT)
        run = subprocess.run(words, check=False, capture_output=True, text=True, cwd=folder, env=environ)
        if run.returncode:
            raise Failed(
                f"{' '.join(map(str, words))}: exit status {run.returncode}\n{run.stdout}{run.stderr}"
            )
        return run.stdout + run.stderr


def try_all(folder: Path, scratch: Path) -> None:
    """Every environment, one after the other.

    Args:
        folder: holds one wheel and one sdist.
        scratch: where environments are made; what was there is removed.

    Raises:
        Failed: see there.
    """
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    found = pythons()
    tried: list[tuple[Path, tuple[str, ...]]] = [(python, (str(wheel),)) for python in found]
    tried += [(found[0], (str(sdist),)), (found[0], (str(wheel), oldest_twisted()))]
    for python, requirements in tried:
        environment = Environment(scratch, python)
        environment.make(*requirements)
        environment.lists_plugins()
        environment.serves()
        number = environment.passes(*TESTS)
        print(
            f"{Path(requirements[0]).name}: {environment.version()}: plugins, a node, {number} tests",
            flush=True,
        )
    Environment(scratch, found[0]).knows_types()
    print(f"{wheel.name}: mypy knows its types")


def main() -> None:
    """Try what is in the folder that was named."""
    parser = argparse.ArgumentParser(prog="python -m tools.install", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="with one wheel and one sdist")
    folder: Path = parser.parse_args().folder.resolve()
    try:
        try_all(folder, ROOT / "build" / "clean")
    except Failed as failed:
        raise SystemExit(str(failed)) from failed


if __name__ == "__main__":
    main()
