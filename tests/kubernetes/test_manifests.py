"""The manifests are what Kubernetes takes, agree with each other, and lock the server in."""

import copy
import shutil
import subprocess
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from server.run import GRACE_SECONDS, SETTLE_SECONDS
from tests.kubernetes.kustomize import Manifest, render
from tests.kubernetes.tools import skip

ROOT = Path(__file__).parents[2] / "kubernetes"
SERVERS = ("base", "autoscaling", "example")
FOLDERS = (*SERVERS, "monitoring")
VERSIONS = ("1.31", "1.37")
"""The oldest that the manifests are for (docs/kubernetes.md), and the newest whose schemas are at hand."""

# The operator's own schemas come with its releases, not with a package: this is the part of them in use here.
TEXT = {"type": "string"}
LABELS = {"type": "object", "additionalProperties": TEXT}
DURATION = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}


def strict(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


ENDPOINT = strict(["port"], port=TEXT, path=TEXT, interval=DURATION, scrapeTimeout=DURATION)
RULE = strict(
    ["expr"],
    alert=TEXT,
    record=TEXT,
    expr=TEXT,
    labels=LABELS,
    annotations=LABELS,
    **{"for": DURATION},
)
GROUP = strict(["name", "rules"], name=TEXT, interval=DURATION, rules={"type": "array", "items": RULE})
OPERATOR = {
    "ServiceMonitor": strict(
        ["selector", "endpoints"],
        selector=strict(["matchLabels"], matchLabels=LABELS),
        endpoints={"type": "array", "minItems": 1, "items": ENDPOINT},
    ),
    "PrometheusRule": strict(["groups"], groups={"type": "array", "items": GROUP}),
}


@cache
def manifests(folder: str) -> list[Manifest]:
    return render(ROOT / folder)


def one(folder: str, kind: str) -> Any:
    (found,) = [each for each in manifests(folder) if each["kind"] == kind]
    return found


def pod(folder: str) -> Any:
    return one(folder, "Deployment")["spec"]["template"]["spec"]


def validate(manifest: Manifest, version: str) -> None:
    """Raise where the API server of ``version`` would refuse ``manifest`` for its form."""
    if manifest["apiVersion"] == "monitoring.coreos.com/v1":
        jsonschema.validate(manifest["spec"], OPERATOR[manifest["kind"]])
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_given_a_kubectl_when_it_renders_then_the_tests_read_the_same(folder: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        skip("no kubectl here: the manifests were rendered by tests/kubernetes/kustomize.py alone")
    done = subprocess.run([kubectl, "kustomize", ROOT / folder], capture_output=True, text=True, check=True)
    theirs = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout)}
    ours = {(each["kind"], each["metadata"]["name"]): each for each in manifests(folder)}
    assert ours == theirs


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_given_a_folder_when_applied_then_its_form_is_the_apis(folder: str, version: str) -> None:
    for manifest in manifests(folder):
        validate(manifest, version)


def test_given_a_misspelt_field_when_validated_then_it_is_refused() -> None:
    deployment = copy.deepcopy(one("base", "Deployment"))
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(deployment, VERSIONS[-1])
    monitor = copy.deepcopy(one("example", "ServiceMonitor"))
    monitor["spec"]["endpoints"][0]["every"] = "15s"
    with pytest.raises(jsonschema.ValidationError):
        validate(monitor, VERSIONS[-1])


@pytest.mark.parametrize("folder", SERVERS)
def test_given_a_server_when_admitted_then_it_meets_pod_security_restricted(folder: str) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    spec = pod(folder)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert all(set(volume) <= {"name", "emptyDir"} for volume in spec["volumes"])
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert "hostPort" not in str(container["ports"])


@pytest.mark.parametrize("folder", SERVERS)
def test_given_a_server_when_it_runs_then_no_token_of_kubernetes_is_mounted(folder: str) -> None:
    assert pod(folder)["automountServiceAccountToken"] is False
    account = one(folder, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert account["metadata"]["name"] == pod(folder)["serviceAccountName"]


@pytest.mark.parametrize("folder", SERVERS)
def test_given_selectors_when_applied_then_all_of_them_meet_the_pods(folder: str) -> None:
    deployment = one(folder, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    selectors = [
        deployment["selector"]["matchLabels"],
        one(folder, "Service")["spec"]["selector"],
        one(folder, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(folder, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in pod(folder)["topologySpreadConstraints"]),
    ]
    assert all(selector and selector.items() <= labels for selector in selectors)


def test_given_the_example_when_applied_then_prometheus_finds_the_service_and_its_port() -> None:
    service, monitor = one("example", "Service"), one("example", "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {each["port"] for each in monitor["endpoints"]} <= {
        each["name"] for each in service["spec"]["ports"]
    }


@pytest.mark.parametrize("folder", SERVERS)
def test_given_port_names_when_resolved_then_the_container_has_them(folder: str) -> None:
    (container,) = pod(folder)["containers"]
    known = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = {container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "readiness", "liveness")}
    asked |= {port["targetPort"] for port in one(folder, "Service")["spec"]["ports"]}
    policy = one(folder, "NetworkPolicy")["spec"]["ingress"]
    asked |= {port["port"] for rule in policy for port in rule["ports"]}
    assert asked == {"http"}
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert str(known["http"]) == environment["MILLRACE_SERVER_PORT"]


@pytest.mark.parametrize("folder", SERVERS)
def test_given_a_pod_that_ends_when_the_server_drains_then_it_is_not_killed_before(folder: str) -> None:
    (container,) = pod(folder)["containers"]
    asleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = asleep + SETTLE_SECONDS + GRACE_SECONDS
    assert pod(folder)["terminationGracePeriodSeconds"] >= needed + 5


def test_given_the_base_when_it_calls_out_then_nothing_is_reached() -> None:
    policy = one("base", "NetworkPolicy")["spec"]
    assert policy["egress"] == []
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}


@pytest.mark.parametrize(
    ("address", "port", "reached"),
    [
        ("52.95.170.1", 443, True),  # S3
        ("2a05:d050::1", 443, True),
        ("169.254.170.23", 80, True),  # EKS Pod Identity
        ("fd00:ec2::23", 80, True),
        ("169.254.169.254", 80, False),  # the node's metadata, and with it the node's role
        ("169.254.169.254", 443, False),
        ("fd00:ec2::254", 80, False),
        ("fd00:ec2::254", 443, False),
        ("52.95.170.1", 80, False),
        ("52.95.170.1", 53, False),
    ],
)
def test_given_a_bundle_in_s3_when_it_calls_out_then_only_that_is_reached(
    address: str, port: int, reached: bool
) -> None:
    rules = one("example", "NetworkPolicy")["spec"]["egress"]
    assert reached is any(
        within(address, peer["ipBlock"])
        for rule in rules
        if port in {each["port"] for each in rule["ports"]}
        for peer in rule["to"]
        if "ipBlock" in peer
    )


def within(address: str, block: dict[str, Any]) -> bool:
    wanted = ip_address(address)
    excluded = any(wanted in ip_network(each) for each in block.get("except", []))
    return wanted in ip_network(block["cidr"]) and not excluded


@pytest.mark.parametrize("folder", ["autoscaling", "example"])
def test_given_an_autoscaler_when_applied_again_then_its_count_is_not_put_back(folder: str) -> None:
    deployment, scaler = one(folder, "Deployment"), one(folder, "HorizontalPodAutoscaler")["spec"]
    assert "replicas" not in deployment["spec"]
    target = scaler["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (deployment["kind"], deployment["metadata"]["name"])
    assert scaler["minReplicas"] > one(folder, "PodDisruptionBudget")["spec"]["maxUnavailable"]


def test_given_a_kustomization_with_more_than_is_known_when_rendered_then_it_is_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "kustomization.yaml").write_text("nameSuffix: -blue\n")
    with pytest.raises(ValueError, match="nameSuffix"):
        render(tmp_path)
