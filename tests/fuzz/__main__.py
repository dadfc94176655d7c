# SPDX-License-Identifier: MIT
"""Runs the targets under atheris, which makes up inputs that reach new code.

    python -m tests.fuzz                              every target, 66 seconds in all, 200,000 inputs at least
    python -m tests.fuzz --seconds 3600               for an hour
    python -m tests.fuzz --only mesh --seconds 600    one target
    python -m tests.fuzz --again build/fuzz/crash-mesh-0a1b...   the input that broke a promise, once more

What is found new is kept in ``build/fuzz/<target>`` and built upon the next time; what the repository has
is in ``tests/fuzz/corpus/<target>``. An input that breaks a promise is written to ``build/fuzz/crash-...``.

Each target is a process of its own, since libFuzzer ends the process it runs in.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CORPUS = FOLDER / "corpus"
DICTIONARY = FOLDER / "dictionary"
LONGEST = 4096
"""Bytes of an input: some frames, and every limit that is low enough to be reached."""
_COUNT = re.compile(rb"stat::number_of_executed_units:\s+(\d+)")


def main(argv: list[str]) -> int:
    """Run what was asked for; 0 when every promise held."""
    if argv[:1] == ["--target"]:
        return _fuzz(argv[1], argv[2:])
    args = _parser().parse_args(argv)
    if args.again is not None:
        return _again(args.again)
    if importlib.util.find_spec("atheris") is None:
        print("no fuzzing: atheris isn't installed; there may be no wheel of it for this Python or platform")
        return 1 if os.environ.get("CI") else 0
    return _all(args.only or _names(), args.seconds, args.inputs, args.work)


def _parser() -> argparse.ArgumentParser:
    about = "Fuzz whatever reads strangers' bytes."
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=about)
    parser.add_argument("--seconds", type=float, default=66.0, help="in all; default 66")
    parser.add_argument("--inputs", type=int, default=200_000, help="at least, in all; default 200,000")
    parser.add_argument("--only", action="append", choices=_names(), help="a target; may be given again")
    parser.add_argument("--work", type=Path, default=Path("build/fuzz"), help="what is found is kept there")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run one input that broke a promise")
    return parser


def _names() -> list[str]:
    """The targets, without importing them: their code has to be imported under instrumentation."""
    return sorted(path.name for path in CORPUS.iterdir() if path.is_dir())


def _all(names: list[str], seconds: float, inputs: int, work: Path) -> int:
    """Each in turn; then the quickest again, until there were inputs enough."""
    total = failed = 0
    for name in names:
        count, status = _run(name, seconds / len(names), work)
        total, failed = total + count, failed + (status != 0)
    while total < inputs and not failed:
        count, status = _run("frames", max(1.0, seconds / len(names)), work)
        total, failed = total + count, failed + (status != 0)
    print(f"{total:,} inputs in {len(names)} targets, {failed} of which broke a promise")
    return 1 if failed else 0


def _run(name: str, seconds: float, work: Path) -> tuple[int, int]:
    """One target for so long: how many inputs, and its exit status."""
    found = work / name
    found.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz", "--target", name, str(found), str(CORPUS / name)]
    options = {
        "max_total_time": max(1, round(seconds)),
        "max_len": LONGEST,
        "timeout": 20,
        "rss_limit_mb": 2048,
        "print_final_stats": 1,
        "dict": DICTIONARY,
        "artifact_prefix": f"{work}/crash-{name}-",
    }
    command += [f"-{option}={value}" for option, value in options.items()]
    ran = subprocess.run(command, capture_output=True, check=False)
    match = _COUNT.search(ran.stderr)
    count = int(match[1]) if match else 0
    print(f"{name}: {count:,} inputs{'' if ran.returncode == 0 else ', and a promise broken'}", flush=True)
    if ran.returncode != 0:
        sys.stdout.write((ran.stdout + ran.stderr[-8000:]).decode("utf-8", "replace"))
    return count, ran.returncode


def _fuzz(name: str, arguments: list[str]) -> int:
    """In this process, until libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["xjrelay"]):
        from tests.fuzz.targets import TARGETS

    _quiet()
    atheris.Setup([name, *arguments], TARGETS[name])
    atheris.Fuzz()
    return 0


def _again(path: Path) -> int:
    from tests.fuzz.targets import TARGETS

    _quiet()
    name = path.name.removeprefix("crash-").partition("-")[0]
    TARGETS[name](path.read_bytes())
    print(f"{name}: every promise held")
    return 0


def _quiet() -> None:
    """Twisted keeps the log for whoever begins it; nobody does."""
    from twisted.logger import globalLogBeginner

    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
