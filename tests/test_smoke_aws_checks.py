from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from cli import api, runs
from cli import outputs as cli_outputs
from cli.api import Answer
from cli.session import Session, session
from infra.machines import definition
from infra.settings import Api
from tests.smoke_aws import jobs, machines, releases, serving
from tests.smoke_aws.environment import Environment
from tests.smoke_aws.findings import CHECKS, Finding, Refuted, Settled, Unknown

START = datetime(2026, 11, 24, 5, 32, tzinfo=UTC)
PACKAGE = "arn:aws:sagemaker:us-east-1:000000000000:model-package/millrace-local-flights/3"
NAMES = dict.fromkeys(cli_outputs.NAMES, "x") | {"train_machine": "train", "release_machine": "release"}


class Histories:
    """Executions of both machines, by the machine's name, newest first."""

    def __init__(self) -> None:
        self.listed: dict[str, list[dict[str, Any]]] = {"train": [], "release": []}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.inputs: dict[str, str] = {}
        self.output = "{}"

    def add(self, machine: str, name: str, status: str, *events: dict[str, Any], **input: Any) -> None:
        arn = f"arn:aws:states:us-east-1:000000000000:execution:{machine}:{name}"
        self.listed[machine].append({"executionArn": arn, "status": status, "startDate": START})
        self.events[arn], self.inputs[arn] = list(events), json.dumps(input)

    def describe_execution(self, executionArn: str) -> dict[str, str]:  # noqa: N803 - the service's name
        return {"input": self.inputs[executionArn], "output": self.output}


def entered(name: str, kind: str = "Task") -> dict[str, Any]:
    return {"type": f"{kind}StateEntered", "timestamp": START, "stateEnteredEventDetails": {"name": name}}


def left(name: str, **variables: Any) -> dict[str, Any]:
    assigned = {key: json.dumps(value) for key, value in variables.items()}
    details = {"name": name, "assignedVariables": assigned}
    return {"type": "TaskStateExited", "timestamp": START, "stateExitedEventDetails": details}


def failed(cause: str, error: str = "States.TaskFailed") -> dict[str, Any]:
    details = {"error": error, "cause": cause}
    return {"type": "TaskFailed", "timestamp": START, "taskFailedEventDetails": details}


def ended(cause: str) -> dict[str, Any]:
    details = {"error": "States.TaskFailed", "cause": cause}
    return {"type": "ExecutionFailed", "timestamp": START, "executionFailedEventDetails": details}


def broken(state: str, cause: str, told: str = "") -> list[dict[str, Any]]:
    """Events of an execution whose ``state`` failed, was caught, and whose cause was passed on."""
    return [
        entered(state),
        failed(cause),
        left(state),
        entered("Notify"),
        left("Notify"),
        ended(told or cause),
    ]


@pytest.fixture
def histories(monkeypatch: pytest.MonkeyPatch) -> Histories:
    made = Histories()
    monkeypatch.setattr(runs, "recent", lambda here, machine, count: made.listed[machine])
    monkeypatch.setattr(runs, "history", lambda here, arn: made.events[arn])
    return made


@pytest.fixture
def here(histories: Histories) -> Session:
    opened = session("local", "flights")
    opened.made["stepfunctions"] = histories
    return opened


@pytest.fixture
def environment(here: Session, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setattr(cli_outputs, "outputs", lambda here, needed=(): NAMES)
    return Environment(here)


def test_a_state_that_passed_settles(environment: Environment, histories: Histories) -> None:
    histories.add("train", "later", "FAILED", *broken("Preprocess", "the rule `rows` is broken"))
    histories.add("train", "first", "SUCCEEDED", entered("Preprocess"), left("Preprocess"), entered("Train"))
    found = jobs.glue_runs_the_job(environment)
    assert isinstance(found, Settled)
    assert "passed in first" in found.evidence


def test_a_failure_with_the_assumption_s_mark_refutes(environment: Environment, histories: Histories) -> None:
    histories.add("train", "r", "FAILED", *broken("Preprocess", "ModuleNotFoundError: No module named 'x'"))
    assert isinstance(jobs.glue_runs_the_job(environment), Refuted)


def test_another_failure_leaves_it_unknown_and_is_told(
    environment: Environment, histories: Histories
) -> None:
    histories.add("train", "r", "FAILED", *broken("Preprocess", "the rule `rows` is broken"))
    found = jobs.glue_runs_the_job(environment)
    assert isinstance(found, Unknown)
    assert "the rule `rows` is broken" in found.evidence


def test_a_state_in_which_an_execution_was_stopped_has_not_passed(
    environment: Environment, histories: Histories
) -> None:
    stopped = {"type": "ExecutionAborted", "timestamp": START}
    histories.add("train", "r", "ABORTED", entered("Preprocess"), stopped)
    assert isinstance(jobs.glue_runs_the_job(environment), Unknown)


@pytest.mark.parametrize(("package", "expected"), [(PACKAGE, Settled), ("", Refuted)])
def test_a_run_that_succeeded_must_name_its_package(
    environment: Environment, histories: Histories, package: str, expected: type[Finding]
) -> None:
    histories.add("train", "r", "SUCCEEDED")
    histories.output = json.dumps({"run": "r", "package": package})
    assert isinstance(machines.jsonata_behaves(environment), expected)


def test_an_expression_that_cannot_be_evaluated_refutes(
    environment: Environment, histories: Histories
) -> None:
    details = {"state": "ReadVerdict", "error": "States.QueryEvaluationError", "cause": "JSONata: no text"}
    events = [
        entered("ReadVerdict"),
        {"type": "TaskSucceeded", "timestamp": START},
        {"type": "EvaluationFailed", "timestamp": START, "evaluationFailedEventDetails": details},
        left("ReadVerdict"),
        entered("KeepResumePoint"),
        ended("JSONata: no text"),
    ]
    histories.add("train", "r", "FAILED", *events)
    assert machines.jsonata_behaves(environment) == Refuted(
        "r could not evaluate ReadVerdict: JSONata: no text"
    )
    assert isinstance(machines.bodies_are_text(environment), Refuted)


def test_states_that_prove_something_are_states_of_the_machines(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, set[str]] = {"train": set(), "release": set()}

    def note(executions: Any, states: tuple[str, ...], sign: str) -> Finding:
        asked[str(executions)].update(states)
        return Unknown("noted")

    environment.__dict__.update(trains="train", releases="release", live={"Architectures": ["arm64"]})
    for module in (machines, releases, jobs, serving):
        monkeypatch.setattr(module, "proof", note)
    monkeypatch.setattr(releases, "packages", lambda here, count: [])
    for name in ("A4", "B2", "B3", "B4", "B6", "C1", "C4", "D1"):
        CHECKS[name].look(environment)
    for machine, states in asked.items():
        assert states
        assert states <= set(json.loads(definition(machine))["States"])


@pytest.mark.parametrize(
    ("cause", "told", "form", "unwrapped"),
    [
        ('{"ErrorMessage": "too few rows"}', "too few rows", Settled, Settled),
        ('{"ErrorMessage": "too few rows"}', '{"ErrorMessage": "too few rows"}', Settled, Refuted),
        ("too few rows", "too few rows", Refuted, Unknown),
    ],
)
def test_a_failed_job_tells_its_reason(
    environment: Environment,
    histories: Histories,
    *,
    cause: str,
    told: str,
    form: type[Finding],
    unwrapped: type[Finding],
) -> None:
    histories.add("train", "r", "FAILED", *broken("Preprocess", cause, told))
    assert isinstance(machines.causes_are_descriptions(environment), form)
    assert isinstance(machines.reasons_are_found(environment), unwrapped)


def test_a_call_that_was_refused_is_no_job_that_failed(
    environment: Environment, histories: Histories
) -> None:
    refused = failed("who are you", "Glue.AccessDeniedException")
    histories.add("train", "r", "FAILED", entered("Preprocess"), refused, left("Preprocess"), ended("who"))
    assert isinstance(machines.causes_are_descriptions(environment), Unknown)


@pytest.mark.parametrize(
    ("time", "expected"), [("2026-11-24T05:31:58Z", Settled), ("2026-11-24T05:40:00Z", Refuted)]
)
def test_a_release_follows_the_approval_s_event(
    environment: Environment, histories: Histories, time: str, expected: type[Finding]
) -> None:
    detail = {"ModelPackageGroupName": "g", "ModelApprovalStatus": "Approved", "ModelPackageArn": PACKAGE}
    histories.add("release", "r", "SUCCEEDED", time=time, detail=detail)
    found = releases.approvals_start_releases(environment)
    assert isinstance(found, expected)
    assert PACKAGE in found.evidence


@pytest.mark.parametrize(("version", "expected"), [("7", Settled), ("1", Refuted)])
def test_a_deploy_s_release_tells_where_it_found_the_alias(
    environment: Environment, histories: Histories, version: str, expected: type[Finding]
) -> None:
    pointers = left("ReadPointers", champion={"function_version": "7"})
    alias = left("LookAtAlias", former={"version": version})
    histories.add("release", "deploy-1", "SUCCEEDED", pointers, alias, reason="deploy")
    assert isinstance(releases.alias_after(environment.releases[0]), expected)


@pytest.mark.parametrize(("alias", "expected"), [("7", ""), ("1", "live is version 1, the champion's 7")])
def test_alias_layer_and_champion_are_compared(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, alias: str, expected: str
) -> None:
    environment.__dict__["champion"] = {"function_version": "7", "layer": "layer:3"}
    environment.__dict__["live"] = {"Layers": [{"Arn": "layer:3"}]}
    with Stubber(environment.session.client("lambda")) as functions:
        functions.add_response("get_alias", {"FunctionVersion": alias})
        with Stubber(environment.session.client("ssm")) as ssm:
            ssm.add_response("get_parameter", {"Parameter": {"Value": "layer:3"}})
            assert releases.disagreement(environment) == expected


@pytest.mark.parametrize(("run", "expected"), [("r", Settled), ("older", Refuted)])
def test_the_pointer_must_name_the_newest_run(
    environment: Environment,
    histories: Histories,
    monkeypatch: pytest.MonkeyPatch,
    run: str,
    expected: type[Finding],
) -> None:
    environment.__dict__["champion"] = {"version": "r"}
    histories.add("train", "r-again", "SUCCEEDED", entered("Preprocess"), left("Preprocess"), resume="r")
    monkeypatch.setattr(jobs, "pointer", lambda _: {"run": run})
    assert isinstance(jobs.pointer_names_the_run(environment), expected)


@pytest.mark.parametrize(
    ("counted", "state", "reason", "expected"),
    [
        ("70", "SUCCEEDED", "", Settled),
        ("69", "SUCCEEDED", "", Refuted),
        ("", "FAILED", "HIVE_BAD_DATA: Field label", Refuted),
        ("", "FAILED", "Access Denied", Unknown),
    ],
)
def test_athena_must_count_as_the_profile_does(
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    *,
    counted: str,
    state: str,
    reason: str,
    expected: type[Finding],
) -> None:
    profile = {"splits": {"train": {"rows": 70}, "test": {"rows": 0}}}
    monkeypatch.setattr(jobs, "pointer", lambda _: {"prefix": "s3://lake/flights/runs/r"})
    monkeypatch.setattr(Environment, "document", lambda self, bucket, key: profile)
    rows = [
        {"Data": [{"VarCharValue": cell} for cell in row]} for row in (("split", "n"), ("train", counted))
    ]
    status = {"State": state, "StateChangeReason": reason}
    with Stubber(environment.session.client("athena")) as athena:
        athena.add_response(
            "start_query_execution",
            {"QueryExecutionId": "q"},
            {
                "QueryString": 'SELECT split, count(*) FROM "flights_examples" GROUP BY split',
                "QueryExecutionContext": {"Database": "millrace_local_flights"},
                "ResultConfiguration": {"OutputLocation": "s3://x/flights/athena/"},
                "WorkGroup": "primary",
            },
        )
        athena.add_response("get_query_execution", {"QueryExecution": {"Status": status}})
        if state == "SUCCEEDED":
            athena.add_response("get_query_results", {"ResultSet": {"Rows": rows}})
        assert isinstance(jobs.athena_counts_the_splits(environment), expected)


@pytest.mark.parametrize(
    ("bare", "lost", "expected"),
    [
        (serving.Reply(401, serving.PROBLEM), serving.Reply(404, serving.PROBLEM), Settled),
        (serving.Reply(401, "application/json"), serving.Reply(404, serving.PROBLEM), Refuted),
        (serving.Reply(401, serving.PROBLEM), serving.Reply(403, serving.PROBLEM), Refuted),
    ],
)
def test_the_gateway_s_own_errors_must_be_problem_documents(
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    bare: serving.Reply,
    lost: serving.Reply,
    expected: type[Finding],
) -> None:
    environment.__dict__["token"] = "t"
    monkeypatch.setattr(serving, "get", lambda url, headers: lost if headers else bare)
    assert isinstance(serving.gateway_tells_problems(environment), expected)


@pytest.fixture
def signing(environment: Environment) -> Environment:
    """The same environment, had its callers to sign."""
    settings = environment.session.settings
    return Environment(replace(environment.session, settings=replace(settings, api=Api(auth="iam"))))


def test_where_callers_sign_both_errors_are_403_and_the_call_to_no_route_is_signed(
    signing: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing.__dict__["names"] = NAMES | {"api_url": "https://ab12.example/live"}
    sent: dict[str, Mapping[str, str]] = {}
    reply = serving.Reply(403, serving.PROBLEM)
    monkeypatch.setattr(serving, "get", lambda url, headers: sent.update({url: headers}) or reply)
    monkeypatch.setattr(api, "access_token", lambda *_: pytest.fail("there are no tokens here"))
    assert isinstance(serving.gateway_tells_problems(signing), Settled)
    assert [headers.get("Authorization", "")[:16] for headers in sent.values()] == ["", "AWS4-HMAC-SHA256"]


def test_where_callers_sign_no_token_s_scope_can_be_looked_at(signing: Environment) -> None:
    found = serving.scope_is_asked_for(signing)
    assert isinstance(found, Unknown)
    assert "sign" in found.evidence


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (
            [serving.Group("a", "key", True), serving.Group("API-Gateway-Execution-Logs_x", "key", False)],
            Settled,
        ),
        ([serving.Group("a", "", True)], Refuted),
        ([serving.Group("a", "key", False)], Unknown),
    ],
)
def test_log_groups_must_be_encrypted_and_heard(
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    groups: list[serving.Group],
    expected: type[Finding],
) -> None:
    environment.__dict__["champion"] = {}
    monkeypatch.setattr(serving, "log_groups", lambda _: iter(groups))
    assert isinstance(serving.logs_arrive_encrypted(environment), expected)


@pytest.mark.parametrize(
    ("scopes", "status", "expected"),
    [(["x", "y"], 403, Settled), (["y"], 401, Refuted), (["x"], 0, Unknown)],
)
def test_a_token_for_another_scope_must_be_refused_with_403(
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    scopes: list[str],
    status: int,
    expected: type[Finding],
) -> None:
    client = {"ClientId": "c", "ClientSecret": "s" * 24, "AllowedOAuthFlows": ["client_credentials"]}
    monkeypatch.setattr(api, "call", lambda *_: Answer(200, {"access_token": "t"}))
    monkeypatch.setattr(serving, "get", lambda url, headers: serving.Reply(status, serving.PROBLEM))
    with Stubber(environment.session.client("cognito-idp")) as pool:
        pool.add_response("list_user_pool_clients", {"UserPoolClients": [{"ClientId": "c"}]})
        told = {"UserPoolClient": client | {"AllowedOAuthScopes": scopes}}
        pool.add_response("describe_user_pool_client", told, {"UserPoolId": "x", "ClientId": "c"})
        assert isinstance(serving.scope_is_asked_for(environment), expected)


@pytest.mark.parametrize(("lines", "expected"), [(1, Refuted), (0, Unknown)])
def test_a_metric_is_missed_only_where_the_log_holds_its_line(
    environment: Environment, lines: int, expected: type[Finding]
) -> None:
    with Stubber(environment.session.client("cloudwatch")) as cloudwatch:
        cloudwatch.add_response("list_metrics", {"Metrics": []})
        with Stubber(environment.session.client("logs")) as logs:
            event = {"timestamp": int(START.timestamp() * 1000), "message": "{}"}
            logs.add_response("filter_log_events", {"events": [event] * lines})
            assert isinstance(serving.metrics_come_from_the_log(environment), expected)
