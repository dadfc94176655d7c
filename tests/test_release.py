# SPDX-License-Identifier: MIT
"""Holds what makes a release: the same bytes each time, and the bounds that are tried."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tools.build import normalised, time_of
from tools.install import OLDEST_PYTHON, Environment, Failed, oldest_twisted, pythons


def sdist(files: dict[str, tuple[bytes, int, int]]) -> bytes:
    """An archive of files with a content, a mode and a time each."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, (content, mode, time) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime, member.uname = len(content), mode, time, "somebody"
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


class ReproducibleTests(SynchronousTestCase):
    """``tools/build.py``."""

    one = {"p/a": (b"1", 0o600, 1_000), "p/b": (b"2", 0o700, 2_000)}

    def test_only_what_is_in_the_files_counts(self) -> None:
        other = {"p/b": (b"2", 0o755, 9), "p/a": (b"1", 0o664, 8)}
        made = normalised(sdist(self.one), 1_700_000_000)
        self.assertEqual(made, normalised(sdist(other), 1_700_000_000))
        with tarfile.open(fileobj=io.BytesIO(made)) as archive:
            kept = [(one.name, one.mode, one.mtime, one.uname) for one in archive.getmembers()]
        self.assertEqual(kept, [("p/a", 0o644, 1_700_000_000, ""), ("p/b", 0o755, 1_700_000_000, "")])

    def test_that_does_count(self) -> None:
        other = {**self.one, "p/a": (b"3", 0o600, 1_000)}
        self.assertNotEqual(normalised(sdist(self.one), 1), normalised(sdist(other), 1))

    def test_the_time_is_the_one_that_was_said(self) -> None:
        self.patch(os, "environ", {**os.environ, "SOURCE_DATE_EPOCH": "123"})
        self.assertEqual(time_of(Path("nowhere")), 123)

    def test_an_unpacked_sdist_has_its_own_time(self) -> None:
        environ = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
        self.patch(os, "environ", environ)
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        (folder / "setup.cfg").touch()
        os.utime(folder / "setup.cfg", (456, 456))
        self.assertEqual(time_of(folder), 456)


class EnvironmentTests(SynchronousTestCase):
    """``tools/install.py``."""

    def test_the_oldest_twisted_is_setup_cfg_s(self) -> None:
        setup = Path(self.mktemp())
        setup.write_text("[options]\ninstall_requires =\n    a >= 1\n    twisted[tls] >= 22.3\n    b >= 2\n")
        self.assertEqual(oldest_twisted(setup), "twisted[tls] == 22.3.*")
        self.assertRegex(oldest_twisted(), r"^twisted\[tls\] == \d+\.\d+\.\*$")

    def test_the_pythons_are_new_enough_and_what_fails_is_said(self) -> None:
        found = pythons()
        self.assertNotEqual(found, [])
        for path in found:
            environment = Environment(Path(self.mktemp()), path)
            said = environment.run(path, "-c", "import sys; print(*sys.version_info[:2])")
            self.assertGreaterEqual(tuple(map(int, said.split())), OLDEST_PYTHON)
        failed = self.assertRaises(Failed, environment.run, found[0], "-c", "raise SystemExit('no')")
        self.assertIn("exit status 1\nno", str(failed))
