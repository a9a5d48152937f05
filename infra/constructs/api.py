"""The HTTP APIs before what answers: authenticated, throttled, logged, each with errors of one form."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from contract import openapi
from infra.constructs.acknowledge import acknowledge, acknowledge_resource
from infra.settings import Settings

STAGE = "live"
NAMESPACE = "Millrace"
"""Of the metrics that API and function make themselves."""
ROUTES = (("GET", "health"), ("GET", "v1/models/{model}"), ("POST", "v1/models/{model}/predict"))
INFERENCE = "inference"
"""The part of a workload's API that speaks the Open Inference Protocol."""
ENDPOINT = "endpoint"
"""The part that a SageMaker endpoint answers."""
INFERENCE_ROUTES = (
    ("GET", "v2"),
    ("GET", "v2/health/live"),
    ("GET", "v2/health/ready"),
    ("GET", "v2/models/{model}"),
    ("GET", "v2/models/{model}/ready"),
    ("POST", "v2/models/{model}/infer"),
    ("GET", "v2/models/{model}/versions/{version}"),
    ("GET", "v2/models/{model}/versions/{version}/ready"),
    ("POST", "v2/models/{model}/versions/{version}/infer"),
)
PROBLEMS = {
    "UNAUTHORIZED": (401, "Unauthorized", "Send `Authorization: Bearer <token>`; `millrace token` gets one."),
    "ACCESS_DENIED": (403, "Forbidden", "The token lacks the scope that this API asks for."),
    "EXPIRED_TOKEN": (403, "Forbidden", "The token has expired; get a new one."),
    "INVALID_SIGNATURE": (403, "Forbidden", "This API takes tokens, not signed requests."),
    "WAF_FILTERED": (403, "Forbidden", "A firewall refused the request."),
    "MISSING_AUTHENTICATION_TOKEN": (404, "Not Found", "There is no such route, or not for this method."),
    "RESOURCE_NOT_FOUND": (404, "Not Found", "There is no such route."),
    "REQUEST_TOO_LARGE": (413, "Content Too Large", "The body is larger than the API takes."),
    "UNSUPPORTED_MEDIA_TYPE": (415, "Unsupported Media Type", "Send JSON; if packed, then with gzip."),
    "THROTTLED": (429, "Too Many Requests", "Wait a moment, then send fewer requests at once."),
    "QUOTA_EXCEEDED": (429, "Too Many Requests", "The quota is used up."),
    "BAD_REQUEST_BODY": (400, "Bad Request", "The body cannot be read."),
    "BAD_REQUEST_PARAMETERS": (400, "Bad Request", "The parameters cannot be read."),
    "INTEGRATION_FAILURE": (502, "Bad Gateway", "The model did not answer; try again."),
    "INTEGRATION_TIMEOUT": (504, "Gateway Timeout", "The model did not answer in time; send fewer records."),
    "AUTHORIZER_FAILURE": (500, "Internal Server Error", "The token could not be checked; try again."),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "Internal Server Error", "The token could not be checked."),
    "API_CONFIGURATION_ERROR": (500, "Internal Server Error", "The API is misconfigured."),
    "DEFAULT_4XX": (None, "Bad Request", "The request was refused before it reached the model."),
    "DEFAULT_5XX": (None, "Internal Server Error", "The request failed before it reached the model."),
}
"""Errors that API Gateway answers by itself: status (None keeps the gateway's own), title, what to do."""
SIGNED_PROBLEMS = PROBLEMS | {
    "MISSING_AUTHENTICATION_TOKEN": (
        403,
        "Forbidden",
        "Sign the request (Signature Version 4, service `execute-api`). Or there is no such route.",
    ),
    "INVALID_SIGNATURE": (403, "Forbidden", "The signature does not fit the request, as it was received."),
    "ACCESS_DENIED": (403, "Forbidden", "The caller lacks the policy that lets it call this API."),
    "EXPIRED_TOKEN": (403, "Forbidden", "The caller's credentials have expired; get new ones."),
}
"""The same where callers sign. Of a request without a signature the gateway tells no more than of a route
that is not there."""

ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "route": "$context.resourcePath",
    "method": "$context.httpMethod",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "latency": "$context.responseLatency",
    "integrationLatency": "$context.integrationLatency",
    "client": "$context.authorizer.claims.client_id",
    "ip": "$context.identity.sourceIp",
    "error": "$context.error.responseType",
}
"""A line per request; no body, so that no caller's record is ever logged."""
FAILED = '{ ($.status = "5*") && (($.status != "503") || ($.error != "-")) }'
"""A line of a failure. A 503 of the model's own, and not of the gateway, says that none is released yet:
that is no failure, and nobody need be called for it."""
FAILURES = "Failures"
"""The metric that counts such lines of a workload's first API."""
BINARY = (openapi.RECORDS, openapi.PROBABILITIES)
"""Bytes for these alone: all else reaches the function as text, which costs it no base64."""
ANYTHING = ("*/*",)
"""Bytes for every request: clients of the protocol do not say what they send."""


@dataclass(frozen=True)
class Errors:
    """The form of the gateway's own errors: ``write`` takes status, title and what to do."""

    media_type: str
    write: Callable[[int | None, str, str], str]


def _problem(status: int | None, title: str, detail: str) -> str:
    """A problem document; without a status of its own it leaves the member out, as RFC 9457 allows."""
    document = {"type": "about:blank", "title": title, "detail": detail, "request_id": "$context.requestId"}
    if status is not None:
        document = {**document, "status": "STATUS"}
    return json.dumps(document).replace('"STATUS"', str(status))


def _protocol_error(_status: int | None, title: str, detail: str) -> str:
    return json.dumps({"error": f"{title}: {detail} (request $context.requestId)"})


DOCUMENTS = Errors("application/problem+json", _problem)
PROTOCOL = Errors("application/json", _protocol_error)
"""The Open Inference Protocol's."""


def parts(settings: Settings) -> tuple[str, ...]:
    """The APIs of each workload, the first one first: the function's two, that of the endpoint."""
    of_function = ("", INFERENCE) if settings.function_answers else ()
    return (*of_function, *((ENDPOINT,) if settings.has_endpoint else ()))


def failures(part: str) -> str:
    """Name of the metric that counts failures of the API ``part``: ``Failures``, ``EndpointFailures``."""
    return f"{part.title()}{FAILURES}"


class Api(Construct):
    """Exposes ``api`` and ``url`` (no trailing slash).

    Every method asks for a token with the scope; or, where the settings say so, for the signature of an IAM
    identity, and then a managed policy lets whoever it is attached to call this API.

    ``function_arn`` (of a version or an alias, too) answers all ``routes``. ``part`` tells an API that stands
    beside the workload's first one apart from it: in its name, its log and the metric of its failures.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        workload: str,
        *,
        function_arn: str,
        user_pool: cognito.IUserPool,
        oauth_scope: str,
        part: str = "",
        routes: Sequence[tuple[str, str]] = ROUTES,
        binary_media_types: Sequence[str] = BINARY,
        errors: Errors = DOCUMENTS,
    ) -> None:
        super().__init__(scope, id)
        self.settings, self.workload = settings, workload
        self.function_arn, self.part, self.routes = function_arn, part, routes
        self.api = self._build_api(binary_media_types)
        self._keep_execution_log()
        if settings.signed:
            self._add_signed_routes()
        else:
            self._add_routes(user_pool, oauth_scope)
        self._add_errors(errors)
        self._let_api_invoke()
        self.url = url(self, settings, self.api.rest_api_id)
        self._publish_id()

    def _build_api(self, binary_media_types: Sequence[str]) -> apigateway.RestApi:
        serving, access_log = self.settings.serving, self._build_access_log()
        self._count_failures(access_log)
        api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=self.settings.name(self.workload, self.part),
            description=f"Predictions of the workload {self.workload} {self.part}".rstrip(),
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            # One role serves all APIs of the account.
            cloud_watch_role=self.settings.cloudwatch_role and self.part == parts(self.settings)[0],
            binary_media_types=list(binary_media_types),
            deploy_options=apigateway.StageOptions(
                stage_name=STAGE,
                throttling_rate_limit=serving.rate,
                throttling_burst_limit=serving.burst,
                metrics_enabled=True,
                tracing_enabled=True,
                # Errors only and no data trace: execution logs may hold what callers sent.
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                data_trace_enabled=False,
                access_log_destination=apigateway.LogGroupLogDestination(access_log),
                access_log_format=apigateway.AccessLogFormat.custom(
                    json.dumps({**self._about, **ACCESS_LOG, "client": self._client()})
                ),
            ),
        )
        self._demand_modern_tls(api)
        if role := api.node.try_find_child("CloudWatchRole"):
            policy = "arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
            acknowledge(
                role,
                f"IAM4[Policy::{policy}]",
                "API Gateway asks for this policy; the role serves the whole account.",
            )
        acknowledge(
            api, "APIG2", "The function checks bodies itself: its answers name the record and the field."
        )
        acknowledge(
            api.deployment_stage,
            "APIG3",
            "Callers are machines with a token, throttled by the stage; a firewall is the owner's choice.",
        )
        return api

    @staticmethod
    def _demand_modern_tls(api: apigateway.RestApi) -> None:
        """TLS 1.3, or 1.2 with forward secrecy; the host asked for must be that of the handshake."""
        resource = api.node.default_child
        assert isinstance(resource, apigateway.CfnRestApi)
        resource.add_property_override("SecurityPolicy", "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09")
        resource.add_property_override("EndpointAccessMode", "STRICT")

    def _build_access_log(self) -> logs.LogGroup:
        name = self.settings.logs(self.workload, self._own("api"))
        return logs.LogGroup(self, "AccessLog", log_group_name=name)

    def _own(self, name: str) -> str:
        """``name``, told apart from that of another API of the workload."""
        return f"{self.part}-{name}" if self.part else name

    def _client(self) -> str:
        """What a line of the log calls the caller by."""
        return "$context.identity.userArn" if self.settings.signed else ACCESS_LOG["client"]

    @property
    def _about(self) -> dict[str, str]:
        """What a line says of where it comes from; its metrics have these dimensions."""
        return {"environment": self.settings.env, "workload": self.workload}

    def _count_failures(self, access_log: logs.LogGroup) -> None:
        access_log.add_metric_filter(
            "Failures",
            filter_name=self.settings.name(self.workload, self._own("failures")),
            filter_pattern=logs.FilterPattern.literal(FAILED),
            metric_namespace=NAMESPACE,
            metric_name=failures(self.part),
            dimensions={name.title(): f"$.{name}" for name in self._about},
            unit=cloudwatch.Unit.COUNT,
        )

    def _keep_execution_log(self) -> None:
        """API Gateway would make this group itself, unencrypted and kept for ever."""
        name = f"API-Gateway-Execution-Logs_{self.api.rest_api_id}/{STAGE}"
        group = logs.LogGroup(self, "ExecutionLog", log_group_name=name)
        self.api.deployment_stage.node.add_dependency(group)

    def _add_routes(self, user_pool: cognito.IUserPool, oauth_scope: str) -> None:
        authorizer = apigateway.CognitoUserPoolsAuthorizer(
            self,
            "Authorizer",
            cognito_user_pools=[user_pool],
            authorizer_name=self.settings.name(self.workload, self.part),
        )
        for verb, path in self.routes:
            self.api.root.resource_for_path(path).add_method(
                verb,
                self._integration(),
                authorizer=authorizer,
                authorization_type=apigateway.AuthorizationType.COGNITO,
                authorization_scopes=[oauth_scope],
            )

    def _add_signed_routes(self) -> None:
        for verb, path in self.routes:
            method = self.api.root.resource_for_path(path).add_method(
                verb, self._integration(), authorization_type=apigateway.AuthorizationType.IAM
            )
            acknowledge(method, "COG4", "Callers of this environment sign with an IAM identity of theirs.")
        policy = self._build_caller_policy()
        output = cdk.CfnOutput(self, "CallerPolicy", value=policy.managed_policy_arn)
        output.override_logical_id(f"{self.part.title()}CallerPolicy")

    def _build_caller_policy(self) -> iam.ManagedPolicy:
        routes = [(verb, path.replace("{model}", self.workload)) for verb, path in self.routes]
        called = [self.api.arn_for_execute_api(verb, f"/{path}", STAGE) for verb, path in routes]
        policy = iam.ManagedPolicy(
            self,
            "Callers",
            managed_policy_name=self.settings.name(self.workload, self._own("caller")),
            description=f"Call the API {self.settings.name(self.workload, self.part)}",
            statements=[iam.PolicyStatement(actions=["execute-api:Invoke"], resources=called)],
        )
        for arn in [arn for arn in called if "*" in arn]:
            acknowledge_resource(policy, arn, "A version of the model is named by the caller.")
        return policy

    def _integration(self) -> apigateway.Integration:
        return apigateway.Integration(
            type=apigateway.IntegrationType.AWS_PROXY, integration_http_method="POST", uri=self._invocation()
        )

    def _invocation(self) -> str:
        stack = cdk.Stack.of(self)
        path = f"lambda:path/2015-03-31/functions/{self.function_arn}/invocations"
        return f"arn:{stack.partition}:apigateway:{stack.region}:{path}"

    def _add_errors(self, errors: Errors) -> None:
        problems = SIGNED_PROBLEMS if self.settings.signed else PROBLEMS
        for name, (status, title, detail) in problems.items():
            self.api.add_gateway_response(
                f"Problem{name.title().replace('_', '')}",
                type=apigateway.ResponseType.of(name),
                status_code=None if status is None else str(status),
                response_headers={
                    "Content-Type": f"'{errors.media_type}'",
                    "Cache-Control": "'no-store'",
                },
                templates={"application/json": errors.write(status, title, detail)},
            )

    def _let_api_invoke(self) -> None:
        lambda_.CfnPermission(
            self,
            "Invoke",
            action="lambda:InvokeFunction",
            function_name=self.function_arn,
            principal="apigateway.amazonaws.com",
            source_arn=self.api.arn_for_execute_api(stage=STAGE),
        )

    def _publish_id(self) -> None:
        """By name: of a stack that other stacks import from, CloudFormation lets no API go."""
        ssm.StringParameter(
            self,
            "Id",
            parameter_name=id_parameter(self.settings, self.workload, self.part),
            description=f"Id of the API {self.settings.name(self.workload, self.part)}, for the release",
            string_value=self.api.rest_api_id,
        )


@dataclass(frozen=True)
class Published:
    """An API of another stack, as it is when ``stack`` is deployed, which must be after that one."""

    stack: cdk.Stack
    settings: Settings
    workload: str
    part: str

    @property
    def id(self) -> str:
        """The REST API's id."""
        name = id_parameter(self.settings, self.workload, self.part)
        return ssm.StringParameter.value_for_string_parameter(self.stack, name)

    @property
    def url(self) -> str:
        """Where it answers, without a trailing slash."""
        return url(self.stack, self.settings, self.id)

    def arn(self, verb: str, path: str) -> str:
        """What a caller who signs must be allowed to invoke; ``path`` begins with a slash."""
        stack = self.stack
        place = f"{stack.region}:{stack.account}:{self.id}"
        return f"arn:{stack.partition}:execute-api:{place}/{STAGE}/{verb}{path}"


def id_parameter(settings: Settings, workload: str, part: str) -> str:
    """Name of the SSM parameter with an API's id: ``/millrace/dev/flights/api``, ``…/endpoint-api``."""
    return settings.parameter(workload, f"{part}-api" if part else "api")


def url(scope: Construct, settings: Settings, api_id: str) -> str:
    """Where an API answers, without a trailing slash."""
    if settings.emulator:
        return f"{settings.emulator}/restapis/{api_id}/{STAGE}/_user_request_"
    stack = cdk.Stack.of(scope)
    return f"https://{api_id}.execute-api.{stack.region}.{stack.url_suffix}/{STAGE}"
