# SPDX-License-Identifier: MIT
"""Every metric there is, as data. A new one is one more row of :data:`METRICS`.

``docs/metrics.md`` shows it, and ``python -m xjrelay.net.metric_table`` prints it. Names follow Prometheus's
conventions: base units, said at the end. Imports nothing of ours.
"""

from __future__ import annotations

from typing import NamedTuple

SERVERS = "tracker manager relay"
ALL = SERVERS + " peer"
PROCESS = "process"


class Metric(NamedTuple):
    """One row of the table.

    Attributes:
        kind: ``gauge``, ``counter`` or ``histogram``.
        unit: what is counted.
        programs: which have it, a node them all; or :data:`PROCESS`, once for each process.
        what: one line for people.
        labels: besides ``program``.
    """

    kind: str
    unit: str
    programs: str
    what: str
    labels: tuple[str, ...] = ()


METRICS: dict[str, Metric] = {
    "xjrelay_info": Metric("gauge", "always 1", ALL, "the program's version", ("version",)),
    "xjrelay_ready": Metric("gauge", "0 or 1", ALL, "whether it serves; /readyz says why not"),
    "xjrelay_healthy": Metric("gauge", "0 or 1", ALL, "whether nothing it needs is broken; /healthz says what is"),
    "xjrelay_links_open": Metric("gauge", "links", ALL, "connections open now"),
    "xjrelay_links_opened": Metric("counter", "links", ALL, "connections ever opened"),
    "xjrelay_links_closed": Metric("counter", "links", ALL, "connections closed, by reason", ("reason",)),
    "xjrelay_received_frames": Metric("counter", "frames", ALL, "frames heard"),
    "xjrelay_sent_frames": Metric("counter", "frames", ALL, "frames said"),
    "xjrelay_received_bytes": Metric("counter", "bytes", ALL, "bytes read"),
    "xjrelay_sent_bytes": Metric("counter", "bytes", ALL, "bytes written"),
    "xjrelay_bad_frames": Metric("counter", "frames", ALL, "frames that were not JSON objects in UTF-8"),
    "xjrelay_refused": Metric("counter", "answers", ALL, "answers that were errors, by code", ("code",)),
    "xjrelay_limit_reached": Metric("counter", "times", ALL, "how often a limit was reached, by its option", ("option",)),
    "xjrelay_queue_length": Metric("gauge", "entries or bytes", ALL, "what waits in each queue; where there are many of a kind, in the longest", ("queue",)),
    "xjrelay_queue_limit": Metric("gauge", "entries or bytes", ALL, "what that queue holds at most", ("queue",)),
    "xjrelay_handshake_seconds": Metric("histogram", "seconds", ALL, "from a connection to the end of its handshake: a login, a proof, a hello"),
    "xjrelay_request_seconds": Metric("histogram", "seconds", ALL, "requests that had to wait for a store, a thread or another program"),
    "xjrelay_commit_seconds": Metric("histogram", "seconds", "tracker manager peer", "transactions of the database, with the disk's sync"),
    "xjrelay_commit_failures": Metric("counter", "transactions", "tracker manager peer", "transactions of which nothing was committed"),
    "xjrelay_components_live": Metric("gauge", "components", "tracker", "managers and relays it lists", ("type",)),
    "xjrelay_watchers": Metric("gauge", "links", "tracker", "links that are told of each change of the list"),
    "xjrelay_users_logged_in": Metric("gauge", "accounts", "manager", "accounts with a login"),
    "xjrelay_users_online": Metric("gauge", "accounts", "manager", "accounts whose presence says so"),
    "xjrelay_relays_live": Metric("gauge", "relays", "manager", "relays it assigns users to, or that drain"),
    "xjrelay_relays_given_up": Metric("gauge", "relays", "manager", "relays that stayed away longer than --lease"),
    "xjrelay_relay_users": Metric("gauge", "users", "manager", "users on each relay, and on their way there", ("relay",)),
    "xjrelay_sessions": Metric("gauge", "sessions", "relay", "sessions of users here"),
    "xjrelay_sessions_waiting": Metric("gauge", "sessions", "relay", "of these, without a connection: to be resumed or lost"),
    "xjrelay_users_elsewhere": Metric("gauge", "sessions", "relay", "sessions at other relays that it knows of"),
    "xjrelay_mesh_links": Metric("gauge", "relays", "relay", "relays it is linked with"),
    "xjrelay_mesh_missing": Metric("gauge", "relays", "relay", "relays that trackers list and it is not linked with"),
    "xjrelay_manager_linked": Metric("gauge", "0 or 1", "relay", "whether the manager is there"),
    "xjrelay_draining": Metric("gauge", "0 or 1", "relay", "whether it sends its users elsewhere"),
    "xjrelay_trackers_listing": Metric("gauge", "trackers", "manager relay", "trackers that list it now"),
    "xjrelay_outcomes": Metric("counter", "messages", "manager relay peer", "what became of messages, as their senders were told; code where one failed", ("status", "code")),
    "xjrelay_delivery_seconds": Metric("histogram", "seconds", "relay", "from a message's arrival to its outcome, sampled: here, by another relay, or by the mailbox", ("way",)),
    "xjrelay_mail_handed_out": Metric("counter", "messages", "manager", "messages out of mailboxes, handed to relays"),
    "xjrelay_mail_taken": Metric("counter", "messages", "manager", "messages that left a mailbox because they were acknowledged"),
    "xjrelay_peers_linked": Metric("gauge", "peers", "peer", "peers it is linked with"),
    "xjrelay_peers_known": Metric("gauge", "peers", "peer", "peers it remembers"),
    "xjrelay_texts_heard": Metric("counter", "messages", "peer", "texts that came, each once"),
    "xjrelay_reactor_delay_seconds": Metric("histogram", "seconds", PROCESS, "how late a timer was that should have run: the process's work, and the machine's"),
}
"""Every metric. A counter gets Prometheus's ``_total`` after the name, a histogram its ``_bucket``, ``_sum``
and ``_count``. Each has the label ``program``: ``tracker``, ``manager``, ``relay1``..."""


def table() -> str:
    """:data:`METRICS` as the page shows it."""
    lines = ["| metric | type | unit | labels | programs | what it is |", "|---|---|---|---|---|---|"]
    for name, metric in METRICS.items():
        shown = f"{name}_total" if metric.kind == "counter" else name
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        programs = {ALL: "all", PROCESS: "each process"}.get(metric.programs)
        programs = programs or ", ".join(metric.programs.split())
        lines.append(f"| `{shown}` | {metric.kind} | {metric.unit} | {labels} | {programs} | {metric.what} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
