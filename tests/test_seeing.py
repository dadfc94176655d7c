# SPDX-License-Identifier: MIT
"""Holds metrics, their page, the dashboard and the alerts to what the programs really say.

``python -m tests.test_seeing`` writes the table into the page.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from xjrelay.client.errors import ClientError
from xjrelay.client.tx import Client
from xjrelay.net.metric_table import METRICS, PROCESS, table
from xjrelay.net.metrics import Metrics, Part, samples_of
from xjrelay.net.trace import EVENTS
from xjrelay.sandbox.peers import PORT, PeerSandbox
from xjrelay.sandbox.suite import Sandbox
from xjrelay.servers.admin import Pulse
from xjrelay.servers.jsonlog import NEVER
from xjrelay.servers.option_table import TABLE

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "metrics.md"
TRACING = ROOT / "docs" / "tracing.md"
DASHBOARD = ROOT / "deploy" / "grafana" / "xjrelay.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
SCRAPE = ROOT / "deploy" / "prometheus" / "prometheus.yml"
START, END = "<!-- metrics -->\n", "<!-- /metrics -->"

SOMETIMES = {"xjrelay_links_closed", "xjrelay_limit_reached", "xjrelay_refused", "xjrelay_outcomes"}
"""Said from the first time on that they count something."""

_NAME = re.compile(r"\b((?:xjrelay|process)_[a-z_]+)")


def promtool(*words: str | Path, stdin: str = "") -> str:
    """Run it, and see that it finds nothing wrong; what it says."""
    found = shutil.which("promtool")
    if found is None:
        raise SkipTest("promtool is not installed: apt-get install prometheus")
    run = subprocess.run(
        [found, *map(str, words)], input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


async def take_all(client: Client) -> None:
    """An application that takes whatever comes."""
    async for _ in client.messages():
        pass


@cache
def suite() -> tuple[list[Part], Pulse]:
    """Every program, with something to count behind each."""
    sandbox = Sandbox(seed=3, relays=2)
    sandbox.start()
    sandbox.advance(5)
    esa, fajar = sandbox.user("esa"), sandbox.user("fajar")
    for one in (esa, fajar):
        Deferred.fromCoroutine(take_all(one)).addErrback(lambda failure: failure.trap(ClientError))
    for name in sandbox.programs:
        sandbox.part(name).pulse()
    for one, other in ((esa, fajar), (fajar, esa)):
        sandbox.run(one.send(other.username, "halo"))
    sandbox.run(fajar.close())
    sandbox.advance(70)
    sandbox.run(esa.send("fajar", "where are you?"))
    mesh = PeerSandbox(seed=4)
    alice, bob = mesh.start("Alice"), mesh.start("Bob")
    mesh.run(bob.connect(mesh.address("Alice"), PORT))
    mesh.run(bob.send(alice.own_id, "halo"))
    mesh.until(lambda: mesh.texts("Alice") == ["halo"])
    mesh.advance(1)
    parts = [*(sandbox.part(name) for name in sandbox.programs), mesh.part("Bob")]
    return parts, Pulse(Clock(), parts)


def said() -> str:
    """What a scrape of all of them gives."""
    parts, pulse = suite()
    return Metrics(parts, ("node", pulse.samples)).text().decode()


def series(text: str) -> set[str]:
    """The names that may stand in a query."""
    return {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard and of the alerts, and where it stands."""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for name, expr in re.findall(
        r"- alert: (\w+)\n +expr: (\|\n(?: {10}.*\n)+|.*)", ALERTS.read_text("utf-8")
    ):
        yield name, expr.removeprefix("|")


class MetricsTests(SynchronousTestCase):
    """The table against what the programs say."""

    def test_each_program_says_what_the_table_has_for_it(self) -> None:
        parts, _ = suite()
        for part in parts:
            kind = part.program.rstrip("0123456789")
            wanted = {name for name, metric in METRICS.items() if kind in metric.programs.split()}
            shown = {sample.name for sample in samples_of(part)}
            self.assertEqual(shown - wanted, set(), part.program)
            self.assertEqual(wanted - shown - SOMETIMES, set(), part.program)
        process = {name for name, metric in METRICS.items() if metric.programs == PROCESS}
        self.assertEqual(process, {sample.name for sample in Pulse(Clock(), []).samples()})

    def test_each_has_its_type_its_help_and_its_labels(self) -> None:
        parts, pulse = suite()
        families = {one.name: one for one in Metrics(parts, ("node", pulse.samples)).collect()}
        self.assertEqual(set(METRICS) - set(families) - SOMETIMES, set())
        for name, family in families.items():
            metric = METRICS[name]
            self.assertEqual((family.type, family.documentation), (metric.kind, metric.what))
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            self.assertEqual(labels, {"program", *metric.labels}, name)

    def test_what_happens_is_counted(self) -> None:
        text = set(said().splitlines())
        for line in (
            'xjrelay_outcomes_total{code="",program="relay1",status="delivered"} 2.0',
            'xjrelay_delivery_seconds_count{program="relay1",way="mesh"} 1.0',
            'xjrelay_delivery_seconds_count{program="relay1",way="mailbox"} 1.0',
            'xjrelay_outcomes_total{code="",program="manager",status="stored"} 1.0',
            'xjrelay_outcomes_total{code="",program="peer",status="delivered"} 1.0',
            'xjrelay_users_online{program="manager"} 1.0',
            'xjrelay_mesh_missing{program="relay1"} 0.0',
            'xjrelay_relay_users{program="manager",relay="relay1"} 1.0',
            'xjrelay_components_live{program="tracker",type="relay"} 2.0',
            'xjrelay_ready{program="relay2"} 1.0',
        ):
            self.assertTrue(line in text, line)

    def test_names_follow_the_conventions(self) -> None:
        self.assertEqual(promtool("check", "metrics", stdin=said()), "")
        for name, metric in METRICS.items():
            self.assertEqual(metric.kind == "histogram", name.endswith("_seconds"), name)


class QueryTests(SynchronousTestCase):
    """The dashboard and the alerts."""

    def test_every_metric_that_is_asked_for_is_there(self) -> None:
        there = series(said()) | {"xjrelay_limit_reached_total", "xjrelay_refused_total"}
        there |= {"process_cpu_seconds_total", "process_open_fds"}
        asked = [(where, name) for where, expr in queries() for name in _NAME.findall(expr)]
        self.assertGreater(len(asked), 50)
        self.assertEqual([one for one in asked if one[1] not in there], [])

    def test_the_dashboard_shows_every_metric(self) -> None:
        text = DASHBOARD.read_text("utf-8")
        unseen = [name for name in METRICS if not re.search(rf"\b{name}(_total|_bucket)?\{{", text)]
        self.assertEqual(unseen, [])

    def test_the_dashboard_is_what_grafana_imports(self) -> None:
        dashboard = json.loads(DASHBOARD.read_text("utf-8"))
        self.assertGreaterEqual(dashboard["schemaVersion"], 36)
        for key in ("title", "uid", "templating", "time", "panels", "tags", "refresh"):
            self.assertIn(key, dashboard)
        variables = {one["name"] for one in dashboard["templating"]["list"]}
        ids: set[int] = set()
        places: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            self.assertNotIn(panel["id"], ids)
            ids.add(panel["id"])
            where = panel["gridPos"]
            self.assertLessEqual(where["x"] + where["w"], 24)
            across, down = range(where["w"]), range(where["h"])
            squares = {(where["x"] + dx, where["y"] + dy) for dx in across for dy in down}
            self.assertEqual(places & squares, set(), f"{panel['title']} lies on another")
            places |= squares
            if panel["type"] != "row":
                self.check_targets(panel, variables)

    def check_targets(self, panel: dict[str, Any], variables: set[str]) -> None:
        refs = [target["refId"] for target in panel["targets"]]
        self.assertEqual(len(set(refs)), len(refs))
        for target in panel["targets"]:
            self.assertEqual(target["datasource"], {"type": "prometheus", "uid": "${datasource}"})
            used = set(re.findall(r"\$\{?(\w+)", target["expr"])) - {"__rate_interval"}
            self.assertEqual(used - variables, set())

    def test_prometheus_understands_every_query(self) -> None:
        rules = "groups:\n- name: dashboard\n  rules:\n"
        for number, (_where, expr) in enumerate(queries()):
            plain = re.sub(r"\$__rate_interval", "5m", expr)
            rules += f"  - record: a:b{number}\n    expr: {json.dumps(' '.join(plain.split()))}\n"
        path = Path(self.mktemp())
        path.write_text(rules)
        self.assertIn("SUCCESS", promtool("check", "rules", path))

    def test_prometheus_takes_the_rules_and_the_example(self) -> None:
        self.assertIn("SUCCESS", promtool("check", "rules", ALERTS))
        self.assertIn("is valid", promtool("check", "config", SCRAPE))

    def test_every_alert_comes_when_it_should_and_not_before(self) -> None:
        path = Path(self.mktemp())
        path.write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": [*rule_tests()]}))  # JSON is YAML
        self.assertIn("SUCCESS", promtool("test", "rules", path))


AT = '{job="xjrelay",instance="a:1",program="relay1"'
FIRES = {
    "XjProgramDown": {'up{job="xjrelay",instance="a:1"}': "0x20"},
    "XjNotReady": {f"xjrelay_ready{AT}}}": "0x20"},
    "XjBroken": {f"xjrelay_healthy{AT}}}": "0x20"},
    "XjManagerAway": {f"xjrelay_manager_linked{AT}}}": "0x20"},
    "XjMeshTorn": {f"xjrelay_mesh_missing{AT}}}": "1x20"},
    "XjRelayGivenUp": {f"xjrelay_relays_given_up{AT}}}": "1x20"},
    "XjQueueNearlyFull": {
        f'xjrelay_queue_length{AT},queue="links"}}': "90x20",
        f'xjrelay_queue_limit{AT},queue="links"}}': "100x20",
    },
    "XjLimitReached": {f'xjrelay_limit_reached_total{AT},option="max-links"}}': "0+120x20"},
    "XjMessagesFail": {
        f'xjrelay_outcomes_total{AT},status="failed",code="503"}}': "0+10x20",
        f'xjrelay_outcomes_total{AT},status="delivered",code=""}}': "0+90x20",
    },
    "XjDeliverySlow": {
        f'xjrelay_delivery_seconds_bucket{AT},way="mesh",le="2.5"}}': "0x20",
        f'xjrelay_delivery_seconds_bucket{AT},way="mesh",le="10.0"}}': "0+10x20",
        f'xjrelay_delivery_seconds_bucket{AT},way="mesh",le="+Inf"}}': "0+10x20",
    },
    "XjDiskSlow": {
        f'xjrelay_commit_seconds_bucket{AT},le="0.5"}}': "0x20",
        f'xjrelay_commit_seconds_bucket{AT},le="1.0"}}': "0+10x20",
        f'xjrelay_commit_seconds_bucket{AT},le="+Inf"}}': "0+10x20",
    },
    "XjProcessBusy": {
        f'xjrelay_reactor_delay_seconds_bucket{AT},le="0.25"}}': "0x20",
        f'xjrelay_reactor_delay_seconds_bucket{AT},le="0.5"}}': "0+60x20",
        f'xjrelay_reactor_delay_seconds_bucket{AT},le="+Inf"}}': "0+60x20",
    },
    "XjFilesNearlyOut": {
        'process_open_fds{job="xjrelay",instance="a:1"}': "900x20",
        'process_max_fds{job="xjrelay",instance="a:1"}': "1000x20",
    },
}
"""Of each alert, values a minute that bring it."""


def rule_tests() -> Iterator[dict[str, Any]]:
    """One a rule: it fires after a quarter of an hour, and not at the beginning."""
    for name, values in FIRES.items():
        yield {
            "interval": "1m",
            "input_series": [{"series": one, "values": shown} for one, shown in values.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                    "eval_time": at,
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
                for at, fires in (("0m", False), ("18m", True))
            ],
        }


def log_calls() -> Iterator[ast.Call]:
    """Every line of code that logs."""
    for path in (ROOT / "xjrelay").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_log."):
                yield node


class PageTests(SynchronousTestCase):
    """``docs/metrics.md``."""

    def test_the_table_is_the_code_s(self) -> None:
        shown = PAGE.read_text("utf-8").split(START)[1].split(END)[0]
        self.assertEqual(shown, table(), "write it again with: python -m tests.test_seeing")

    def test_every_queue_is_there(self) -> None:
        shown = PAGE.read_text("utf-8").partition("<!-- queues -->\n")[2].partition("<!-- /queues -->")[0]
        rows = {
            row[1]: set(
                ("tracker manager relay peer" if row[2] == "all" else row[2]).replace(",", "").split()
            )
            for row in re.finditer(r"^\| `([^`]+)` \| ([^|]+) \|", shown, re.MULTILINE)
        }
        found: dict[str, set[str]] = {}
        parts, _ = suite()
        for part in parts:
            for sample in samples_of(part):
                if sample.name == "xjrelay_queue_length":
                    found.setdefault(sample.labels[0], set()).add(part.program.rstrip("0123456789"))
        # Its threads belong to the process, and the sandbox has none.
        found["passwords to derive keys of"] = {"manager"}
        self.assertEqual(rows, found)

    def test_every_option_that_it_says_is_counted_is_one_and_no_other_is(self) -> None:
        text = PAGE.read_text("utf-8").rpartition("\n\n")[2]
        named = set(re.findall(r"`--([\w-]+)`", text))
        self.assertEqual(named - {option.name for option in TABLE}, set())
        counted = set()
        for path in (ROOT / "xjrelay").rglob("*.py"):
            source = path.read_text("utf-8")
            counted |= set(re.findall(r'limited\["([\w-]+)"\]', source))
            counted |= set(re.findall(r'_refuse\(CloseReason\.\w+, "([\w-]+)"\)', source))
        self.assertEqual(named - {"max-bytes", "max-queue-bytes"}, counted)

    def test_every_metric_that_a_page_names_is_one(self) -> None:
        known = {f"{name}{end}" for name in METRICS for end in ("", "_total", "_bucket", "_sum", "_count")}
        for path in (ROOT / "docs").rglob("*.md"):
            named = set(re.findall(r"`(xjrelay_[a-z_]+)`", path.read_text("utf-8")))
            self.assertEqual(named - known, set(), path.name)

    def test_every_event_of_a_message_is_on_its_page(self) -> None:
        shown = dict(re.findall(r"^\| `([a-z ]+)` \| ([^|]+) \|$", TRACING.read_text("utf-8"), re.MULTILINE))
        self.assertEqual({name: shown.get(name) for name in EVENTS}, EVENTS)

    def test_every_event_of_the_log_that_is_named_is_logged(self) -> None:
        page = TRACING.read_text("utf-8").partition("| event | when |\n|---|---|\n")[2].partition("\n\n")[0]
        named = {name for row in page.splitlines() for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
        logged = {
            str(one.value.value)
            for call in log_calls()
            for one in call.keywords
            if one.arg == "event" and isinstance(one.value, ast.Constant)
        }
        self.assertEqual(named, logged)

    def test_nothing_is_logged_in_a_field_that_is_nobody_s_to_read(self) -> None:
        for call in log_calls():
            fields = {one.arg for one in call.keywords if "repr(" not in ast.unparse(one.value)}
            self.assertEqual(fields & NEVER, set(), ast.unparse(call))

    def test_every_alert_has_its_row(self) -> None:
        shown = re.findall(r"^\| `(Xj\w+)` \| (\w+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
        rules = re.findall(
            r"- alert: (\w+)\n(?:(?!- alert).*\n)*? +severity: (\w+)", ALERTS.read_text("utf-8")
        )
        self.assertEqual(shown, rules)
        self.assertEqual([name for name, _ in rules], list(FIRES))


def _write() -> None:
    before, rest = PAGE.read_text("utf-8").split(START)
    PAGE.write_text(before + START + table() + END + rest.split(END)[1], "utf-8")


if __name__ == "__main__":
    _write()
