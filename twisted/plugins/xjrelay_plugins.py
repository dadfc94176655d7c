# SPDX-License-Identifier: MIT
"""What `twistd` lists. Imported at every start of `twistd`, so it holds names only."""

from twisted.application.service import ServiceMaker

tracker = ServiceMaker(
    "xjrelay tracker",
    "xjrelay.servers.tracker.tap",
    "Rendezvous: which managers and relays are up, and where.",
    "xjtracker",
)
manager = ServiceMaker(
    "xjrelay manager",
    "xjrelay.servers.manager.tap",
    "Accounts, login, contacts, presence, and which relay a user gets.",
    "xjmanager",
)
relay = ServiceMaker(
    "xjrelay relay",
    "xjrelay.servers.relay.tap",
    "Carries messages between users, here and behind other relays.",
    "xjrelay",
)
node = ServiceMaker(
    "xjrelay node",
    "xjrelay.servers.node.tap",
    "A tracker, a manager and relays in one process.",
    "xjnode",
)
peer = ServiceMaker(
    "xjrelay peer",
    "xjrelay.servers.peer.tap",
    "Chat without a server: peers find and message one another directly.",
    "xjpeer",
)
