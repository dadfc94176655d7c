# SPDX-License-Identifier: MIT
"""Holds the house to its plan: who may import whom, how large a room may grow, what stays pure.

The tables below are the design, as data; change them only together with it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
MAX_MODULE_LINES = 600
MAX_FUNCTION_LINES = 60

MAY_IMPORT: dict[str, set[str]] = {
    "wire": set(),
    "domain": {"wire"},
    "storage": {"domain", "wire"},
    "security": {"domain", "wire"},
    "net": {"wire", "domain"},
    "servers": {"net", "domain", "security", "wire", "storage.interfaces"},
    "client": {
        *("wire", "domain", "security.scram", "security.certificates", "security.tls", "net.tls"),
        *("security.identity", "security.private"),
    },
    "cli": {
        *("client", "prove", "storage", "wire", "security", "gui"),
        *("domain.audit", "domain.direct", "domain.peers"),
        *("servers.peer", "servers.option_table", "servers.options", "servers.config"),
    },
    "gui": {
        *("client", "domain.peers", "storage.history", "storage.interfaces"),
        *("servers.peer", "servers.startup", "security.identity", "security.private"),
    },
    "prove": {"client", "wire"},
    "sandbox": {
        *("wire", "domain", "storage", "security", "net", "servers", "client", "cli", "prove"),
    },
}
"""What each room may import besides itself: a room, or one module of it."""

TAP_MAY_ALSO_IMPORT = {"storage"}
"""A tap puts the concrete stores in; nothing else of a server knows them."""

COMPOSES = {"servers.node": {"servers.tracker", "servers.manager", "servers.relay"}}
"""The one server that is made of others."""

PROGRAMS = {"tracker", "manager", "relay", "peer", "node"}
PURE = {"wire", "domain"}
IMPURE_MODULES = {"twisted", "time", "random", "os", "socket"}
NEVER_EACH_OTHER = {
    "client.tx": "client.aio",
    "client.tx_network": "client.aio",
    "client.aio": "client.tx",
    "client.aio_network": "client.tx",
}
"""Neither the module nor those whose names begin so."""


def sources() -> list[Path]:
    """Every Python file of the project."""
    found = [ROOT / "conftest.py", *(ROOT / "twisted").rglob("*.py")]
    for folder in ("xjrelay", "tests", "tools"):
        found += (ROOT / folder).rglob("*.py")
    return sorted(found)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.Module, module: str) -> Iterator[str]:
    """Full names of what a module imports, wherever in it; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def modules() -> list[tuple[str, ast.Module]]:
    """The package's modules as ``servers.tracker.tap`` and their trees."""
    found = []
    for path in sorted((ROOT / "xjrelay").rglob("*.py")):
        parts = path.relative_to(ROOT / "xjrelay").with_suffix("").parts
        found.append((".".join(parts), parse(path)))
    return found


def ours(tree: ast.Module, name: str) -> list[str]:
    """What a module imports of the package, as ``wire.errors.Code``."""
    prefix = "xjrelay."
    return [full[len(prefix) :] for full in imports(tree, prefix + name) if full.startswith(prefix)]


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


def breach(name: str, imported: str) -> str | None:
    """Why ``name`` must not import ``imported``, or None."""
    room, target = name.split(".", maxsplit=1)[0], imported.split(".", maxsplit=1)[0]
    if room not in MAY_IMPORT or target == "__version__":
        return None
    if imported.startswith(NEVER_EACH_OTHER.get(name, "-")):
        return "tx and aio never import each other"
    if room == target:
        return _breach_between_servers(name, imported) if room == "servers" else None
    allowed = MAY_IMPORT[room] | (TAP_MAY_ALSO_IMPORT if name.endswith(".tap") else set())
    if any(within(imported, one) for one in allowed):
        return None
    return f"{room} may import only {sorted(allowed)}"


def _breach_between_servers(name: str, imported: str) -> str | None:
    mine, theirs = name.split(".")[1], imported.split(".")[1]
    if theirs not in PROGRAMS or mine == theirs:
        return None
    if mine not in PROGRAMS:
        return "what servers share knows no server"
    if any(within(imported, one) for one in COMPOSES.get(f"servers.{mine}", set())):
        return None
    return "a server never imports another"


class ImportTests(SynchronousTestCase):
    """Who may import whom."""

    def test_rooms_import_only_what_they_may(self) -> None:
        breaches = [
            f"xjrelay.{name} imports xjrelay.{imported}: {why}"
            for name, tree in modules()
            for imported in ours(tree, name)
            if (why := breach(name, imported))
        ]
        self.assertEqual(breaches, [])

    def test_every_room_is_in_the_table(self) -> None:
        rooms = {path.parent.name for path in (ROOT / "xjrelay").glob("*/__init__.py")}
        self.assertEqual(rooms - set(MAY_IMPORT), set())

    def test_pure_rooms_know_no_network_clock_or_chance(self) -> None:
        breaches = [
            f"xjrelay.{name} imports {imported}"
            for name, tree in modules()
            if name.split(".")[0] in PURE
            for imported in imports(tree, f"xjrelay.{name}")
            if imported.split(".")[0] in IMPURE_MODULES
        ]
        self.assertEqual(breaches, [])

    def test_the_reactor_is_an_argument(self) -> None:
        breaches = [
            str(path.relative_to(ROOT))
            for path in sources()
            if path.name != "tap.py" and "system" not in path.relative_to(ROOT).parts
            if path != ROOT / "xjrelay" / "client" / "tx.py"  # for an application that gives none
            if "twisted.internet.reactor" in set(imports(parse(path), "x"))
        ]
        self.assertEqual(breaches, [])

    def test_the_table_itself_tells_right_from_wrong(self) -> None:
        self.assertIsNone(breach("servers.tracker.tap", "storage.directory.X"))
        self.assertIsNone(breach("servers.node.tap", "servers.relay.service.X"))
        self.assertIsNone(breach("servers.relay.protocol", "servers.startup.X"))
        self.assertIsNotNone(breach("servers.tracker.service", "storage.directory.X"))
        self.assertIsNotNone(breach("servers.relay.service", "servers.manager.service.X"))
        self.assertIsNotNone(breach("servers.startup", "servers.manager.service.X"))
        self.assertIsNotNone(breach("wire.codec", "domain.roster"))
        self.assertIsNotNone(breach("client.tx", "client.aio.connect"))
        self.assertIsNotNone(breach("client.aio", "client.tx_network.TwistedNetwork"))
        self.assertIsNotNone(breach("client.core", "security.tokens.Signer"))


class SizeTests(SynchronousTestCase):
    """How large a module or a function may grow before it is two."""

    def test_no_module_outgrows_its_room(self) -> None:
        lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
        large = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > MAX_MODULE_LINES}
        self.assertEqual(large, {})

    def test_no_function_is_longer_than_a_screen(self) -> None:
        large = {}
        for path in sources():
            for node in ast.walk(parse(path)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = (node.end_lineno or node.lineno) - node.lineno + 1
                    if lines > MAX_FUNCTION_LINES:
                        large[f"{path.relative_to(ROOT)}:{node.name}"] = lines
        self.assertEqual(large, {})


class FileTests(SynchronousTestCase):
    """What every file says at its top."""

    def test_every_file_names_its_licence(self) -> None:
        line = "# SPDX-License-Identifier: MIT"
        without = [
            str(path.relative_to(ROOT))
            for path in sources()
            if (text := path.read_text(encoding="utf-8")) and text.splitlines()[0] != line
        ]
        self.assertEqual(without, [])

    def test_every_module_says_why_it_exists(self) -> None:
        silent = [name for name, tree in modules() if tree.body and not ast.get_docstring(tree)]
        self.assertEqual(silent, [])

    def test_twisted_is_not_shadowed(self) -> None:
        """An ``__init__.py`` there would hide Twisted itself from whoever installs this."""
        self.assertEqual([str(path) for path in (ROOT / "twisted").rglob("__init__.py")], [])
