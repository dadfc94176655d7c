# SPDX-License-Identifier: MIT
"""Files that only their owner may read: made whole or not at all, refused when others can look.

The cluster's secret and the manager's signing keys are kept this way. Knows nothing of what is
inside. Imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

MAX_BYTES = 64 * 1024
"""More than this is no secret of ours but some other file, named by mistake."""


class PrivateFileError(Exception):
    """A private file can't be used; the text is one sentence that names the file, never its content."""


def read_private(path: Path, credentials: Path | None = None) -> bytes:
    """The content of a file that only its owner can read.

    Args:
        path: the file.
        credentials: the folder in which systemd passes files to this program alone
            (``$CREDENTIALS_DIRECTORY``). They belong to root and are read by an access list, which
            ``stat`` shows as a right of the group.

    Raises:
        FileNotFoundError: there is none.
        PrivateFileError: unreadable, not a regular file, larger than 64 KiB, or open to its group
            or others.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise PrivateFileError(f"cannot read {path}: {error.strerror}") from error
    try:
        # The open file is what is judged: a path could be another file a moment later.
        _refuse_unfit(path, os.fstat(descriptor), 0o040 if path.parent == credentials else 0)
        return os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)


def create_private(path: Path, content: bytes) -> bool:
    """Makes the file with mode 0600, its folder too where that is missing (0700).

    Another program may be doing the same: the content appears whole under its name or not at
    all, and the first one wins.

    Returns:
        False when there is a file by that name already, which is left as it is.

    Raises:
        PrivateFileError: the folder or the file can't be made.
    """
    with _written_beside(path, content) as temporary:
        try:
            os.link(temporary, path)  # unlike a rename, this fails when the name is taken
        except FileExistsError:
            return False
        except OSError as error:
            raise PrivateFileError(f"cannot make {path}: {error.strerror}") from error
    return True


def replace_private(path: Path, content: bytes) -> None:
    """Puts new content under the name, in one step, with mode 0600.

    Raises:
        PrivateFileError: the folder or the file can't be written.
    """
    with _written_beside(path, content) as temporary:
        try:
            os.replace(temporary, path)
        except OSError as error:
            raise PrivateFileError(f"cannot write {path}: {error.strerror}") from error


def _refuse_unfit(path: Path, status: os.stat_result, allowed: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PrivateFileError(f"{path} is not a file")
    if status.st_mode & 0o077 & ~allowed:
        mode = stat.S_IMODE(status.st_mode)
        raise PrivateFileError(f"{path} can be read by others (mode {mode:04o}); say chmod 600 {path}")
    if status.st_size > MAX_BYTES:
        raise PrivateFileError(f"{path} is too large to be a secret")


@contextlib.contextmanager
def _written_beside(path: Path, content: bytes) -> Iterator[Path]:
    """A synced temporary file with the content, in the same folder, gone afterwards."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise PrivateFileError(f"cannot make {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:  # mkstemp gives 0600, whatever the umask
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield Path(temporary)
    except OSError as error:
        raise PrivateFileError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
