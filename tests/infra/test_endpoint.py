"""What a SageMaker endpoint stands on: image, role, log, alarms, and the API beside the function's."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import botocore.session
import pytest
from aws_cdk import assertions

from infra import code
from infra.bundling import UNUSED, function_code
from infra.constructs.image import BUILD_MINUTES, STEPS
from infra.stacks.endpoint import Endpoint, code_hash
from infra.stacks.foundation import Foundation
from infra.stacks.image import Image
from tests.infra.conftest import (
    FULL,
    ROOT,
    Synthesis,
    Synthesise,
    Template,
    context,
    only,
    properties,
    resources,
    settings_of,
    statements,
)

DOCKERFILE = (ROOT / "server" / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def endpoint(full: Synthesis) -> Template:
    return full.template("flights", "endpoint")


@pytest.fixture(scope="module")
def image(full: Synthesis) -> Template:
    return full.template("image")


def stack(synthesis: Synthesis) -> Endpoint:
    found = synthesis.environment.workloads["flights"].endpoint
    assert found is not None
    return found


# ---- only where it is asked for -----------------------------------------------------------------


def test_given_the_function_alone_then_there_is_neither_image_nor_endpoint(dev: Synthesis) -> None:
    assert not [name for name in dev.templates() if name.endswith(("-image", "-endpoint"))]
    assert dev.environment.workloads["flights"].endpoint is None


def test_given_the_laptop_then_no_image_is_built_and_the_template_says_so(tmp_path: Path) -> None:
    settings, app = settings_of("local"), cdk.App(context=context(), outdir=str(tmp_path))
    foundation = Foundation(app, "foundation", settings)
    stack = Image(app, "image", settings, foundation=foundation, function_code=function_code)
    template = dict(assertions.Template.from_stack(stack).to_json())
    assert {item["Type"] for item in template["Resources"].values()} == {"AWS::SSM::Parameter"}
    parameter = only(template, "AWS::SSM::Parameter")
    assert re.fullmatch(r"millrace-local-server:not-built-on-the-laptop-\w{16}", parameter["Value"])
    assert "No image is built on the laptop" in parameter["Description"]


# ---- the image ----------------------------------------------------------------------------------


def test_given_the_registry_then_tags_stay_and_images_are_scanned_encrypted_and_end(image: Template) -> None:
    repository = only(image, "AWS::ECR::Repository")
    assert repository["RepositoryName"] == "millrace-dev-server"
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["EncryptionConfiguration"]["EncryptionType"] == "KMS"
    (rule,) = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert rule["selection"]["countType"] == "imageCountMoreThan"


def test_given_the_build_then_it_runs_on_the_images_own_processor_and_ends_before_who_waits(
    image: Template,
) -> None:
    project, custom = only(image, "AWS::CodeBuild::Project"), only(image, "Custom::MillraceImage")
    assert project["Environment"]["Type"] == "ARM_CONTAINER"
    assert project["TimeoutInMinutes"] < BUILD_MINUTES
    waits = only(image, "AWS::Lambda::Function")["Timeout"]
    assert project["TimeoutInMinutes"] * 60 < waits < int(custom["ServiceTimeout"])


def test_given_the_build_then_every_variable_of_its_steps_is_set(image: Template) -> None:
    project = only(image, "AWS::CodeBuild::Project")
    assert json.loads(project["Source"]["BuildSpec"]) == STEPS
    given = {variable["Name"] for variable in project["Environment"]["EnvironmentVariables"]}
    used = set(re.findall(r"\$([A-Z]+)", json.dumps(STEPS)))
    assert used == given | {"TAG"}  # which the function names for each build


def test_given_the_image_then_it_is_known_by_its_digest_in_a_parameter(image: Template) -> None:
    parameter = only(image, "AWS::SSM::Parameter")
    assert parameter["Name"] == "/millrace/dev/image"
    (custom,) = resources(image, "Custom::MillraceImage")
    assert parameter["Value"]["Fn::Join"][1][-2:] == ["@", {"Fn::GetAtt": [custom, "Digest"]}]


def test_given_the_image_then_no_stack_imports_what_changes_with_it(full: Synthesis) -> None:
    """CloudFormation would refuse to build another one."""
    exported = full.template("image").get("Outputs", {})
    assert not [name for name, output in exported.items() if "Export" in output]


def test_given_the_tag_then_it_is_the_digest_of_the_source(full: Synthesis, image: Template) -> None:
    assert only(image, "Custom::MillraceImage")["Tag"] == code.server_code().name
    built = full.environment.image
    assert built is not None
    assert built.source_hash == code.server_code().name


# ---- the Dockerfile -----------------------------------------------------------------------------


def test_given_the_dockerfile_then_its_base_is_pinned_and_the_user_is_not_root() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases == ["${REGISTRY}/${BASE}"] * 2
    assert re.search(r"^ARG BASE=python:3\.13\.\d+-slim-\w+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)
    users = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert users
    assert all(int(number) > 0 for user in users for number in user)


def test_given_the_engine_then_the_image_leaves_out_of_it_what_the_functions_leave_out() -> None:
    step = r"^WORKDIR \S+/onnxruntime\nRUN rm -r ((?:[^\n\\]|\\\n)+)$"
    (left_out,) = re.findall(step, DOCKERFILE, re.MULTILINE)
    of_engine = {
        pattern.removeprefix("onnxruntime/") for pattern in UNUSED if pattern.startswith("onnxruntime/")
    }
    assert set(left_out.replace("\\\n", " ").split()) == of_engine


def test_given_sagemaker_then_the_image_starts_as_it_does_there() -> None:
    assert 'ENTRYPOINT ["python", "-m", "server"]\nCMD ["serve"]' in DOCKERFILE


def test_given_what_the_dockerfile_copies_then_the_gathered_folder_has_it() -> None:
    gathered = code.server_code()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    assert copied
    assert [path for path in copied if not (gathered / path).exists()] == []
    assert (gathered / "server" / "Dockerfile").read_text() == DOCKERFILE


def test_given_the_gathered_folder_then_nothing_of_this_machine_is_in_it() -> None:
    names = {path.name for path in code.server_code().rglob("*")}
    assert not {name for name in names if name.endswith(".pyc") or name == "__pycache__"}
    # C code is there for both processors that an image may be for, or for none.
    libraries = {name for name in names if name.endswith(".so")}
    assert {name.partition(".linux-")[2] for name in libraries} in (set(), {"aarch64.so", "x86_64.so"})


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def test_given_the_images_wheels_then_each_is_pinned_as_everywhere_and_known_by_its_hash() -> None:
    locked = (ROOT / "server" / "requirements.txt").read_text()
    assert pins(locked) == pins((ROOT / "server" / "requirements.in").read_text())
    assert pins(locked).items() <= pins((ROOT / "constraints.txt").read_text()).items()
    for entry in locked.split("\n\n")[0].replace(" \\\n", " ").splitlines():
        assert entry.startswith("#") or "--hash=sha256:" in entry, entry


def test_given_the_group_server_then_the_image_carries_all_of_it() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert set(groups["server"]) <= {
        f"{name}=={version}"
        for name, version in pins((ROOT / "server" / "requirements.txt").read_text()).items()
    }


# ---- what the endpoint may do -------------------------------------------------------------------


def test_given_the_container_then_its_role_reads_bundles_and_pulls_this_image_alone(
    endpoint: Template,
) -> None:
    allowed: dict[str, Any] = {}
    for statement in statements(endpoint, "Role"):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        allowed |= {action: json.dumps(statement["Resource"]) for action in actions}
    assert "/flights/runs/*/bundle/*" in allowed["s3:GetObject"]
    assert "repository/millrace-dev-server" in allowed["ecr:BatchGetImage"]
    assert not [
        action
        for action in allowed
        if action.startswith(("s3:Put", "s3:Delete", "kms:Encrypt", "sagemaker:"))
    ]


def test_given_the_function_that_passes_on_then_it_may_call_this_endpoint_and_nothing_else(
    endpoint: Template,
) -> None:
    called = [
        (statement["Action"], json.dumps(statement["Resource"]))
        for statement in statements(endpoint, "ForwardRole")
        if statement["Resource"] != "*"
    ]
    ((_, endpoint_arn),) = [each for each in called if each[0] == "sagemaker:InvokeEndpoint"]
    assert ":endpoint/millrace-dev-flights" in endpoint_arn
    assert len(called) == 2  # the other one is its log


def test_given_the_endpoints_log_then_it_is_made_before_sagemaker_does_and_the_key_knows_it(
    full: Synthesis, endpoint: Template
) -> None:
    (group,) = (
        group
        for group in properties(endpoint, "AWS::Logs::LogGroup")
        if group["LogGroupName"] == "/aws/sagemaker/Endpoints/millrace-dev-flights"
    )
    assert group["RetentionInDays"] == full.settings.log_days
    assert "/aws/sagemaker/Endpoints/millrace-dev-*" in json.dumps(full.template("foundation"))


# ---- what undoes an update ----------------------------------------------------------------------


def test_given_an_update_then_its_alarms_exist_by_name_and_watch_the_variant(
    full: Synthesis, endpoint: Template
) -> None:
    alarms = {alarm["AlarmName"]: alarm for alarm in properties(endpoint, "AWS::CloudWatch::Alarm")}
    assert sorted(alarms) == sorted(stack(full).alarm_names)
    assert {alarm["MetricName"] for alarm in alarms.values()} == {"ModelLatency", "Invocation5XXErrors"}
    for alarm in alarms.values():
        assert {item["Name"]: item["Value"] for item in alarm["Dimensions"]} == {
            "EndpointName": "millrace-dev-flights",
            "VariantName": "live",
        }
        assert alarm["TreatMissingData"] == "notBreaching"
    limit = alarms["millrace-dev-flights-modellatency"]["Threshold"]
    assert limit == full.settings.alarms.latency_ms * 1000  # SageMaker counts microseconds


def test_given_all_alarms_then_no_two_have_one_name(full: Synthesis) -> None:
    """CloudWatch would let the second take the place of the first."""
    names = [
        alarm["AlarmName"]
        for template in full.templates().values()
        for alarm in properties(template, "AWS::CloudWatch::Alarm")
    ]
    assert len(names) == len(set(names))


def test_given_the_endpoint_then_failures_of_its_api_ring_and_the_dashboard_shows_it(
    full: Synthesis, endpoint: Template
) -> None:
    monitoring = full.template("flights", "monitoring")
    (transformation,) = only(endpoint, "AWS::Logs::MetricFilter")["MetricTransformations"]
    watched = {alarm["MetricName"] for alarm in properties(monitoring, "AWS::CloudWatch::Alarm")}
    assert transformation["MetricName"] in watched
    body = json.dumps(only(monitoring, "AWS::CloudWatch::Dashboard")["DashboardBody"])
    for shown in ("ModelLatency", "Invocation5XXErrors", "CPUUtilization", "millrace-dev-flights-endpoint"):
        assert shown in body, shown
    assert "/millrace/dev/flights/forward" in body


# ---- the API ------------------------------------------------------------------------------------


def routes(template: Template) -> set[tuple[str, str]]:
    """Method and path of everything the template's API answers."""
    parents = resources(template, "AWS::ApiGateway::Resource")

    def path(reference: dict[str, Any]) -> str:
        if "Ref" not in reference:
            return ""
        part = parents[reference["Ref"]]["Properties"]
        return f"{path(part['ParentId'])}/{part['PathPart']}"

    methods = properties(template, "AWS::ApiGateway::Method")
    return {(method["HttpMethod"], path(method["ResourceId"])) for method in methods}


def asked_for(template: Template) -> set[str]:
    """How the methods of a template's APIs want to know who asks, but for the authorizer's own name."""
    members = ("AuthorizationType", "AuthorizationScopes")
    methods = properties(template, "AWS::ApiGateway::Method")
    return {json.dumps([method.get(member) for member in members]) for method in methods}


@pytest.mark.parametrize("env", ["local", FULL])
def test_given_the_endpoints_api_then_it_knows_callers_as_the_functions_does(
    synthesised: Synthesise, env: str
) -> None:
    """By a token of the same scope, or by a signature."""
    endpoint, serving = (synthesised(env).template("flights", name) for name in ("endpoint", "serving"))
    assert asked_for(endpoint) == asked_for(serving)
    assert len(asked_for(endpoint)) == 1


def test_given_callers_who_sign_then_a_policy_that_nobody_has_yet_lets_them_call_this_api_alone(
    full: Synthesis, endpoint: Template
) -> None:
    policy = only(endpoint, "AWS::IAM::ManagedPolicy")
    assert policy["ManagedPolicyName"] == "millrace-dev-flights-endpoint-caller"
    assert not {"Roles", "Users", "Groups"} & set(policy)
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "execute-api:Invoke"
    (api,) = resources(endpoint, "AWS::ApiGateway::RestApi")
    called = [json.dumps(arn) for arn in statement["Resource"]]
    assert len(called) == len(routes(endpoint))
    assert all(api in arn for arn in called)
    assert any("/live/POST/v1/models/flights/predict" in arn for arn in called)
    (named,) = resources(endpoint, "AWS::IAM::ManagedPolicy")
    assert endpoint["Outputs"]["EndpointCallerPolicy"]["Value"] == {"Ref": named}
    # The release's last check asks as a caller would.
    release = full.template("flights", "release")
    (probe,) = [
        item for item in statements(release, "ProbeRole") if "execute-api:Invoke" in str(item["Action"])
    ]
    asked = [json.dumps(arn) for arn in probe["Resource"]]
    assert len(asked) == 2
    assert all("/live/POST/v1/models/flights/predict" in arn for arn in asked)


def test_given_the_endpoints_api_then_it_answers_the_same_paths(full: Synthesis, endpoint: Template) -> None:
    assert routes(endpoint) == {
        ("GET", "/health"),
        ("GET", "/v1/models/{model}"),
        ("POST", "/v1/models/{model}/predict"),
    }
    assert routes(endpoint) <= routes(full.template("flights", "serving"))


def test_given_two_apis_then_names_logs_and_failures_are_told_apart(
    full: Synthesis, endpoint: Template
) -> None:
    serving = full.template("flights", "serving")

    def names(template: Template) -> set[str]:
        groups = [group["LogGroupName"] for group in properties(template, "AWS::Logs::LogGroup")]
        found = {group for group in groups if isinstance(group, str)}
        found |= {api["Name"] for api in properties(template, "AWS::ApiGateway::RestApi")}
        for counted in properties(template, "AWS::Logs::MetricFilter"):
            found |= {counted["FilterName"], counted["MetricTransformations"][0]["MetricName"]}
        return found

    assert "EndpointFailures" in names(endpoint)
    assert not names(endpoint) & names(serving)


def test_given_the_function_that_passes_on_then_it_is_told_where_and_whom_to_ask(endpoint: Template) -> None:
    (function,) = (
        item
        for item in properties(endpoint, "AWS::Lambda::Function")
        if item["FunctionName"] == "millrace-dev-flights-forward"
    )
    variables = function["Environment"]["Variables"]
    assert variables["MILLRACE_ENDPOINT"] == "millrace-dev-flights"
    assert variables["MILLRACE_ENVIRONMENT"] == "dev"
    assert variables["MILLRACE_RUNTIME_URL"]["Fn::Join"][1][0] == "https://runtime.sagemaker."


def test_given_the_runtimes_address_then_it_is_the_sdks_own() -> None:
    client = botocore.session.get_session().create_client(
        "sagemaker-runtime", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    assert client.meta.endpoint_url == "https://runtime.sagemaker.eu-west-1.amazonaws.com"


# ---- what starts a release ----------------------------------------------------------------------


def test_given_another_host_then_the_endpoints_hash_differs(full: Synthesis) -> None:
    before = stack(full)
    other = replace(full.settings, endpoint=replace(full.settings.endpoint, instances=2))
    assert code_hash(other, before.image.source_hash) != before.code_hash


def test_given_other_code_of_the_server_then_the_endpoints_hash_differs(full: Synthesis) -> None:
    before = stack(full)
    assert code_hash(full.settings, before.image.source_hash) == before.code_hash
    assert code_hash(full.settings, "other") != before.code_hash
