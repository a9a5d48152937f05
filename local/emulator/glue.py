"""Glue: job runs that run. MiniStack reports a Spark job as succeeded without starting it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import shutil
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response, new_uuid
from ministack.services import glue

from local.emulator import gateway
from local.executors import spark
from local.hooks import expect, replace

log = logging.getLogger("millrace.glue")

Handler = Callable[..., Awaitable[Any]]
ENDED = {"SUCCEEDED", "FAILED", "TIMEOUT", "STOPPED", "ERROR"}
_starting = threading.Lock()
_POINTS_TO_DATA = {"CreateTable", "UpdateTable", "CreatePartition", "BatchCreatePartition"}


def install() -> None:
    """Replace StartJobRun, and let data be uploaded before a table points to it."""
    expect(glue, "_jobs")
    expect(glue, "_job_runs")
    replace(glue, "_start_job_run", ("data",), lambda _: start_job_run)
    replace(glue, "handle_request", ("method", "path", "headers", "body", "query_params"), _flush_first)


def _flush_first(original: Handler) -> Handler:
    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> Any:
        if headers.get("x-amz-target", "").rpartition(".")[2] in _POINTS_TO_DATA:
            await asyncio.to_thread(spark.flush)
        return await original(method, path, headers, body, query_params)

    return handle_request


def start_job_run(data: dict[str, Any]) -> Any:
    """StartJobRun: record a run of the job and execute it on a thread."""
    job = glue._jobs.get(data.get("JobName"))
    if job is None:
        return error_response_json("EntityNotFoundException", f"Job {data.get('JobName')} not found", 400)
    if job.get("Command", {}).get("Name") != "glueetl":
        return error_response_json(
            "InvalidInputException", "the local environment runs glueetl (Spark) jobs only", 400
        )
    run = _record(job, data)
    with _starting:
        runs = glue._job_runs.setdefault(job["Name"], [])
        if sum(1 for other in runs if other["JobRunState"] not in ENDED) >= _most_at_once(job):
            return error_response_json(
                "ConcurrentRunsExceededException", f"Concurrent runs exceeded for {job['Name']}", 400
            )
        runs.append(run)
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_execute, job, run), daemon=True).start()
    return json_response({"JobRunId": run["Id"]})


def _most_at_once(job: dict[str, Any]) -> int:
    return int((job.get("ExecutionProperty") or {}).get("MaxConcurrentRuns", 1))


def _record(job: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    now = int(time.time())
    kept = ("WorkerType", "NumberOfWorkers", "SecurityConfiguration", "GlueVersion", "MaxCapacity")
    return {
        **{name: job[name] for name in kept if job.get(name) is not None},
        "Id": "jr_" + new_uuid().replace("-", ""),
        "JobName": job["Name"],
        "Attempt": 0,
        "StartedOn": now,
        "LastModifiedOn": now,
        "JobRunState": "STARTING",
        "Arguments": {key: str(value) for key, value in data.get("Arguments", {}).items()},
        "PredecessorRuns": [],
        "ExecutionTime": 0,
        "Timeout": data.get("Timeout") or job.get("Timeout") or 480,
        "LogGroupName": spark.log_prefix(job.get("DefaultArguments", {})),
    }


def _execute(job: dict[str, Any], record: dict[str, Any]) -> None:
    folder = gateway.root() / "jobs" / record["Id"]
    run = spark.Run(
        identity=record["Id"],
        script=job["Command"]["ScriptLocation"],
        arguments=_arguments(job, record),
        folder=folder,
        timeout_seconds=int(record["Timeout"]) * 60,
        stopped=lambda: record["JobRunState"] == "STOPPED",
    )
    _update(record, JobRunState="RUNNING")
    try:
        run.execute()
    except Exception as error:
        log.exception("job run %s", record["Id"])
        run.state, run.error = "FAILED", f"the local Glue executor broke: {error!r}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    now = int(time.time())
    ended = {"CompletedOn": now, "ExecutionTime": now - record["StartedOn"], "JobRunState": run.state}
    _update(record, **({"ErrorMessage": run.error} if run.error else {}), **ended)


def _update(record: dict[str, Any], **changes: Any) -> None:
    if record["JobRunState"] == "STOPPED":  # BatchStopJobRun had the last word
        changes.pop("JobRunState", None)
    record.update(changes, LastModifiedOn=int(time.time()))


def _arguments(job: dict[str, Any], record: dict[str, Any]) -> dict[str, str]:
    own = {"--JOB_NAME": job["Name"], "--JOB_RUN_ID": record["Id"]}
    merged = {**job.get("DefaultArguments", {}), **own, **record["Arguments"]}
    return {name: str(value) for name, value in merged.items()}
