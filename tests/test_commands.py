# SPDX-License-Identifier: MIT
"""Reads every command on every page: whether what it names is there, and takes what it is given.

Those that can be run here are, by ``tests/system/test_readme.py`` and ``test_pages.py``; a block that can't
is marked with a comment that says why, and its commands are held to this.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.pages import ROOT, Block, blocks, pages
from tests.system.test_pages import PAGES as FOLLOWED
from xjrelay.cli.main import parser
from xjrelay.servers.options import options_for

LANGUAGES = {"", "console", "json", "python", "toml", "yaml"}

FOREIGN = {
    *("export", "for", "cat", "curl", "kill", "sqlite3"),
    *("systemctl", "journalctl", "systemd-analyze", "certbot", "acme.sh", "scp", "ssh", "apt", "podman"),
    *("pip", "git", "sha256sum", "promtool", "trial"),
}
"""Programs of others: no more is known of them here than that the line is one for a shell."""


RUN_BY = {
    "README.md": (
        "system/test_readme.py",
        "system/test_tls.py",
        "system/test_peer.py",
        "system/test_windows.py",
    ),
    "docs/backup.md": ("system/test_backup.py", "cli/test_keep.py", "system/test_live_systemd.py"),
    "docs/delivery.md": ("system/test_prove.py", "sandbox/test_checker.py"),
    "docs/gui.md": ("system/test_windows.py",),
    "docs/operating.md": (
        *("system/test_live_systemd.py", "system/test_deploy.py", "system/test_doctor.py"),
        *(
            "servers/test_manager_acts.py",
            "system/test_admin.py",
            "cli/test_admin.py",
            "cli/test_config.py",
            "system/test_secret.py",
        ),
    ),
    "docs/peers.md": ("system/test_peer.py", "system/test_direct_links.py", "system/test_chat.py"),
    "docs/security.md": ("system/test_cli.py",),
    "docs/metrics.md": ("system/test_seeing.py",),
    "docs/tracing.md": ("system/test_seeing.py",),
    "docs/cost.md": ("system/test_plan.py",),
}
"""Which tests type what stands on a page, in the same form if not in the same words.

``docs/performance`` is left out: those commands make the page's own figures, and take long. So is ``make``.
"""


class Wrong(Exception):
    """A command that would fail; the text is why."""


def check(line: str) -> None:
    """Hold one command to what there is.

    Raises:
        Wrong: it would not be understood.
    """
    shell = subprocess.run(["bash", "-n"], input=line, capture_output=True, text=True, check=False)
    if shell.returncode:
        raise Wrong(shell.stderr)
    plain = re.sub(r"\$\(.*\)", "one=host", line).removesuffix("&").strip()
    words = shlex.split(plain, comments=True)
    while words and (words[0] == "sudo" or re.match(r"[A-Z_]+=", words[0])):
        words = words[1:]
    ends = [number for number, word in enumerate(words) if word in (">", ">>", "|", "&&", ";")]
    words = words[: ends[0]] if ends else words
    if words:
        _check(Path(words[0]).name if words[0].startswith(".venv/bin/") else words[0], words[1:])


def _check(program: str, words: list[str]) -> None:
    if program == "xj":
        _parse(words)
    elif program == "twistd":
        _twistd(words)
    elif program == "make":
        _make(words)
    elif program == "python":
        _python(words)
    elif program.startswith("deploy/"):
        _script(ROOT / program, words)
    elif program not in FOREIGN:
        raise Wrong(f"nobody knows {program}")


def _parse(words: list[str]) -> None:
    _understood(parser().parse_args, words)


def _twistd(words: list[str]) -> None:
    [at] = [number for number, word in enumerate(words) if word.startswith("xj")]
    options = options_for(words[at].removeprefix("xj"))()
    options.environ = {}
    _understood(options.parseOptions, words[at + 1 :])


def _understood(parse: Callable[[list[str]], object], words: list[str]) -> None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parse(words)
    except SystemExit as ended:
        if ended.code:
            raise Wrong(said.getvalue()) from ended


def _make(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    missing = [word for word in words if "=" not in word and word not in targets]
    if missing:
        raise Wrong(f"make knows no {missing}")


def _python(words: list[str]) -> None:
    if words[0] == "-m" and importlib.util.find_spec(words[1]) is None:
        raise Wrong(f"there is no module {words[1]}")


def _script(path: Path, words: list[str]) -> None:
    if not path.is_file():
        raise Wrong(f"there is no {path}")
    known = {
        "--programs",
        *re.findall(r"^ {8}(--[\w-]+)\)", (ROOT / "deploy/install.sh").read_text("utf-8"), re.M),
    }
    unknown = {word for word in words if word.startswith("--")} - known
    if unknown and path.name in ("install.sh", "one.sh", "two.sh"):
        raise Wrong(f"{path.name} knows no {unknown}")


def typed(line: str) -> list[str]:
    """By which words a command would be found in a test: ``xj admin ban esa`` by ``admin`` and ``ban``."""
    words = [word for word in shlex.split(line, comments=True) if word != "sudo"]
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        return []
    if program == "python":
        return [words[2].rpartition(".")[2]]
    if program == "twistd":
        return [next(word for word in words if word.startswith("xj"))]
    if program != "xj":
        return [Path(program).name] if program.startswith("deploy/") else [program]
    two = words[1] in ("admin", "config", "roster") and len(words) > 2 and not words[2].startswith("-")
    return words[1 : 3 if two else 2]


def is_followed(block: Block) -> bool:
    """Whether a test reads what it types from this very block."""
    if block.page == "README.md":
        return block.language == "console"  # tests/system/test_readme.py
    return block.page.removeprefix("docs/") in FOLLOWED


class CommandTests(SynchronousTestCase):
    """Each page's."""

    def test_every_block_is_of_a_known_kind(self) -> None:
        kinds = {(block.page, block.language) for path in pages() for block in blocks(path)}
        self.assertEqual({kind for kind in kinds if kind[1] not in LANGUAGES}, set())

    def test_every_command_would_be_understood(self) -> None:
        checked, wrong = 0, []
        for path in pages():
            for block in blocks(path):
                for line in block.lines():
                    checked += 1
                    try:
                        check(line)
                    except Wrong as why:
                        wrong.append(f"{block.page}: {line}: {why}")
        self.assertEqual(wrong, [], "\n".join(wrong))
        self.assertGreater(checked, 80)

    def test_every_command_is_typed_by_a_test_or_marked(self) -> None:
        missing = []
        for path in pages():
            for block in blocks(path):
                if block.mark or is_followed(block) or "/performance/" in block.page:
                    continue
                texts = [(ROOT / "tests" / test).read_text("utf-8") for test in RUN_BY.get(block.page, ())]
                missing += [
                    f"{block.page}: {line}"
                    for line in block.lines()
                    for word in typed(line)
                    if not any(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) for text in texts)
                ]
        self.assertEqual(missing, [], "\n".join(missing))

    def test_every_python_block_is_python(self) -> None:
        for path in pages():
            for block in blocks(path):
                if block.language == "python":
                    compile(block.text, block.page, "exec", flags=0x2000)  # await may stand by itself

    def test_what_would_fail_is_found(self) -> None:
        check("sudo xj doctor --tracker xjs://chat.example.org")
        check("XJ_TRACKER=127.0.0.1:5000 xj status")
        for line in (
            "xj nosuch",
            "xj send --user esa",
            "twistd xjrelay --nosuch 1",
            "make nosuch",
            "python -m xjrelay.nosuch",
            "deploy/nosuch.sh",
            "deploy/install.sh --nosuch x",
            "nosuch --version",
            "xj status 'unfinished",
        ):
            self.assertRaises(Wrong, check, line)
