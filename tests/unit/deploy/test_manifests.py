"""Kubernetes manifests: valid, confined, watched, and walled off, pod by pod."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kit.process import DRAIN_S
from tests.unit.deploy.repository import (
    ROOT,
    Document,
    address_variables_of,
    documented_ports,
    load_all,
    processes,
    settings_of,
    variables_of,
)

K8S = ROOT / "deploy" / "k8s"
BASE = K8S / "base"
FILES = sorted(path for path in K8S.rglob("*.yaml") if path.name != "kustomization.yaml")
OBJECTS = [document for path in FILES for document in load_all(path)]
NATIVE = [path for path in FILES if "keda.sh" not in path.read_text()]
PROCESSES = processes()


def of(kind: str, name: str) -> Document:
    """The one object of a kind and name."""
    (found,) = [o for o in OBJECTS if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def pod(name: str) -> Document:
    """The pod of a process."""
    spec: Document = of("Deployment", name)["spec"]["template"]["spec"]
    return spec


def container(name: str) -> Document:
    """The one container of a process's pod."""
    (only,) = pod(name)["containers"]
    assert isinstance(only, dict)
    return only


def settings_env() -> dict[str, str]:
    """The ConfigMap's content."""
    lines = (BASE / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line)


def validate(path: Path) -> None:
    """Hold a file against the API's own schema, misspelt fields included."""
    program = Path(sys.executable).parent / "kubernetes-validate"
    done = subprocess.run(
        [program, "--strict", "--quiet", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", NATIVE, ids=lambda p: str(p.relative_to(K8S)))
def test_schema(path: Path) -> None:
    """The file is what the Kubernetes API accepts, to the last field."""
    validate(path)


def test_schema_fires(tmp_path: Path) -> None:
    """A misspelt field is found."""
    broken = (BASE / "devices.yaml").read_text().replace("readOnlyRootFilesystem", "readOnlyRoot")
    (tmp_path / "devices.yaml").write_text(broken)
    with pytest.raises(AssertionError, match="readOnlyRoot"):
        validate(tmp_path / "devices.yaml")


@pytest.mark.parametrize("options", [[], ["autoscaling"], ["autoscaling", "pipeline-scaling"]])
def test_kustomize_builds(options: list[str], tmp_path: Path) -> None:
    """Base and options fit together, and what comes out is valid."""
    command = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    if not shutil.which(command[0]):
        pytest.skip("neither kustomize nor kubectl is installed")
    shutil.copytree(K8S, tmp_path / "k8s")
    overlay = {
        "resources": ["k8s/base"],
        "components": [f"k8s/components/{option}" for option in options],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    built = subprocess.run([*command, tmp_path], capture_output=True, text=True, check=True).stdout
    objects = [o for o in yaml.safe_load_all(built) if o["kind"] != "ScaledObject"]
    (tmp_path / "built.yaml").write_text(yaml.safe_dump_all(objects))
    validate(tmp_path / "built.yaml")
    assert {o["metadata"].get("namespace", "meterfleet") for o in objects} == {"meterfleet"}
    counts = {o["metadata"]["name"]: "replicas" in o["spec"] for o in objects
              if o["kind"] == "Deployment"}  # fmt: skip
    assert counts["ingest"] is ("autoscaling" not in options)
    assert counts["pipeline"] is ("pipeline-scaling" not in options)


def test_each_process_has_a_deployment() -> None:
    """Whatever can be served is deployed, and nothing else."""
    names = {o["metadata"]["name"] for o in OBJECTS if o["kind"] == "Deployment"}
    assert names == set(PROCESSES)


def test_every_file_is_listed() -> None:
    """No manifest lies about unused, and no kustomization names one that is not there."""
    for folder in {path.parent for path in FILES}:
        listed = load_all(folder / "kustomization.yaml")[0]["resources"]
        there = [p.name for p in FILES if p.parent == folder]
        assert sorted(listed) == sorted(there)


@pytest.mark.parametrize("name", PROCESSES)
def test_pod_is_confined(name: str) -> None:
    """Not root, no way to become it, nothing to write on but /tmp, no capability, no token."""
    context = pod(name)["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] >= 10_000
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}]
    assert container(name)["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert pod(name)["serviceAccountName"] == name
    assert pod(name)["automountServiceAccountToken"] is False
    assert of("ServiceAccount", name)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", PROCESSES)
def test_pod_is_bounded(name: str) -> None:
    """Requests and limits of processor and memory are stated, and so is the disk."""
    resources = container(name)["resources"]
    for part in ("requests", "limits"):
        assert set(resources[part]) == {"cpu", "memory"}


@pytest.mark.parametrize("name", PROCESSES)
def test_pod_is_watched(name: str) -> None:
    """Start and traffic wait for readiness; only a process that hangs is restarted."""
    only = container(name)
    for probe in ("startupProbe", "readinessProbe"):
        assert only[probe]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert only["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}


@pytest.mark.parametrize("name", PROCESSES)
def test_pod_has_time_to_drain(name: str) -> None:
    """The pause before SIGTERM and the code's own draining fit into the grace period."""
    pause_s = container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(name)["terminationGracePeriodSeconds"] == 30
    assert pause_s + DRAIN_S < 30


@pytest.mark.parametrize("name", PROCESSES)
def test_pods_are_spread_and_kept(name: str) -> None:
    """Pods lie on different nodes and zones, one at a time is evicted, none lost in a roll."""
    deployment = of("Deployment", name)["spec"]
    labels = deployment["selector"]["matchLabels"]
    assert labels.items() <= deployment["template"]["metadata"]["labels"].items()
    constraints = pod(name)["topologySpreadConstraints"]
    assert {c["topologyKey"] for c in constraints} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }
    assert all(c["labelSelector"]["matchLabels"] == labels for c in constraints)
    budget = of("PodDisruptionBudget", name)["spec"]
    assert (budget["maxUnavailable"], budget["selector"]["matchLabels"]) == (1, labels)
    assert deployment["replicas"] >= 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


@pytest.mark.parametrize("name", PROCESSES)
def test_ports(name: str) -> None:
    """Containers, Services and the scraping annotation have the ports of docs/architecture.md."""
    http, grpc = documented_ports()[name]
    wanted = {"http": http} | ({"grpc": grpc} if grpc else {})
    assert {p["name"]: p["containerPort"] for p in container(name)["ports"]} == wanted
    annotations = of("Deployment", name)["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(http)
    if name != "pipeline":
        service = of("Service", name)["spec"]
        assert {p["name"]: p["port"] for p in service["ports"]} == wanted
        assert service["selector"] == of("Deployment", name)["spec"]["selector"]["matchLabels"]


@pytest.mark.parametrize("name", PROCESSES)
def test_settings_exist(name: str) -> None:
    """Each pod runs its process, with variables it reads; secrets are only referred to."""
    assert container(name)["args"] == ["serve", name]
    for entry in container(name)["env"]:
        assert entry["name"] in variables_of(name)
        assert set(entry["valueFrom"]["secretKeyRef"]) == {"name", "key"}
    refs = [e["configMapRef"]["name"] for e in container(name)["envFrom"]]
    generators = load_all(BASE / "kustomization.yaml")[0]["configMapGenerator"]
    assert refs == [generator["name"] for generator in generators]


def test_no_secret_is_in_the_repository() -> None:
    """There is no Secret object, and the ConfigMap holds no secret setting."""
    assert not [o for o in OBJECTS if o["kind"] == "Secret"]
    secret = {"DATABASE_URL", "INTERNAL_TOKEN", "PLATFORM_KEY", "SESSION_SECRET", "AUTO_LOGIN_KEY"}
    assert not {f"METERFLEET_{name}" for name in secret} & set(settings_env())
    known = set().union(*(variables_of(name) for name in PROCESSES))
    assert set(settings_env()) <= known


@pytest.mark.parametrize("name", PROCESSES)
def test_settings_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process accepts what the pod gives it."""
    for variable, value in settings_env().items():
        monkeypatch.setenv(variable, value)
    for entry in container(name)["env"]:
        monkeypatch.setenv(entry["name"], "x" * 40)
    settings_of(name)()


def _allows(policy: Document, way: str, peer: str, port: int) -> bool:
    """Whether a policy lets traffic to or from the pods of `peer` through on a port."""
    side = {"ingress": "from", "egress": "to"}[way]
    return any(
        port in [p["port"] for p in rule["ports"]]
        and any(
            entry.get("podSelector", {}).get("matchLabels") == {"app.kubernetes.io/name": peer}
            for entry in rule.get(side, [])
        )
        for rule in policy.get(way, [])
    )


def test_nothing_passes_unless_allowed() -> None:
    """The first policy closes everything, and each process has one of its own."""
    deny: dict[str, Any] = of("NetworkPolicy", "deny-all")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name in PROCESSES:
        spec = of("NetworkPolicy", name)["spec"]
        assert spec["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert all("from" in rule and "ports" in rule for rule in spec["ingress"])
        assert all("ports" in rule for rule in spec["egress"])


@pytest.mark.parametrize("name", PROCESSES)
def test_services_reach_whom_they_call(name: str) -> None:
    """Each address a process is given leads to a Service, and both policies let it through."""
    asks_for_keys = name in {"ingest", "alerts", "billing"}
    for variable, default in address_variables_of(name).items():
        if variable == "METERFLEET_IDENTITY_TARGET" and not asks_for_keys:
            continue
        assert variable in settings_env(), f"{variable} would be {default} in a pod"
        host, port = settings_env()[variable].removeprefix("http://").split(":")
        assert int(port) in documented_ports()[host]
        assert _allows(of("NetworkPolicy", name)["spec"], "egress", host, int(port))
        assert _allows(of("NetworkPolicy", host)["spec"], "ingress", name, int(port))


def test_pipeline_scales_by_what_waits() -> None:
    """KEDA's object (no schema at hand): bounds, no scaling to zero, slow down, our own metric."""
    scaled = of("ScaledObject", "pipeline")
    assert scaled["apiVersion"] == "keda.sh/v1alpha1"
    spec = scaled["spec"]
    assert set(spec) == {
        "scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval",
        "cooldownPeriod", "fallback", "advanced", "triggers",
    }  # fmt: skip
    assert spec["scaleTargetRef"] == {"name": "pipeline"}
    assert spec["minReplicaCount"] >= 1
    assert spec["maxReplicaCount"] <= int(settings_env()["METERFLEET_LOG_PARTITIONS"])
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] >= 900
    (trigger,) = spec["triggers"]
    assert trigger["type"] == "prometheus"
    assert float(trigger["metadata"]["threshold"]) > float(
        trigger["metadata"]["activationThreshold"]
    )
