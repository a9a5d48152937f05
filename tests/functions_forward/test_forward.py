"""The function that passes requests on, against a SageMaker runtime that a server on this machine plays."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from functions.forward import problem as problems
from functions.forward.envelope import TYPE, UNCOUNTED, Counts, EnvelopeError, unwrap, wrap
from functions.forward.forwarder import Forwarder
from functions.forward.settings import Credentials, Settings
from functions.forward.signature import signed
from functions.predict.core import UNRELEASED
from functions.predict.journal import Journal
from functions.predict.problem import Problem

Answer = tuple[int, dict[str, str], bytes]
PREDICT = "/v1/models/{model}/predict"


class Context:
    """Lambda's, as far as it is read."""

    aws_request_id = "lambda-1"

    def __init__(self, milliseconds: int = 5000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


class Runtime:
    """What the runtime answers, and what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[], Answer] = lambda: enveloped(200, b'{"predictions":[]}')
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.dropped = 0
        """Requests that are taken and not answered: the connection is closed."""


def enveloped(
    status: int,
    body: bytes,
    headers: dict[str, str] | None = None,
    *,
    binary: bool = False,
    counts: Any = None,
) -> Answer:
    about = {
        "status": status,
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "bytes": binary,
        **(counts or {}),
    }
    return 200, {"Content-Type": TYPE}, json.dumps(about).encode() + b"\n" + body


def refused(status: int, kind: str, **members: Any) -> Answer:
    return status, {"x-amzn-errortype": f"{kind}:http://internal/"}, json.dumps(members).encode()


def serve(runtime: Runtime) -> ThreadingHTTPServer:
    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            runtime.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            runtime.asked.append((self.path, headers, body))
            if runtime.dropped:
                runtime.dropped -= 1
                self.close_connection = True
                return
            status, more, content = runtime.answer()
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def forwarder(runtime: Runtime) -> Iterator[Forwarder]:
    server = serve(runtime)
    yield Forwarder.start(settings(server.server_port))
    server.shutdown()
    server.server_close()


def settings(port: int) -> Settings:
    return Settings(
        environment="dev",
        endpoint="millrace-dev-flights",
        workload="flights",
        url=f"http://127.0.0.1:{port}",
        region="us-east-1",
        credentials=Credentials("AKIDEXAMPLE", "secret", "session"),
    )


def event(body: str | None = '{"records":[{}]}', *, method: str = "POST", **more: Any) -> dict[str, Any]:
    return {
        "httpMethod": method,
        "resource": PREDICT,
        "pathParameters": {"model": "flights"},
        "headers": {"Content-Type": "application/json"},
        "requestContext": {"requestId": "r-1"},
        "body": body,
        "isBase64Encoded": False,
        **more,
    }


def attributes(headers: dict[str, str]) -> dict[str, str]:
    """What the one header says that SageMaker hands on."""
    version, _, token = headers["x-amzn-sagemaker-custom-attributes"].partition(";")
    assert version == "millrace=1"
    return dict(json.loads(base64.urlsafe_b64decode(token)))


# ---- there --------------------------------------------------------------------------------------


def test_given_a_request_then_the_endpoint_gets_body_type_and_the_rest_in_one_header(
    forwarder: Forwarder, runtime: Runtime
) -> None:
    forwarder.answer(event(), Context())
    ((path, headers, body),) = runtime.asked
    assert path == "/endpoints/millrace-dev-flights/invocations"
    assert body == b'{"records":[{}]}'
    assert headers["content-type"] == "application/json"
    assert attributes(headers) == {
        "route": PREDICT,
        "model": "flights",
        "request_id": "r-1",
        "content_encoding": "",
        "accept": "",
    }


def test_given_bytes_then_they_travel_as_bytes_with_what_is_accepted(
    forwarder: Forwarder, runtime: Runtime
) -> None:
    headers = {
        "content-type": "application/vnd.millrace.records",
        "accept": "application/vnd.millrace.probabilities, application/json;q=0.5",
    }
    body = base64.b64encode(b"MRB1\x00\xff").decode()
    forwarder.answer(event(body, isBase64Encoded=True, headers=headers), Context())
    ((_, sent, content),) = runtime.asked
    assert content == b"MRB1\x00\xff"
    assert sent["content-type"] == "application/vnd.millrace.records"
    assert attributes(sent)["accept"] == "application/vnd.millrace.probabilities"


@pytest.mark.parametrize(
    ("is_bytes", "coding", "carried"),
    [(True, "gzip", "gzip"), (False, "gzip", ""), (False, "br", "br")],
    ids=["packed still", "unpacked by the gateway", "what the model refuses"],
)
def test_given_a_packed_body_then_the_model_is_told_only_of_what_is_packed_still(
    is_bytes: bool, coding: str, carried: str
) -> None:
    headers = {"Content-Encoding": coding}
    body = base64.b64encode(b"x").decode()
    sent, _ = wrap(event(body, isBase64Encoded=is_bytes, headers=headers), "r-1")
    assert attributes(sent)["content_encoding"] == carried


@pytest.mark.parametrize("chosen", ["x" * 5000, "é" * 300, '"\\' * 300, "\x00\n" * 300])
def test_given_whatever_a_caller_writes_then_the_header_stays_what_sagemaker_takes(chosen: str) -> None:
    asked = event(
        pathParameters={"model": chosen},
        headers={"Accept": chosen, "Content-Type": chosen, "Content-Encoding": chosen},
    )
    headers, _ = wrap(asked, chosen)
    assert len(headers["x-amzn-sagemaker-custom-attributes"]) <= 1024
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert len(headers["content-type"]) <= 1024


def test_given_a_get_then_a_body_is_sent_that_nobody_reads() -> None:
    """SageMaker demands one."""
    _, body = wrap(event(None, method="GET", resource="/health", headers=None, pathParameters=None), "r-1")
    assert body == b"{}"


def test_given_no_body_then_none_is_sent_and_the_model_says_so() -> None:
    assert wrap(event(None), "r-1")[1] == b""


@pytest.mark.parametrize("token", ["", "session"], ids=["keys", "session"])
@pytest.mark.parametrize("kind", ["application/json", "application/json;  charset=utf-8"])
def test_given_a_request_then_it_is_signed_as_awss_own_sdk_signs_it(token: str, kind: str) -> None:
    path, body, now = (
        "/endpoints/millrace-dev-flights/invocations",
        b'{"a":1}',
        datetime(2026, 11, 24, 9, 8, 7, tzinfo=UTC),
    )
    plain = {
        "host": "runtime.sagemaker.eu-west-1.amazonaws.com",
        "content-type": kind,
        "x-amzn-sagemaker-custom-attributes": "millrace=1;e30=",
    }
    ours = signed(
        path, plain, body, credentials=Credentials("AKID", "secret", token), region="eu-west-1", now=now
    )

    signer = SigV4Auth(BotocoreCredentials("AKID", "secret", token or None), "sagemaker", "eu-west-1")
    request = AWSRequest("POST", f"https://{plain['host']}{path}", headers=plain, data=body)
    request.context["timestamp"] = ours["x-amz-date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert ours["authorization"].endswith(f"Signature={signer.signature(text, request)}")
    assert f"Credential={signer.scope(request)}," in ours["authorization"]
    names = signer.signed_headers(signer.headers_to_sign(request))
    assert f"SignedHeaders={names}," in ours["authorization"]


# ---- and back -----------------------------------------------------------------------------------


def test_given_an_answer_then_status_headers_and_body_are_the_models(
    forwarder: Forwarder, runtime: Runtime
) -> None:
    headers = {"x-millrace-version": "run-2", "Cache-Control": "no-store"}
    runtime.answer = lambda: enveloped(422, '{"detail":"é"}'.encode(), headers)
    assert forwarder.answer(event(), Context()) == {
        "statusCode": 422,
        "headers": {"Content-Type": "application/json", **headers},
        "body": '{"detail":"é"}',
    }


def test_given_a_binary_answer_then_it_goes_to_the_gateway_in_base64() -> None:
    response = unwrap(enveloped(200, b"\x00\n\xff", binary=True)[2]).response
    assert response["isBase64Encoded"] is True
    assert base64.b64decode(response["body"]) == b"\x00\n\xff"


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"<html>", b"[]\n", b'{"status":200}\n', b'{"status":200,"headers":{},"bytes":false}\n\xff'),
        b'{"status":Infinity,"headers":{},"bytes":false}\n',
        b'{"status":99999,"headers":{},"bytes":false}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_given_an_answer_of_something_else_then_it_is_told_apart(content: bytes) -> None:
    with pytest.raises(EnvelopeError):
        unwrap(content)


def test_given_many_requests_then_they_share_one_connection(forwarder: Forwarder, runtime: Runtime) -> None:
    for _ in range(3):
        assert forwarder.answer(event(), Context())["statusCode"] == 200
    assert runtime.connections == 1


def test_given_a_connection_that_the_other_side_closed_then_the_request_is_sent_once_more(
    forwarder: Forwarder, runtime: Runtime
) -> None:
    forwarder.answer(event(), Context())
    runtime.dropped = 1
    assert forwarder.answer(event(), Context())["statusCode"] == 200
    assert len(runtime.asked) == 3


def test_given_connections_lost_again_and_again_then_it_is_a_502_after_the_second(
    forwarder: Forwarder, runtime: Runtime
) -> None:
    runtime.dropped = 9
    response = forwarder.answer(event(), Context())
    assert (response["statusCode"], len(runtime.asked)) == (502, 2)


# ---- when there is no answer --------------------------------------------------------------------

ABSENT = "Endpoint millrace-dev-flights of account 123456789012 not found."


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (refused(400, "ValidationError", Message=ABSENT), 503),
        (refused(400, "ValidationError", Message="Body is too large"), 502),
        (refused(424, "ModelError", OriginalStatusCode=500, OriginalMessage="Traceback"), 502),
        (refused(424, "ModelError", OriginalStatusCode=0, OriginalMessage="Your invocation timed out"), 504),
        (refused(403, "AccessDeniedException", Message="not authorized"), 502),
        (refused(503, "ServiceUnavailable", Message="busy"), 502),
        ((500, {}, b"<html>"), 502),
        ((200, {}, b"<html>"), 502),
    ],
)
def test_given_a_refusal_then_callers_get_a_problem_that_says_what_to_do(
    forwarder: Forwarder, runtime: Runtime, answer: Answer, status: int
) -> None:
    runtime.answer = lambda: answer
    response = forwarder.answer(event(), Context())
    document = json.loads(response["body"])
    assert response["statusCode"] == document["status"] == status
    assert response["headers"]["Content-Type"] == "application/problem+json"
    assert document["request_id"] == "r-1"
    assert document["detail"]


def test_given_no_endpoint_yet_then_it_is_answered_as_the_function_does_before_its_first_release(
    forwarder: Forwarder, runtime: Runtime
) -> None:
    runtime.answer = lambda: refused(400, "ValidationError", Message=ABSENT)
    response = forwarder.answer(event(None, method="GET", resource="/health"), Context())
    as_function = Problem(503, UNRELEASED).document("r-1", health="unreleased", model="flights")
    assert json.loads(response["body"]) == json.loads(as_function)
    assert problems.UNRELEASED == UNRELEASED


def test_given_a_model_that_takes_too_long_then_it_is_a_504_and_the_next_request_is_not_met_by_its_answer(
    forwarder: Forwarder, runtime: Runtime
) -> None:
    late = threading.Event()

    def slow() -> Answer:
        late.wait(5)
        return enveloped(200, b"late")

    runtime.answer = slow
    assert forwarder.answer(event(), Context(560))["statusCode"] == 504
    late.set()
    runtime.answer = lambda: enveloped(200, b"mine")
    assert forwarder.answer(event(), Context())["body"] == "mine"


def test_given_nobody_there_then_it_is_a_502() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert Forwarder.start(settings(port)).answer(event(), Context())["statusCode"] == 502


def test_given_a_body_that_is_no_base64_then_it_is_a_400(forwarder: Forwarder, runtime: Runtime) -> None:
    assert forwarder.answer(event("???", isBase64Encoded=True), Context())["statusCode"] == 400
    assert runtime.asked == []


# ---- the log ------------------------------------------------------------------------------------


def test_given_a_failure_then_the_log_says_why_and_quotes_neither_body_nor_container(
    forwarder: Forwarder, runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime.answer = lambda: refused(
        424, "ModelError", OriginalStatusCode=500, OriginalMessage="carrier ZZ", LogStreamArn="arn:stream"
    )
    forwarder.answer(event('{"records":[{"carrier":"ZZ"}]}'), Context())
    text = capsys.readouterr().out
    line = json.loads(text)
    assert (line["level"], line["status"], line["error"]) == ("ERROR", 502, "ModelError")
    assert (line["original_status"], line["log_stream"]) == (500, "arn:stream")
    assert "ZZ" not in text


MADE_AT = 1_700_000_000
COUNTED = {"records": 3, "warnings": 2, "made_at": MADE_AT}


def line_of(forwarder: Forwarder, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    forwarder.answer(event(), Context())
    (text,) = capsys.readouterr().out.splitlines()
    return dict(json.loads(text))


def test_given_an_answer_then_its_line_makes_the_metrics_that_the_predict_function_makes(
    forwarder: Forwarder, runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime.answer = lambda: enveloped(200, b"{}", {"x-millrace-version": "run-2"}, counts=COUNTED)
    before = time.time()
    line = line_of(forwarder, capsys)

    lines: list[dict[str, Any]] = []
    journal = Journal("dev", "flights", "run-2", MADE_AT, lambda text: lines.append(json.loads(text)))
    journal.request('"r-1"', f'"{PREDICT}"', 200, records=3, warnings=2, seconds=0.001)
    (own,) = lines
    measured = ("Latency", "_aws", "ModelAge")
    assert {name: line[name] for name in own if name not in measured} == {
        name: value for name, value in own.items() if name not in measured
    }
    assert line["_aws"]["CloudWatchMetrics"] == own["_aws"]["CloudWatchMetrics"]
    assert line["ModelAge"] == pytest.approx((before - MADE_AT) / 3600, abs=0.05)
    assert before * 1000 - 1 <= line["_aws"]["Timestamp"] <= time.time() * 1000
    assert line["Latency"] > 0


@pytest.mark.parametrize(
    "answer",
    [
        enveloped(200, b"{}"),
        refused(400, "ValidationError", Message="Endpoint millrace-dev-flights not found."),
        refused(424, "ModelError", OriginalStatusCode=500),
    ],
    ids=["an older image", "no endpoint", "a failure"],
)
def test_given_nothing_to_count_then_nothing_is_counted_and_no_age_is_told(
    forwarder: Forwarder, runtime: Runtime, capsys: pytest.CaptureFixture[str], answer: Answer
) -> None:
    runtime.answer = lambda: answer
    line = line_of(forwarder, capsys)
    assert (line["Records"], line["Warnings"]) == (0, 0)
    assert "ModelAge" not in json.dumps(line)


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        ({**COUNTED}, Counts(3, 2, MADE_AT)),
        ({**COUNTED, "made_at": None}, Counts(3, 2)),
        ({"records": "3", "warnings": True, "made_at": "today"}, UNCOUNTED),
        ({"records": -1, "warnings": 1e400, "made_at": -1}, UNCOUNTED),
        ({"records": 10**40, "warnings": [], "made_at": float("nan")}, UNCOUNTED),
    ],
)
def test_given_whatever_a_container_counts_then_its_answer_is_passed_on(
    told: dict[str, Any], counted: Counts
) -> None:
    answer = unwrap(enveloped(200, b"mine", counts=told)[2])
    assert (answer.response["body"], answer.counts) == ("mine", counted)


def test_given_an_url_that_is_not_https_then_the_function_does_not_start() -> None:
    plain = Settings(
        environment="dev",
        endpoint="e",
        workload="w",
        url="http://example.com",
        region="us-east-1",
        credentials=Credentials("a", "b"),
    )
    with pytest.raises(ValueError, match="not https"):
        Forwarder.start(plain)


def test_given_a_variable_that_is_missing_then_the_function_says_which() -> None:
    with pytest.raises(KeyError, match="MILLRACE_ENVIRONMENT"):
        Settings.read({})
