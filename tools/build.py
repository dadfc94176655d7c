# SPDX-License-Identifier: MIT
"""Makes the wheel and the sdist so that anybody who makes them again gets the same bytes.

``python -m tools.build FOLDER`` makes them, and makes them once more from the unpacked sdist: in another
folder, time zone and locale, with another umask and another seed of hashes; then it compares. The
time in the files is SOURCE_DATE_EPOCH, or the commit's, or, in an unpacked sdist, the one it has.
What counts besides is setuptools' version, which a wheel names (``Generator``) and this prints.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

OTHERWISE = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "4711"}
"""What is different the second time, and must not be seen in the result."""


def time_of(source: Path) -> int:
    """The seconds since 1970 that every file in a release is from."""
    said = os.environ.get("SOURCE_DATE_EPOCH")
    if said:
        return int(said)
    if (source / ".git").exists():
        command = ["git", "-C", str(source), "log", "-1", "--format=%ct"]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return int((source / "setup.cfg").stat().st_mtime)


def normalised(sdist: bytes, epoch: int) -> bytes:
    """The same sdist with its files in order, all of one time and of nobody.

    Args:
        sdist: a ``.tar.gz`` as setuptools makes it.
        epoch: the time.
    """
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(sdist)) as before,
        gzip.GzipFile(fileobj=made, mode="wb", filename="", mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as after,
    ):
        for member in sorted(before.getmembers(), key=lambda one: one.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            after.addfile(member, before.extractfile(member) if member.isfile() else None)
    return made.getvalue()


def unpack(sdist: Path, into: Path) -> Path:
    """The folder that an sdist was unpacked to."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="tar")
    [folder] = into.iterdir()
    return folder


def _backend(source: Path, into: Path, what: str, environ: dict[str, str]) -> Path:
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        f"--{what}",
        "--outdir",
        str(into),
        str(source),
    ]
    run = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **environ})
    if run.returncode:
        raise SystemExit(run.stdout + run.stderr)
    [made] = [path for path in into.iterdir() if path.name.endswith(".whl" if what == "wheel" else ".tar.gz")]
    return made


def make(source: Path, into: Path, epoch: int, environ: dict[str, str] | None = None) -> list[Path]:
    """Build the sdist of a folder, and the wheel out of that sdist.

    Args:
        source: a checkout, or an unpacked sdist.
        into: an empty folder.
        epoch: the time in the files.
        environ: variables for the build.

    Returns:
        The sdist and the wheel.

    Raises:
        SystemExit: the build failed; with what it said.
    """
    environ = {**(environ or {}), "SOURCE_DATE_EPOCH": str(epoch)}
    sdist = _backend(source, into, "sdist", environ)
    sdist.write_bytes(normalised(sdist.read_bytes(), epoch))
    with tempfile.TemporaryDirectory() as scratch:
        os.umask(0o022)  # what setuptools adds to a wheel has the mode of now
        return [sdist, _backend(unpack(sdist, Path(scratch)), into, "wheel", environ)]


def make_again(sdist: Path, epoch: int) -> dict[str, bytes]:
    """What comes of an sdist in other circumstances, by name."""
    with tempfile.TemporaryDirectory(prefix="elsewhere-") as scratch:
        source = unpack(sdist, Path(scratch, "source"))
        into = Path(scratch, "made")
        into.mkdir()
        os.umask(0o077)
        return {path.name: path.read_bytes() for path in make(source, into, epoch, OTHERWISE)}


def left_out(sdist: Path, source: Path) -> set[str]:
    """Files of a checkout that its sdist lacks, but for those with a dot, which are the code host's."""
    if not (source / ".git").exists():
        return set()
    command = ["git", "-C", str(source), "ls-files"]
    tracked = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    with tarfile.open(sdist) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    return {name for name in tracked if not name.startswith(".") and (source / name).exists()} - there


def main() -> None:
    """Build twice; print each file's SHA-256, or what differs."""
    parser = argparse.ArgumentParser(prog="python -m tools.build", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where wheel and sdist go; emptied first")
    into: Path = parser.parse_args().folder
    into.mkdir(parents=True, exist_ok=True)
    for old in (*into.glob("*.whl"), *into.glob("*.tar.gz")):
        old.unlink()
    epoch = time_of(ROOT)
    made = make(ROOT, into, epoch)
    if missing := left_out(made[0], ROOT):
        raise SystemExit(f"MANIFEST.in leaves out: {' '.join(sorted(missing))}")
    again = make_again(made[0], epoch)
    for path in made:
        content = path.read_bytes()
        if again[path.name] != content:
            raise SystemExit(f"{path.name}: made twice, and it is not the same")
        print(f"{hashlib.sha256(content).hexdigest()}  {path.name}")
    print(f"made twice, the same bytes (SOURCE_DATE_EPOCH={epoch}, setuptools {version('setuptools')})")


if __name__ == "__main__":
    main()
