# SPDX-License-Identifier: MIT
"""Backups made, thinned out, proved and put back; exports and imports from the command line."""

from __future__ import annotations

import fcntl
import io
import json
import os
import stat
import tarfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.storage.test_released import records, written
from xjrelay.cli import archive
from xjrelay.cli.archive import ArchiveError
from xjrelay.cli.main import DONE, REFUSED, WRONG_USAGE, main
from xjrelay.storage.audit import append, check
from xjrelay.storage.migrate import prepare, steps


class Folders(SynchronousTestCase):
    """A data folder with a manager and a relay in it."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).resolve()
        self.data = self.base / "data"
        for name in ("manager", "relay1"):
            (self.data / name).mkdir(parents=True, mode=0o700)
            (self.data / name / "lock").touch()
        made = written(self.base, "manager", len(steps("manager")))
        made.rename(self.data / "manager" / "manager.sqlite3")
        (self.data / "manager" / "manager.sqlite3.v2").write_text("kept at an upgrade")
        (self.data / "manager" / "decoy.key").write_bytes(b"\x00" * 32)
        (self.data / "manager" / "decoy.key").chmod(0o600)
        (self.data / "relay1" / "relay_id").write_text("77d0\n")
        (self.data / "relay1" / "gone").symlink_to("/etc/passwd")

    def backup(self, name: str = "x.tar") -> Path:
        target = self.base / name
        archive.write(self.data, target, 1_700_000_000)
        return target

    def xj(self, *typed: str) -> tuple[int, str, str]:
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors):
            status = main([*typed, "--data-dir", str(self.data)])
        return status, out.getvalue(), errors.getvalue()


class BackupTests(Folders):
    """What is in a backup."""

    def test_holds_what_matters_and_says_so(self) -> None:
        with tarfile.open(self.backup()) as tar:
            names = tar.getnames()
            stream = tar.extractfile(names[0])
            assert stream is not None
            manifest = json.loads(stream.read())
        kept = ["manager/decoy.key", "manager/manager.sqlite3", "relay1/relay_id"]
        self.assertEqual(names, ["manifest.json", *kept])
        self.assertEqual(sorted(manifest["files"]), kept)
        self.assertEqual(sorted(manifest["folders"]), [".", "manager", "relay1"])
        held = manifest["files"]["manager/manager.sqlite3"]["database"]
        self.assertEqual((held["program"], held["rows"]["accounts"]), ("manager", 2))

    def test_is_for_its_owner_alone_and_leaves_nothing_beside(self) -> None:
        target = self.backup()
        self.assertEqual(stat.S_IMODE(target.stat().st_mode), 0o600)
        self.assertEqual({path.name for path in self.base.iterdir()}, {"data", "x.tar"})

    def test_a_damaged_database_is_not_backed_up(self) -> None:
        path = self.data / "manager" / "manager.sqlite3"
        path.write_bytes(path.read_bytes()[:5000])
        status, _, errors = self.xj("backup", "--to", str(self.base))
        self.assertEqual(status, REFUSED)
        self.assertIn("manager.sqlite3", errors)
        self.assertEqual({path.name for path in self.base.iterdir()}, {"data"})

    def test_nothing_to_back_up_is_refused(self) -> None:
        empty = self.base / "empty"
        empty.mkdir()
        error = self.assertRaises(ArchiveError, archive.write, empty, self.base / "y", 0)
        self.assertIn("nothing", str(error))
        self.assertRaises(ArchiveError, archive.write, self.base / "nowhere", self.base / "y", 0)

    def test_the_command_names_by_time_and_keeps_as_many_as_asked(self) -> None:
        for stamp in ("20260101T000000Z", "20260102T000000Z", "20260103T000000Z"):
            (self.base / f"xjrelay-{stamp}.tar").touch()
        (self.base / "holiday.tar").touch()
        status, out, _ = self.xj("backup", "--to", str(self.base), "--keep", "2")
        self.assertEqual(status, DONE)
        self.assertIn("2 accounts", out)
        kept = sorted(path.name for path in self.base.glob("*.tar"))
        self.assertEqual(kept[:2], ["holiday.tar", "xjrelay-20260103T000000Z.tar"])
        self.assertEqual(len(kept), 3)


class RestoreTests(Folders):
    """What is proved before anything is replaced."""

    def contents(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.data)): path.read_bytes()
            for path in sorted(self.data.rglob("*"))
            if path.is_file()
        }

    def refused(self, source: Path) -> str:
        before = self.contents()
        status, _, errors = self.xj("restore", str(source))
        self.assertEqual((status, self.contents()), (REFUSED, before))
        self.assertEqual(self.xj("restore", "--check", str(source))[0], REFUSED)
        return errors

    def test_puts_back_what_was_there_and_keeps_what_is(self) -> None:
        target = self.backup()
        wanted = records(self.data / "manager" / "manager.sqlite3")
        (self.data / "manager" / "manager.sqlite3").unlink()
        (self.data / "manager" / "decoy.key").write_bytes(b"other")
        status, out, _ = self.xj("restore", str(target))
        self.assertEqual(status, DONE)
        self.assertEqual(records(self.data / "manager" / "manager.sqlite3"), wanted)
        self.assertEqual((self.data / "manager" / "decoy.key").read_bytes(), b"\x00" * 32)
        self.assertEqual(stat.S_IMODE((self.data / "manager" / "decoy.key").stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE((self.data / "manager").stat().st_mode), 0o700)
        former = self.base / "data.before-restore"
        self.assertIn(str(former), out)
        self.assertEqual((former / "manager" / "decoy.key").read_bytes(), b"other")
        self.assertEqual(self.xj("restore", str(target))[0], DONE)
        self.assertTrue((self.base / "data.before-restore-2").exists())

    def test_the_audit_log_comes_back_whole(self) -> None:
        folder = self.data / "manager"
        for number in range(3):
            append(folder, {"act": str(number)})
        target = self.backup()
        append(folder, {"act": "later"})
        self.assertEqual(self.xj("restore", str(target))[0], DONE)
        verdict = check(folder)
        self.assertEqual((verdict.entries, verdict.problems), (3, []))

    def test_into_nothing(self) -> None:
        target = self.backup()
        self.data = self.base / "new" / "data"
        status, out, _ = self.xj("restore", str(target))
        self.assertEqual((status, "before" in out), (DONE, False))
        self.assertEqual((self.data / "relay1" / "relay_id").read_text(), "77d0\n")

    def test_check_changes_nothing(self) -> None:
        target, before = self.backup(), self.contents()
        status, out, _ = self.xj("restore", "--check", str(target), "--json")
        self.assertEqual((status, self.contents()), (DONE, before))
        self.assertEqual(json.loads(out)["files"]["relay1/relay_id"]["owner"], owner())

    def test_a_program_that_runs_keeps_its_folder(self) -> None:
        target = self.backup()
        with (self.data / "relay1" / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            status, _, errors = self.xj("restore", str(target))
        self.assertEqual(status, REFUSED)
        self.assertIn("stop it first", errors)
        self.assertEqual({path.name for path in self.base.iterdir()}, {"data", "x.tar"})

    def test_every_byte_of_every_file_counts(self) -> None:
        target = self.backup()
        whole = target.read_bytes()
        with tarfile.open(target) as tar:
            members = tar.getmembers()
        for member in members[1:]:
            content = bytearray(whole)
            content[member.offset_data + member.size // 2] ^= 1
            target.write_bytes(content)
            self.assertIn(f"{member.name} is not as it was", self.refused(target))
        target.write_bytes(whole[: members[-1].offset_data])
        self.refused(target)

    def test_what_is_no_backup(self) -> None:
        other = self.base / "other.tar"
        other.write_text("hello")
        self.refused(other)
        with tarfile.open(other, "w") as tar:
            tar.add(self.data / "relay1" / "relay_id", "manifest.json")
        self.assertIn("manifest can't be read", self.refused(other))
        with tarfile.open(other, "w") as tar:
            tar.add(self.data / "relay1" / "relay_id", "relay_id")
        self.assertIn("not a backup", self.refused(other))
        self.refused(self.base / "nowhere.tar")

    def rewritten(self, change: str, to: str) -> Path:
        """A backup whose manifest says something else."""
        source, target = self.backup(), self.base / "rewritten.tar"
        with tarfile.open(source) as tar, tarfile.open(target, "w") as new:
            for member in tar.getmembers():
                stream = tar.extractfile(member)
                assert stream is not None
                content = stream.read()
                if member.name == "manifest.json":
                    content = content.decode().replace(change, to).encode()
                member.name = member.name.replace(change, to)
                member.size = len(content)
                new.addfile(member, io.BytesIO(content))
        return target

    def test_a_place_outside_the_folder(self) -> None:
        self.assertIn("outside", self.refused(self.rewritten("relay1/relay_id", "../../relay_id")))
        self.assertFalse((self.base / "relay_id").exists())

    def test_a_database_of_other_content_or_a_newer_version(self) -> None:
        self.assertIn("does not hold what", self.refused(self.rewritten('"accounts": 2', '"accounts": 3')))
        newer = self.rewritten(' "version": 1', ' "version": 2')
        self.assertIn("newer version", self.refused(newer))

    def test_an_older_schema_is_rehearsed_and_restored_as_it_was(self) -> None:
        (self.data / "manager" / "manager.sqlite3").unlink()
        written(self.base, "manager", 1).rename(self.data / "manager" / "manager.sqlite3")
        target = self.backup()
        self.assertEqual(self.xj("restore", str(target))[0], DONE)
        prepare(self.data / "manager" / "manager.sqlite3", "manager")
        self.assertEqual(len(records(self.data / "manager" / "manager.sqlite3")), 5)


class ExportTests(Folders):
    """From the command line."""

    def test_out_and_in(self) -> None:
        lines = self.base / "all.jsonl"
        self.assertEqual(self.xj("export", str(lines))[0], DONE)
        self.assertEqual(stat.S_IMODE(lines.stat().st_mode), 0o600)
        database = self.data / "manager" / "manager.sqlite3"
        wanted = records(database)
        database.unlink()
        prepare(database, "manager")
        status, out, _ = self.xj("import", str(lines))
        said = "Imported 2 accounts, 2 contacts, 1 waiting messages, 1 bans.\n"
        self.assertEqual((status, out), (DONE, said))
        self.assertEqual(records(database), wanted)
        status, _, errors = self.xj("import", str(lines))
        self.assertEqual(status, REFUSED)
        self.assertIn("Esa", errors)

    def test_a_manager_that_runs_takes_no_import(self) -> None:
        lines = self.base / "all.jsonl"
        self.xj("export", str(lines))
        with (self.data / "manager" / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertIn("stop it first", self.xj("import", str(lines))[2])

    def test_wrong_usage(self) -> None:
        lines = self.base / "all.jsonl"
        self.xj("export", str(lines))
        self.assertIn("File exists", self.xj("export", str(lines))[2])
        self.assertEqual(self.xj("import", str(self.base / "nowhere"))[0], WRONG_USAGE)
        (self.data / "two").mkdir()
        (self.data / "two" / "manager.sqlite3").touch()
        self.assertIn("several managers", self.xj("export")[2])
        self.data = self.base / "nowhere"
        self.assertIn("no manager", self.xj("export")[2])


def owner() -> str:
    """Whose files these are."""
    return Path(os.devnull).owner() if os.geteuid() == 0 else Path.cwd().owner()
