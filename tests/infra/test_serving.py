"""The function, the version and alias that deploys never touch, and the API before them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import botocore.session
import pytest
from aws_cdk import aws_lambda as lambda_

from contract import openapi
from functions.predict.problem import TITLES
from infra import settings as settings_module
from infra.bundling import function_code
from infra.bytecode import Compiler
from infra.constructs.api import ENDPOINT, INFERENCE, INFERENCE_ROUTES, PROBLEMS, ROUTES, parts
from infra.kernel import CCompiler
from infra.settings import Settings
from infra.stage import Environment
from tests.clients import gateway
from tests.infra.conftest import (
    ROOT,
    Resource,
    Synthesis,
    Synthesise,
    Template,
    context,
    only,
    properties,
    resources,
)


@pytest.fixture(scope="module")
def serving(dev: Synthesis) -> Template:
    return dev.template("flights", "serving")


def with_function(settings: Settings, source: Path, folder: Path) -> tuple[Template, str]:
    """The serving template and code hash with the predict function built from ``source``."""
    app = cdk.App(context=context(), outdir=str(folder), analytics_reporting=False)

    def code(name: str, settings: Settings) -> lambda_.Code:
        return function_code(name, settings, source)

    environment = Environment(app, settings, code)
    app.synth()
    template = json.loads((folder / "millrace-dev-flights-serving.template.json").read_text())
    return template, environment.workloads["flights"].serving.code_hash


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Template, str]:
    """Serving after a change of the function's code."""
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(ROOT / "functions", folder / "functions")
    handler = folder / "functions" / "predict" / "app.py"
    handler.write_text(handler.read_text() + "\nCHANGED = True\n")
    return with_function(settings_module.load("dev"), folder, folder / "cdk.out")


# ---- what a deploy must not undo ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["AWS::Lambda::Version", "AWS::Lambda::Alias"])
def test_given_other_code_when_synthesised_then_version_and_alias_are_the_same(
    serving: Template, changed: tuple[Template, str], kind: str
) -> None:
    assert resources(serving, kind) == resources(changed[0], kind)
    assert len(resources(serving, kind)) == 1


def test_given_other_code_when_synthesised_then_the_function_and_its_hash_differ(
    dev: Synthesis, serving: Template, changed: tuple[Template, str]
) -> None:
    template, code_hash = changed
    assert only(template, "AWS::Lambda::Function")["Code"] != only(serving, "AWS::Lambda::Function")["Code"]
    assert code_hash != dev.environment.workloads["flights"].serving.code_hash


def test_given_other_memory_when_synthesised_then_the_hash_differs(dev: Synthesis, tmp_path: Path) -> None:
    loaded = settings_module.load("dev")
    settings = dataclasses.replace(loaded, serving=dataclasses.replace(loaded.serving, memory_mb=3008))
    template, code_hash = with_function(settings, ROOT, tmp_path)
    assert code_hash != dev.environment.workloads["flights"].serving.code_hash
    version = only(template, "AWS::Lambda::Version")
    assert version == only(dev.template("flights", "serving"), "AWS::Lambda::Version")


def test_given_the_bootstrap_version_then_it_is_kept_and_the_alias_starts_on_it(serving: Template) -> None:
    ((name, version),) = resources(serving, "AWS::Lambda::Version").items()
    assert version["DeletionPolicy"] == version["UpdateReplacePolicy"] == "Retain"
    alias = only(serving, "AWS::Lambda::Alias")
    assert (alias["Name"], alias["FunctionVersion"]) == ("live", {"Fn::GetAtt": [name, "Version"]})


def test_given_the_layer_then_it_is_read_from_the_parameter_at_deployment(serving: Template) -> None:
    (layer,) = only(serving, "AWS::Lambda::Function")["Layers"]
    parameter = serving["Parameters"][layer["Ref"]]
    assert parameter == {
        "Type": "AWS::SSM::Parameter::Value<String>",
        "Default": "/millrace/dev/flights/layer",
    }


# ---- the function -------------------------------------------------------------------------------


def test_given_an_environment_then_the_function_runs_on_what_its_settings_say(each: Synthesis) -> None:
    function, wanted = (
        only(each.template("flights", "serving"), "AWS::Lambda::Function"),
        each.settings.serving,
    )
    assert function["Runtime"] == f"python{wanted.python}"
    assert function["Architectures"] == [wanted.architecture]
    assert (function["MemorySize"], function["Timeout"]) == (wanted.memory_mb, wanted.timeout_seconds)
    assert ("SnapStart" in function) == wanted.snap_start
    assert "ReservedConcurrentExecutions" not in function


# ---- the APIs -----------------------------------------------------------------------------------

APIS = ("Http", "Inference")
"""How the logical ids of an API's resources begin."""


def of_api(template: Template, kind: str, api: str) -> dict[str, Resource]:
    """The resources of one type that belong to one of the APIs, by their logical ids."""
    return {name: item for name, item in resources(template, kind).items() if name.startswith(api)}


def only_of(template: Template, kind: str, api: str) -> Resource:
    """The properties of the one resource of this type that belongs to the API."""
    (found,) = of_api(template, kind, api).values()
    return dict(found["Properties"])


PLACES = {
    "": ("serving", "Http", "ApiUrl"),
    INFERENCE: ("serving", "Inference", "InferenceUrl"),
    ENDPOINT: ("endpoint", "Http", "ApiUrl"),
}
"""Part of an API → its stack, how its ids begin, and the output with its URL."""


def apis(synthesis: Synthesis) -> list[tuple[Template, str, str]]:
    """The APIs of an environment: their template, how their ids begin, their output."""
    places = [PLACES[part] for part in parts(synthesis.settings)]
    return [(synthesis.template("flights", stack), api, output) for stack, api, output in places]


def test_given_every_method_then_it_asks_for_a_token_with_the_scope_or_a_signature(each: Synthesis) -> None:
    assert apis(each)
    for template, api, _ in apis(each):
        routes = INFERENCE_ROUTES if api == "Inference" else ROUTES
        methods = of_api(template, "AWS::ApiGateway::Method", api).values()
        assert len(methods) == len(routes)
        for method in methods:
            if each.settings.signed:
                assert method["Properties"]["AuthorizationType"] == "AWS_IAM"
                continue
            assert method["Properties"]["AuthorizationType"] == "COGNITO_USER_POOLS"
            assert method["Properties"]["AuthorizationScopes"] == [f"millrace-{each.settings.env}/predict"]


def test_given_the_open_protocol_then_its_clients_are_tested_on_the_apis_own_routes() -> None:
    assert gateway.ROUTES == INFERENCE_ROUTES


@pytest.mark.parametrize("api", APIS)
def test_given_every_method_then_it_calls_the_alias_and_its_api_alone_may(
    serving: Template, api: str
) -> None:
    (alias,) = resources(serving, "AWS::Lambda::Alias")
    for method in of_api(serving, "AWS::ApiGateway::Method", api).values():
        integration = method["Properties"]["Integration"]
        assert integration["Type"] == "AWS_PROXY"
        assert {"Ref": alias} in integration["Uri"]["Fn::Join"][1]
    permission = only_of(serving, "AWS::Lambda::Permission", api)
    (rest_api,) = of_api(serving, "AWS::ApiGateway::RestApi", api)
    assert permission["FunctionName"] == {"Ref": alias}
    assert {"Ref": rest_api} in permission["SourceArn"]["Fn::Join"][1]
    assert "/live/" in json.dumps(permission["SourceArn"])


@pytest.mark.parametrize("api", APIS)
def test_given_an_api_then_it_is_regional_with_modern_tls(serving: Template, api: str) -> None:
    found = only_of(serving, "AWS::ApiGateway::RestApi", api)
    assert found["EndpointConfiguration"]["Types"] == ["REGIONAL"]
    assert found["SecurityPolicy"] == "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"
    assert found["EndpointAccessMode"] == "STRICT"


def test_given_the_open_protocol_then_its_api_takes_every_body_for_bytes_and_the_other_does_not(
    serving: Template,
) -> None:
    types = [only_of(serving, "AWS::ApiGateway::RestApi", api)["BinaryMediaTypes"] for api in APIS]
    assert types == [[openapi.RECORDS, openapi.PROBABILITIES], ["*/*"]]


def test_given_a_stage_then_it_is_throttled_traced_and_logs_no_body(each: Synthesis) -> None:
    for template, api, _ in apis(each):
        stage = only_of(template, "AWS::ApiGateway::Stage", api)
        (method,) = stage["MethodSettings"]
        assert method["ThrottlingRateLimit"] == each.settings.serving.rate
        assert method["ThrottlingBurstLimit"] == each.settings.serving.burst
        assert (method["LoggingLevel"], method["DataTraceEnabled"]) == ("ERROR", False)
        line = json.loads(stage["AccessLogSetting"]["Format"])
        assert line["requestId"] == "$context.requestId"
        assert not any("body" in str(value).lower() for value in line.values())


@pytest.mark.parametrize("api", APIS)
def test_given_execution_logs_then_their_group_is_made_before_the_stage(serving: Template, api: str) -> None:
    (name,) = (
        name
        for name, group in of_api(serving, "AWS::Logs::LogGroup", api).items()
        if "API-Gateway-Execution-Logs_" in json.dumps(group["Properties"]["LogGroupName"])
    )
    (stage,) = of_api(serving, "AWS::ApiGateway::Stage", api).values()
    assert name in stage["DependsOn"]


def filled(template: str) -> dict[str, Any]:
    """A gateway's answer, with the one variable that it fills in."""
    return dict(json.loads(template.replace("$context.requestId", "c6af9ac6")))


def gateway_answers(template: Template, api: str) -> list[Resource]:
    """What the gateway of an API answers by itself."""
    return [item["Properties"] for item in of_api(template, "AWS::ApiGateway::GatewayResponse", api).values()]


def test_given_the_gateways_own_errors_then_all_are_problem_documents(serving: Template) -> None:
    answers = gateway_answers(serving, "Http")
    assert {answer["ResponseType"] for answer in answers} == set(PROBLEMS)
    gateway = botocore.session.get_session().get_service_model("apigateway")
    assert (
        {"DEFAULT_4XX", "DEFAULT_5XX"} <= set(PROBLEMS) <= set(gateway.shape_for("GatewayResponseType").enum)
    )
    for answer in answers:
        header = answer["ResponseParameters"]["gatewayresponse.header.Content-Type"]
        assert header == "'application/problem+json'"
        problem = filled(answer["ResponseTemplates"]["application/json"])
        assert problem["title"]
        assert problem["detail"]
        if not answer["ResponseType"].startswith("DEFAULT"):
            assert str(problem["status"]) == answer["StatusCode"]


def test_given_the_open_protocol_then_the_gateways_own_errors_are_in_its_form(serving: Template) -> None:
    answers = gateway_answers(serving, "Inference")
    assert {answer["ResponseType"] for answer in answers} == set(PROBLEMS)
    for answer in answers:
        header = answer["ResponseParameters"]["gatewayresponse.header.Content-Type"]
        assert header == "'application/json'"
        told = filled(answer["ResponseTemplates"]["application/json"])
        assert set(told) == {"error"}
        assert "c6af9ac6" in told["error"]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("UNAUTHORIZED", "401"),
        ("ACCESS_DENIED", "403"),
        ("MISSING_AUTHENTICATION_TOKEN", "404"),
        ("THROTTLED", "429"),
    ],
)
def test_given_an_error_then_callers_meet_the_status_that_means_it(
    serving: Template, kind: str, status: str, api: str
) -> None:
    answers = gateway_answers(serving, api)
    (found,) = [item["StatusCode"] for item in answers if item["ResponseType"] == kind]
    assert found == status


def test_given_an_environment_then_its_urls_have_no_trailing_slash(each: Synthesis) -> None:
    for template, _, output in apis(each):
        url = json.dumps(template["Outputs"][output]["Value"])
        assert url.endswith(('/live"]]}', '/live/_user_request_"]]}'))
        assert ("execute-api" in url) != ("http://127.0.0.1:" in url)


def test_given_the_account_wide_role_then_the_stack_leaves_it_alone(synthesised: Synthesise) -> None:
    assert properties(synthesised("prod").template("flights", "serving"), "AWS::ApiGateway::Account") == []


# ---- compilers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("python", "c"),
    [(None, None), (Compiler(executable="python", version="3.13.0"), CCompiler(version="0.17.1"))],
    ids=["no", "yes"],
)
def test_given_no_compilers_for_the_target_when_synthesised_then_the_synthesis_says_so(
    python: Compiler | None, c: CCompiler | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("infra.bytecode.find", lambda version: python)
    monkeypatch.setattr("infra.kernel.find", lambda: c)
    app = cdk.App(context=context(), outdir=str(tmp_path), analytics_reporting=False)
    settings = settings_module.load("dev")
    environment = Environment(app, settings, function_code)

    function = environment.workloads["flights"].serving.function
    infos = [entry.data for entry in function.node.metadata if entry.type == "aws:cdk:info"]

    said = [f"uv python install {settings.serving.python}", "No compiled reader of requests"]
    told = [[text for text in said if text in info] for info in infos]
    assert told == ([] if python else [[text] for text in said])


def test_given_a_problem_then_gateway_and_function_call_it_by_the_status_own_name() -> None:
    """RFC 9110; Python's own table has the older names of two."""
    renamed = {413: "Content Too Large", 422: "Unprocessable Content"}
    by_gateway = {(status, title) for status, title, _ in PROBLEMS.values() if status is not None}
    for status, title in by_gateway | set(TITLES.items()):
        assert title == renamed.get(status, HTTPStatus(status).phrase)
