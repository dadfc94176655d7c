# SPDX-License-Identifier: MIT
"""What is seen alike of every program: its links' queues, its store. Knows no program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xjrelay.net.context import Context
from xjrelay.net.factory import LinkFactory
from xjrelay.net.metrics import Sample, Samples, queue
from xjrelay.storage.interfaces import StoreLoad


def links_seen(context: Context, factory: LinkFactory[Any]) -> Samples:
    """How full what holds its links is, and the fullest of them."""
    limits = context.limits
    yield from queue("links", len(factory.links), limits.max_links)
    yield from queue("handshakes", factory.greeting, limits.max_handshakes)
    fullest = max((link.unwritten for link in factory.links), default=0)
    yield from queue("unwritten bytes of a link", fullest, limits.max_outgoing)


def store_seen(load: StoreLoad) -> Samples:
    """How full its store's queues are, and how long the disk takes."""
    yield from queue("writes to the store", load.writes, load.most)
    yield from queue("reads of the store", load.reads, load.most)
    yield Sample("xjrelay_commit_seconds", load.commits)
    yield Sample("xjrelay_commit_failures", load.failures)


def store_troubles(load: StoreLoad) -> Sequence[str]:
    """Why nothing could be written last; nothing when it could."""
    return [f"the store: {load.failing}"] if load.failing else []
