"""Assumptions about the function, its metrics and logs, and the API before it."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cli import api
from cli.console import stamp
from tests.smoke_aws import tls
from tests.smoke_aws.environment import Environment
from tests.smoke_aws.findings import Finding, Refuted, Settled, Unknown, assumption
from tests.smoke_aws.machines import proof

PROBLEM = "application/problem+json"
HOUR, FORTNIGHT = 3600, 14 * 24 * 3600
"""A metric is listed within the first after it was written, and for the second after it was written last."""


@assumption("D1", only_aws="functions run on this machine's processor")
def engine_works_on_arm(environment: Environment) -> Finding:
    """A version was checked by its number before the alias moved, on arm64."""
    architecture = environment.live.get("Architectures", ["x86_64"])[0]
    if architecture != "arm64":
        return Unknown(f"the live version runs on {architecture}: serving.architecture")
    return proof(environment.releases, ("Check", "MoveAlias"), "cpuinfo|onnxruntime|Runtime\\.")


@assumption("D3")
def metrics_come_from_the_log(environment: Environment) -> Finding:
    """The metric `Records` is there for this environment and workload."""
    session = environment.session
    wanted = {"Environment": session.env, "Workload": session.workload}
    found = session.client("cloudwatch").list_metrics(
        Namespace="Millrace",
        MetricName="Records",
        Dimensions=[{"Name": name, "Value": value} for name, value in wanted.items()],
    )["Metrics"]
    if found:
        return Settled(f"Millrace/Records has {len(found)} series with {wanted}")
    return unheard_line(environment)


def unheard_line(environment: Environment) -> Finding:
    """Tell whether the log holds a line that should be a metric by now."""
    session, now = environment.session, int(time.time())
    function = "predict" if session.settings.function_answers else "forward"
    group = session.settings.logs(session.workload, function)
    pages = (
        session.client("logs")
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=group,
            startTime=(now - FORTNIGHT) * 1000,
            endTime=(now - HOUR) * 1000,
            filterPattern='"CloudWatchMetrics"',
        )
    )
    line = next((event for page in pages for event in page["events"]), None)
    if line is None:
        return Unknown(f"no metric Records, and {group} has no line older than an hour that should make one")
    written = stamp(datetime.fromtimestamp(line["timestamp"] / 1000, UTC))
    return Refuted(f"no metric Records, though {group} has such a line of {written}")


@assumption("D4", only_aws="it speaks plain HTTP")
def old_tls_is_refused(environment: Environment) -> Finding:
    """The API's host refuses TLS 1.1 and takes TLS 1.3."""
    host = urllib.parse.urlsplit(environment.names["api_url"]).hostname or ""
    held = environment.session.client("apigateway").get_rest_api(restApiId=host.partition(".")[0])
    policy = f"{held.get('securityPolicy')}, {held.get('endpointAccessMode')}"
    old, new = (tls.handshake(host, version) for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_3))
    told = f"{host} ({policy}): TLS 1.1 {old.told}, TLS 1.3 {new.told}"
    if None in (old.accepted, new.accepted):
        return Unknown(told)
    return Settled(told) if new.accepted and not old.accepted else Refuted(told)


@dataclass(frozen=True)
class Reply:
    """Status and media type of an answer."""

    status: int
    media: str

    def is_problem(self, status: int) -> bool:
        """Whether it is a problem document with this status."""
        return self.status == status and self.media == PROBLEM

    def __str__(self) -> str:
        return f"{self.status} as {self.media or 'nothing'}"


def get(url: str, headers: Mapping[str, str]) -> Reply:
    """GET ``url``, whatever the status."""
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=api.SECONDS) as response:
            return Reply(response.status, response.headers.get_content_type())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers.get_content_type())


@assumption("D5")
def gateway_tells_problems(environment: Environment) -> Finding:
    """A call without a token or a signature, and one to no route, are answered with problem documents."""
    signed, url = environment.session.settings.signed, environment.names["api_url"]
    nowhere = f"{url}/nowhere"
    bare, lost = get(f"{url}/health", {}), get(nowhere, environment.authorized(nowhere))
    told = f"without a {'signature' if signed else 'token'} {bare}, to no route {lost}"
    # Where callers sign, the gateway has one and the same error for both.
    expected = (403, 403) if signed else (401, 404)
    right = bare.is_problem(expected[0]) and lost.is_problem(expected[1])
    return Settled(told) if right else Refuted(told)


@assumption("D6")
def scope_is_asked_for(environment: Environment) -> Finding:
    """A token of the same pool for another scope is refused with 403."""
    if environment.session.settings.signed:
        return Unknown("callers of this environment sign their requests: no token opens its APIs (api.auth)")
    client = other_client(environment)
    if client is None:
        return Unknown("the pool has no client whose client credentials give another scope; add one to see")
    scope = next(each for each in client["AllowedOAuthScopes"] if each != environment.names["scope"])
    headers, body = api.token_request(client["ClientId"], client["ClientSecret"], scope)
    token = api.call(environment.names["token_url"], headers, body)
    if token.status != 200:
        return Unknown(f"the client {client['ClientId']} got no token for {scope}: {token.status}")
    url = f"{environment.names['api_url']}/health"
    reply = get(url, {"Authorization": f"Bearer {token.content['access_token']}"})
    told = f"a token of the client {client['ClientId']} for {scope} was answered {reply}"
    return Settled(told) if reply.status == 403 else Refuted(told)


def other_client(environment: Environment) -> dict[str, Any] | None:
    """Find a client of the pool that may have tokens for another scope than the API's."""
    client, pool = environment.session.client("cognito-idp"), environment.names["user_pool_id"]
    pages = client.get_paginator("list_user_pool_clients").paginate(UserPoolId=pool)
    for listed in (each for page in pages for each in page["UserPoolClients"]):
        told = client.describe_user_pool_client(UserPoolId=pool, ClientId=listed["ClientId"])[
            "UserPoolClient"
        ]
        flows, scopes = told.get("AllowedOAuthFlows", ()), set(told.get("AllowedOAuthScopes", ()))
        if "client_credentials" in flows and "ClientSecret" in told and scopes - {environment.names["scope"]}:
            return dict(told)
    return None


@dataclass(frozen=True)
class Group:
    """A log group: its key, and whether anything was written to it."""

    name: str
    key: str
    heard: bool

    @property
    def may_be_silent(self) -> bool:
        """API Gateway writes its execution log only when a request fails inside it."""
        return self.name.startswith("API-Gateway-Execution-Logs_")


def log_groups(environment: Environment) -> Iterator[Group]:
    """Look at each log group that the workload's stacks have made."""
    pages = environment.session.client("cloudformation").get_paginator("list_stack_resources")
    for stack in environment.stacks.values():
        found = [
            each
            for page in pages.paginate(StackName=stack["StackName"])
            for each in page["StackResourceSummaries"]
        ]
        for resource in found:
            if resource["ResourceType"] == "AWS::Logs::LogGroup":
                yield group(environment, resource["PhysicalResourceId"])


def group(environment: Environment, name: str) -> Group:
    """Look at one log group."""
    client = environment.session.client("logs")
    listed = client.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    key = next((each.get("kmsKeyId", "") for each in listed if each["logGroupName"] == name), "")
    streams = client.describe_log_streams(
        logGroupName=name, orderBy="LastEventTime", descending=True, limit=5
    )["logStreams"]
    return Group(name, key, any("lastEventTimestamp" in stream for stream in streams))


@assumption("D7")
def logs_arrive_encrypted(environment: Environment) -> Finding:
    """Each log group has its key, and something was written to it."""
    groups = list(log_groups(environment))
    bare = [each.name for each in groups if not each.key]
    if bare or not groups:
        return Refuted(f"log groups without a key: {', '.join(bare) or 'there are no groups at all'}")
    silent = [each.name for each in groups if not each.heard and not each.may_be_silent]
    if not silent:
        return Settled(f"{len(groups)} log groups have their keys, and something was written to each")
    told = f"nothing was written to {', '.join(silent)}"
    return (
        Refuted(told)
        if released_lately(environment)
        else Unknown(f"{told}: train, release and predict first")
    )


def released_lately(environment: Environment) -> bool:
    """Whether a model trained and released within the last day has made every part write."""
    if not environment.champion:
        return False
    age = datetime.now(UTC) - datetime.fromisoformat(environment.champion["approved_at"])
    return timedelta(hours=1) < age < timedelta(days=1)
