# SPDX-License-Identifier: MIT
"""The world that the window is in, from a door until it is left, and how it is asked.

Everything here runs in the window's thread. Must not import a toolkit, Twisted, or either world.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from xjrelay.gui.bridge import Net
from xjrelay.gui.world import Problem, World

Failed = Callable[[Problem], None]


class Session:
    """Who is in which world.

    Args:
        net: runs what is asked of the world.
        failed: told why something failed, where who asked doesn't want to know.

    Attributes:
        world: None before a door was opened, and after it was left.
    """

    def __init__(self, net: Net, failed: Failed) -> None:
        self.failed = failed
        self.world: World | None = None
        self._net = net

    def ask(
        self,
        work: Callable[[], Coroutine[Any, Any, Any]],
        done: Callable[[Any], None],
        failed: Failed | None = None,
    ) -> None:
        """Ask the world; an answer that comes after it was left is nobody's.

        Args:
            work: what is asked, to be run in the world's thread.
            done: called with the answer.
            failed: called with the reason where there is none.
        """
        world = self.world

        def answered(result: Any) -> None:
            if world is self.world:
                done(result)

        def refused(problem: Problem) -> None:
            if world is self.world:
                (failed or self.failed)(problem)

        self._net.run(work, answered, refused)
