"""Prometheus and Grafana: rules that fire and clear, over metrics that exist."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.tidy import sources
from tests.unit.deploy.repository import (
    ROOT,
    declared_metrics,
    documented_ports,
    load,
    processes,
)

PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
RULES: list[dict[str, Any]] = [
    rule for group in load("deploy/prometheus/rules.yaml")["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards/meterfleet.json").read_text())
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
KEDA = load("deploy/k8s/components/pipeline-scaling/pipeline.yaml")
QUERIES = {
    **{f"rule {rule.get('alert', rule.get('record'))}": rule["expr"] for rule in RULES},
    **{
        f"panel {title} {target['refId']}": target["expr"]
        for title, panel in PANELS.items()
        for target in panel["targets"]
    },
    "scaling": KEDA["spec"]["triggers"][0]["metadata"]["query"],
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_queries_name_existing_series(query: str) -> None:
    """Each series and label a query names is one our code makes, or a recorded one."""
    for name in re.findall(r"\bmeterfleet_\w+(?![\w:])", re.sub(r"\w+:\w+:\w+", "", query)):
        assert name in declared_metrics()
    for name in re.findall(r"\w+:\w+:\w+", query):
        assert name in RECORDED
    for name, matchers in re.findall(r"\b(meterfleet_\w+)\{([^}]*)\}", query):
        labels = set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\"", matchers))
        assert labels <= declared_metrics()[name]


def test_grouping_labels_exist() -> None:
    """What a query groups by is a label of a series in it; else it would sum up everything."""
    for query in QUERIES.values():
        names = re.findall(r"\bmeterfleet_\w+", query)
        labels = set().union(*(declared_metrics().get(name, set()) for name in names))
        for grouped in re.findall(r"\bby \(([^)]*)\)", query):
            assert {label.strip() for label in grouped.split(",")} <= labels, query


@pytest.mark.parametrize("name", ALERTS)
def test_alerts_say_what_to_do(name: str) -> None:
    """An alert has a severity, a sentence, and a paragraph in the manual for who is woken."""
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"(?m)^#+ (.+)$", (ROOT / page).read_text())
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ALERTS)
def test_alerts_are_shown_to_fire_and_clear(name: str) -> None:
    """The rules' own tests have an instant at which it fires, and one at which it does not."""
    tests = load("deploy/prometheus/rules_test.yaml")["tests"]
    cases = [c for test in tests for c in test["alert_rule_test"] if c["alertname"] == name]
    assert any(case["exp_alerts"] for case in cases)
    assert any(not case["exp_alerts"] for case in cases)


@pytest.mark.parametrize(
    "arguments",
    [
        ["test", "rules", "rules_test.yaml"],
        ["check", "rules", "rules.yaml"],
        ["check", "config", "--syntax-only", "prometheus.yaml"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_promtool(arguments: list[str]) -> None:
    """Prometheus itself reads the rules, and sees each alert fire and clear."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    done = subprocess.run(
        [promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_process_is_scraped() -> None:
    """Each process is a target on its documented port."""
    (job,) = load("deploy/prometheus/prometheus.yaml")["scrape_configs"]
    targets = set(job["static_configs"][0]["targets"])
    assert targets == {f"{name}:{documented_ports()[name][0]}" for name in processes()}
    assert job["job_name"] == "meterfleet"


def test_dashboard_is_provisioned() -> None:
    """Grafana finds the data source by the id the panels name, and the dashboard in its folder."""
    (source,) = load("deploy/grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    (provider,) = load("deploy/grafana/provisioning/dashboards/meterfleet.yaml")["providers"]
    compose = load("docker-compose.yml")["services"]["grafana"]["volumes"]
    mounts = dict(volume.split(":")[:2] for volume in compose)
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert {panel["datasource"]["uid"] for panel in PANELS.values()} == {source["uid"]}


def test_panels_do_not_overlap() -> None:
    """Each panel has a description, an id and a place of its own in the grid's 24 columns."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}  # fmt: skip
        assert not cells & taken
        taken |= cells
    assert all(panel["description"] for panel in PANELS.values())


def test_declared_metrics_are_set() -> None:
    """Each metric that is made is also fed: a gauge nobody sets has no series, and wakes nobody."""
    code = [s for s in sources.python() if s.under("services", "loadtest")]
    fed = {
        node.value.id
        for source in code
        for node in source.nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.attr in {"labels", "inc", "set", "observe", "set_function", "time"}
    }
    made = {
        (node.targets[0].id, source.path)
        for source in code
        for node in source.nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "").lower() in {"counter", "gauge", "histogram"}
        # collections.Counter has no name.
        and isinstance(next(iter(node.value.args), None), ast.Constant)
    }
    assert made
    assert {name for name in made if name[0] not in fed} == set()
