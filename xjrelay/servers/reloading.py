# SPDX-License-Identifier: MIT
"""SIGHUP: the options are read once more, and what may change while a program runs is changed.

Which may, the table of options says. What has changed and may not is named in the log at each
SIGHUP, until the program is started again; a file that is wrong changes nothing. Must not know
what an option is for: each program's ``applies`` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xjrelay.net.context import Context
from xjrelay.security.secret import ClusterSecret, SecretError, rotate
from xjrelay.servers.option_table import APPLIED, TABLE
from xjrelay.servers.options import OptionError, ProgramOptions
from xjrelay.servers.startup import Options, Program, cluster_secret, limits, secret_file
from xjrelay.wire.errors import Code, RemoteError

_log = Logger()

_APPLIED = {option.name for option in TABLE if option.reloads == APPLIED}


class Reloading:
    """What SIGHUP calls for the options.

    Args:
        options: those in force; they are changed as far as their values are.
        applies: each is given the options in force whenever one of them has changed.
    """

    def __init__(self, options: ProgramOptions, applies: Iterable[Callable[[Options], None]]) -> None:
        self._options = options
        self._applies = applies

    def __call__(self) -> None:
        """Read, change, and say what was changed."""
        options = self._options
        try:
            fresh = options.again()
        except OptionError as error:
            _log.error("the options stay as they were: {why}", why=str(error))
            return
        changed = [name for name in fresh if fresh[name] != options[name]]
        applied = [name for name in changed if name in _APPLIED]
        for name in applied:
            options[name], options.sources[name] = fresh[name], fresh.sources[name]
        if applied:
            _log.info("changed from now on: {names}", names=_named(applied))
            for apply in self._applies:
                apply(options)
        waiting = [name for name in changed if name not in _APPLIED]
        if waiting:
            _log.warn("changed after a restart only: {names}", names=_named(waiting))


def limiting(context: Context) -> Callable[[Options], None]:
    """Changes the limits of a program's links."""

    def apply(options: Options) -> None:
        context.limits = limits(options)

    return apply


def rereading(secret: ClusterSecret, options: Options) -> Callable[[], None]:
    """Reads the cluster's secret again; where that can't be had, the former one stays in use."""

    def reload() -> None:
        try:
            changed = secret.become(cluster_secret(options))
        except SecretError as error:
            _log.error("the former cluster secret stays in use: {why}", why=str(error))
            return
        if changed:
            _log.info("the cluster's secret is another one: {secret}", secret=repr(secret))

    return reload


class SecretChange:
    """Another cluster secret, step by step, on this machine.

    Args:
        program: whose file it is; the others of its process read it again too.
        in_thread: runs a function off the reactor's thread.
    """

    def __init__(self, program: Program, in_thread: Callable[..., Deferred[Any]]) -> None:
        self._program = program
        self._in_thread = in_thread

    async def step(self, step: str) -> int:
        """Take a step, and have what SIGHUP has read again read again.

        Returns:
            How many secrets are accepted now.

        Raises:
            RemoteError: 409, with what to do instead.
        """
        try:
            count: int = await self._in_thread(rotate, secret_file(self._program.options), step)
        except SecretError as error:
            raise RemoteError(Code.CONFLICT, str(error)) from None
        for reload in whole(self._program).reloads:
            reload()
        return count


def whole(program: Program) -> Program:
    """The program, or the node it is part of."""
    return program.parent if isinstance(program.parent, Program) else program


def _named(names: list[str]) -> str:
    return ", ".join(f"--{name}" for name in names)
