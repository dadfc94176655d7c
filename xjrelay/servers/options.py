# SPDX-License-Identifier: MIT
"""Command lines made of the table of options.

A value comes from the first of: the command line, the environment (``XJ_<OPTION>``), the TOML
file (``--config``), the default. ``python -m xjrelay.servers.options`` prints the table of
``docs/options.md``, and a test holds the page against it. Options convert, and open nothing but
the TOML file: what they name is opened by ``startup`` and the programs' ``tap``.

A wrong option is one line on standard error and exit status 2.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from twisted.python import usage

from xjrelay import __version__
from xjrelay.servers import kinds
from xjrelay.servers.kinds import FLAG
from xjrelay.servers.option_table import ALL, SERVERS, TABLE, Option

USAGE_STATUS = 2
"""The exit status of a wrong option."""

_Said = tuple[str, list[tuple[str, str]]]
"""Where an option was said, and its texts, each with where that is."""


class OptionError(usage.UsageError):
    """A wrong option; the text is one line that says which, and where it was said."""


class ProgramOptions(usage.Options):
    """The options of one program: a mapping from an option's name to its value.

    Made by :func:`options_for`. Values are those of the option's kind: seconds are floats,
    ``HOST:PORT`` is a tuple, a repeatable option is a list, an absent path is None.

    Attributes:
        program: ``tracker``, ``manager``, ``relay``, ``node`` or ``peer``.
        sources: for each name where its value came from: ``--name``, ``XJ_NAME``, ``file:line`` or
            ``default``.
        places: for each name that was said, where each of its values was.
        environ: the environment that counts.
        problems: None, and what is wrong is raised; or a list, which gets everything that is wrong, each
            option of these having its default.
    """

    program: str
    environ: Mapping[str, str] = os.environ
    problems: list[str] | None = None

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}
        self.places: dict[str, list[str]] = {}
        self._said: dict[str, list[str]] = {}
        super().__init__()

    def parseOptions(self, options: list[str] | None = None) -> None:
        """Parses a command line; a wrong one is one line on standard error and exit status 2."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            _exit(_plugin(self.program), error)

    def say(self, name: str, text: str) -> None:
        """The command line gives an option."""
        self._said.setdefault(name, []).append(text)

    def postOptions(self) -> None:
        """Decides every option's value."""
        known = {option.name: option for option in TABLE if option.belongs_to(self.program)}
        self.clear()
        self._decide(known["config"], {})
        in_file = _from_file(self["config"], known, self._wrong) if self["config"] is not None else {}
        for option in known.values():
            self._decide(option, in_file)

    def again(self) -> ProgramOptions:
        """The same command line, environment and file, read once more.

        Raises:
            OptionError: the file is wrong now.
        """
        fresh = type(self)()
        fresh.environ, fresh._said = self.environ, self._said
        fresh.postOptions()
        return fresh

    def opt_version(self) -> NoReturn:
        """Display the version and exit."""
        print(f"xjrelay {__version__}")
        sys.exit(0)

    def parseArgs(self, *args: str) -> None:
        """Nothing follows the options."""
        if args:
            raise OptionError(f"unexpected argument {args[0]!r}")

    def getSynopsis(self) -> str:
        """The first line of the help."""
        return f"Usage: twistd [options] {_plugin(self.program)} [options]\n"

    def _decide(self, option: Option, in_file: Mapping[str, _Said]) -> None:
        name = option.name
        self.sources[name], self[name] = "default", option.default_for(self.program)
        if name in self._said:
            source = f"--{name}"
            texts = [(source, text) for text in self._said[name]]
        elif option.variable in self.environ:
            source, text = option.variable, self.environ[option.variable]
            parts = re.split(r"[\s,]+", text.strip()) if option.repeatable else [text]
            texts = [(source, part) for part in parts]
        elif name in in_file:
            source, texts = in_file[name]
        else:
            return
        values = []
        for place, text in texts:
            try:
                values.append(_parse(option, place, text))
            except OptionError as error:
                self._wrong(error)
            else:
                self.places.setdefault(name, []).append(place)
        if values or not texts:
            self.sources[name], self[name] = source, values if option.repeatable else values[-1]

    def _wrong(self, error: OptionError) -> None:
        if self.problems is None:
            raise error
        self.problems.append(str(error))


def options_for(program: str) -> type[ProgramOptions]:
    """The class twistd makes a program's options of."""
    members: dict[str, Any] = {"program": program}
    for option in TABLE:
        if option.belongs_to(program):
            members["opt_" + option.name.replace("-", "_")] = _sayer(option)
    return type(f"{program.title()}Options", (ProgramOptions,), members)


def in_force(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every option of a program as JSON has it: ``[{"name", "value", "source", "on_sighup"}]``."""
    sources = options.sources if isinstance(options, ProgramOptions) else {}
    return [
        {
            "name": option.name,
            "value": _plain(options[option.name]),
            "source": sources.get(option.name, "default"),
            "on_sighup": option.reloads,
        }
        for option in TABLE
        if option.name in options
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def page_table() -> str:
    """The table of ``docs/options.md``, in Markdown."""
    rows = [
        "| option | programs | value | default | environment | on SIGHUP | what it is |",
        "|---|---|---|---|---|---|---|",
    ]
    for option in TABLE:
        programs = _PROGRAMS.get(option.programs) or ", ".join(option.programs.split())
        kind = option.kind.name.replace("|", " or ") + (", repeatable" if option.repeatable else "")
        name, variable = f"`--{option.name}`", f"`{option.variable}`"
        cells = (name, programs, kind, option.shown_default(), variable, option.reloads, option.doc)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


_PROGRAMS = {ALL: "all", SERVERS: "all but peer"}


def _plugin(program: str) -> str:
    return "xjrelay" if program == "relay" else f"xj{program}"


def _sayer(option: Option) -> Callable[..., None]:
    """The method usage.Options finds by its name; without an argument it is a flag."""

    def flag(self: ProgramOptions) -> None:
        self.say(option.name, "true")

    def value(self: ProgramOptions, text: str) -> None:
        self.say(option.name, text)

    if option.kind is FLAG:
        flag.__doc__ = option.doc
        return flag
    value.__doc__ = f"{option.doc}; {option.kind.name}, default {option.shown_default()}"
    return value


def _parse(option: Option, source: str, text: str) -> Any:
    try:
        return option.kind.parse(text)
    except ValueError as error:
        meant = kinds.meant(option.kind, text)
        hint = f"; say {meant}" if meant else ""
        raise OptionError(f"{source}: {text!r} is not {error}{hint}") from None


def _from_file(
    path: Path, known: Mapping[str, Option], wrong: Callable[[OptionError], None]
) -> dict[str, _Said]:
    """Each option a TOML file gives: where, and its texts, each with where it is."""
    found: dict[str, _Said] = {}
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        wrong(OptionError(f"--config: cannot read {path}: {why}"))
        return found
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        wrong(OptionError(f"{path}:{line}: not TOML: {error}"))
        return found
    for key, value in values.items():
        try:
            name, said = _entry(path, text, known, key, value)
            found[name] = said
        except OptionError as error:
            wrong(error)
    return found


def _entry(
    path: Path, text: str, known: Mapping[str, Option], key: str, value: object
) -> tuple[str, _Said]:
    source = f"{path}:{_line_of(text, key)}"
    option = known.get(key.replace("_", "-"))
    if option is None or option.name == "config":
        near = difflib.get_close_matches(key.replace("_", "-"), set(known) - {"config"}, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise OptionError(f"{source}: unknown key {key!r}{hint}")
    if isinstance(value, list) and not option.repeatable:
        raise OptionError(f"{source}: {key} takes one value")
    return option.name, (f"{source}: {key}", list(_texts(path, text, key, option, value)))


def _texts(path: Path, text: str, key: str, option: Option, value: object) -> Iterator[tuple[str, str]]:
    at = _line_of(text, key)
    for one in value if isinstance(value, list) else [value]:
        if isinstance(value, list) and isinstance(one, str):
            at = _line_from(text, at, one)
        source = f"{path}:{at}"
        # A boolean is for flags and nothing else is; TOML has real types, so they are held to.
        if isinstance(one, bool) != (option.kind is FLAG) or not isinstance(one, str | int | float):
            raise OptionError(f"{source}: {key}: {one!r} is not {_expected(option)}")
        yield f"{source}: {key}", str(one).lower() if isinstance(one, bool) else str(one)


def _expected(option: Option) -> str:
    try:
        option.kind.parse("\0")
    except ValueError as error:
        return str(error)
    return f"a {option.kind.name}"


def _line_of(text: str, key: str) -> int:
    pattern = re.compile(rf"""\s*(\[+\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""")
    for number, line in enumerate(text.splitlines(), 1):
        if pattern.match(line):
            return number
    return 1


def _line_from(text: str, start: int, one: str) -> int:
    """The line of a list's element, looked for from where the one before it stands."""
    for number, line in enumerate(text.splitlines()[start - 1 :], start):
        if any(f"{quote}{one}{quote}" in line for quote in "\"'"):
            return number
    return start


def _exit(program: str, error: Exception) -> NoReturn:
    """Twisted would print the whole help on standard output and exit with 0 or 1."""
    print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
    raise SystemExit(USAGE_STATUS)


if __name__ == "__main__":
    print(page_table(), end="")
