"""Lambda: layers merged as on AWS, error classes, logs without waiting, metrics of every caller.

A Python function here runs in a worker process that MiniStack starts. The worker's script speaks
JSON lines over the process's standard output; what is edited below keeps that channel apart from
what a handler writes, and marks where an invocation's log ends so that nobody has to wait for it.
"""

from __future__ import annotations

import contextvars
import queue
import time
from collections.abc import Callable
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import cloudwatch, lambda_svc

from local.hooks import edit_text, expect, replace

Result = dict[str, Any]

END_OF_LOG = "\x00millrace-end-of-log\x00"
_LONGEST_WAIT_SECONDS = 2.0

_PROLOGUE = '''
def _millrace_prepare():
    """Keep file descriptor 1 for the handler's output (AWS logs it); answers leave by a copy of it."""
    import os, shutil, sys
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = answers
    layers = [folder for folder in os.environ.get("_LAMBDA_LAYERS_DIRS", "").split(os.pathsep) if folder]
    root = layers[0] if len(layers) == 1 else os.path.join(os.path.dirname(os.getcwd()), "opt")
    for folder in layers[:0] if len(layers) == 1 else layers:
        shutil.copytree(folder, root, dirs_exist_ok=True)
    os.environ["LAMBDA_LAYER_ROOT"] = root

def _millrace_end_log():
    import sys
    sys.stderr.write("__END_OF_LOG__\\n")
    sys.stderr.flush()

_millrace_prepare()
'''.replace("__END_OF_LOG__", END_OF_LOG.encode("unicode_escape").decode())


class ErrorText(str):
    """An error's message that remembers the class of the exception."""

    __slots__ = ("kind",)
    kind: str


def install() -> None:
    """Edit the worker's script, and replace how its log is read and how errors and metrics are reported."""
    _edit_worker()
    worker = expect(lambda_runtime, "Worker")
    replace(
        worker,
        "_drain_stderr_bounded",
        ("self", "first_line_wait", "idle_confirm", "hard_cap"),
        _drain_to_mark,
    )
    replace(
        worker,
        "invoke",
        ("self", "event", "request_id", "trace_id", "depth", "durable", "invoked_function_arn"),
        _keep_error_class,
    )
    replace(lambda_svc, "_execute_function_warm", ("func", "event", "request_id"), _report_error_class)
    replace(
        lambda_svc,
        "_emit_lambda_metrics",
        ("function_name", "duration_ms", "error", "throttle"),
        lambda _: lambda *_args, **_kwargs: None,
    )
    replace(lambda_svc, "_execute_function", ("func", "event"), _measure)
    expect(lambda_svc, "_functions")
    replace(lambda_svc, "_get_func_record_for_ref", ("function_ref",), _name_the_alias)


def _edit_worker() -> None:
    script = "_PYTHON_WORKER_SCRIPT"
    edit_text(
        lambda_runtime,
        script,
        '"error": str(e), "trace"',
        '"error": str(e), "error_class": type(e).__name__, "trace"',
    )
    edit_text(
        lambda_runtime,
        script,
        "            result = handler_fn(event, context)\n",
        "            try:\n"
        "                result = handler_fn(event, context)\n"
        "            finally:\n"
        "                _millrace_end_log()\n",
    )
    lambda_runtime._PYTHON_WORKER_SCRIPT = _PROLOGUE + lambda_runtime._PYTHON_WORKER_SCRIPT


def _drain_to_mark(original: Callable[..., str]) -> Callable[..., str]:
    """Read an invocation's log up to its mark, instead of waiting whether more might come."""

    def drain(self: Any, *waits: float, **named: float) -> str:
        if not str(self.config.get("Runtime", "")).startswith("python"):
            return original(self, *waits, **named)
        lines: list[str] = []
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._stderr_queue.get(timeout=left)
            except queue.Empty:
                break
            if line.endswith(END_OF_LOG):
                lines += [line.removesuffix(END_OF_LOG)] if line != END_OF_LOG else []
                break
            lines.append(line)
        return "\n".join(lines)

    return drain


def _keep_error_class(original: Callable[..., Result]) -> Callable[..., Result]:
    def invoke(self: Any, event: Any, request_id: str, **context: Any) -> Result:
        result = original(self, event, request_id, **context)
        if "error_class" in result:
            text = ErrorText(result["error"])
            text.kind = result["error_class"]
            result["error"] = text
        return result

    return invoke


def _report_error_class(original: Callable[..., Result]) -> Callable[..., Result]:
    def execute(func: Result, event: Any, request_id: str) -> Result:
        result = original(func, event, request_id)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict):
            message = body.get("errorMessage")
            if isinstance(message, ErrorText):
                body.update(errorType=message.kind, errorMessage=str(message), requestId=request_id)
        return result

    return execute


def _name_the_alias(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function that is called by an alias carry the alias's ARN, as its context does on AWS."""

    def find(function_ref: str) -> Any:
        record, config, name = original(function_ref)
        qualifier = str(function_ref).rpartition(":")[2]
        function = lambda_svc._functions.get(name)
        if record is None or function is None or qualifier not in function.get("aliases", {}):
            return record, config, name
        arn = function["config"]["FunctionArn"].removesuffix(":$LATEST")
        config = {**config, "FunctionArn": f"{arn}:{qualifier}"}
        return {**record, "config": config}, config, name

    return find


_measuring: contextvars.ContextVar[bool] = contextvars.ContextVar("measuring", default=False)


def _measure(original: Callable[..., Result]) -> Callable[..., Result]:
    """Count every invocation, whoever the caller, by function, by alias, and by version."""

    def execute(func: Result, event: Any) -> Result:
        if _measuring.get():  # MiniStack enters again, under the function's account
            return original(func, event)
        token = _measuring.set(True)
        started = time.perf_counter()
        try:
            result = original(func, event)
        finally:
            _measuring.reset(token)
        _record(func.get("config") or func, result, (time.perf_counter() - started) * 1000)
        return result

    return execute


def _record(config: Result, result: Result, milliseconds: float) -> None:
    values = (
        ("Invocations", 1, "Count"),
        ("Errors", int(bool(result.get("error"))), "Count"),
        ("Throttles", int(bool(result.get("throttle"))), "Count"),
        ("Duration", milliseconds, "Milliseconds"),
    )
    for dimensions in _dimensions(config):
        for metric, value, unit in values:
            cloudwatch.record_metric("AWS/Lambda", metric, value, unit, dimensions)


def _dimensions(config: Result) -> list[dict[str, str]]:
    name = config.get("FunctionName", "")
    resource = config.get("FunctionArn", "").rpartition(":function:")[2]
    found = [{"FunctionName": name}]
    if ":" in resource:
        qualified = {"FunctionName": name, "Resource": resource}
        found += [qualified, {**qualified, "ExecutedVersion": config.get("Version", "$LATEST")}]
    return found
