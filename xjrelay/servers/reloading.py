# SPDX-License-Identifier: MIT
"""SIGHUP: the options are read once more, and what may change while a program runs is changed.

Which may, the table of options says. What has changed and may not is named in the log at each
SIGHUP, until the program is started again; a file that is wrong changes nothing. Must not know
what an option is for: each program's ``applies`` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.logger import Logger

from xjrelay.net.context import Context
from xjrelay.security.secret import ClusterSecret, SecretError
from xjrelay.servers.option_table import APPLIED, TABLE
from xjrelay.servers.options import OptionError, ProgramOptions
from xjrelay.servers.startup import Options, cluster_secret, limits

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


def _named(names: list[str]) -> str:
    return ", ".join(f"--{name}" for name in names)
