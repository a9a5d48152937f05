"""The access log of a REST API's stage. MiniStack drops the setting and writes no line."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any

from ministack.services import apigateway_v1, cloudwatch_logs
from ministack.services.cloudformation import provisioners

from local.hooks import expect

log = logging.getLogger("millrace.access-log")

_STREAM = "emulator"
_NOTHING = "-"
"""What stands for a variable without a value."""
_VARIABLE = re.compile(r"\$context\.[A-Za-z_.]*[A-Za-z_]")


def install() -> None:
    """Keep a stage's setting, so that ``write`` finds it."""
    expect(apigateway_v1, "_stages_v1")
    expect(apigateway_v1, "_match_resource_tree", ("api_id", "segments"))
    expect(apigateway_v1, "_match_greedy_fallback", ("api_id", "segments", "http_method"))
    for name in ("_create_log_stream", "_put_log_events"):
        expect(cloudwatch_logs, name, ("data",))
    handlers = expect(provisioners, "_RESOURCE_HANDLERS")["AWS::ApiGateway::Stage"]
    expect(provisioners, "_apigw_stage_create", ("logical_id", "props", "stack_name"))
    for verb in ("create", "update"):
        handlers[verb] = _keep_setting(handlers[verb])


def _keep_setting(original: Callable[..., Any]) -> Callable[..., Any]:
    """``original`` creates (id, new, stack) or updates (id, old, new, stack)."""

    def provision(*given: Any, **named: Any) -> Any:
        done = original(*given, **named)
        properties = [each for each in given if isinstance(each, dict)][-1]
        stage = apigateway_v1._stages_v1.get(properties["RestApiId"], {}).get(properties["StageName"])
        setting = properties.get("AccessLogSetting") or {}
        if stage is not None:
            stage["accessLogSettings"] = {
                "destinationArn": setting.get("DestinationArn", ""),
                "format": setting.get("Format", ""),
            }
        return done

    return provision


def route(api: str, method: str, path: str) -> str:
    """The path of the resource that a request is routed to, its parameters as the API names them."""
    segments = [part for part in path.split("/") if part]
    resource, _ = apigateway_v1._match_resource_tree(api, segments)
    verbs = (resource or {}).get("resourceMethods") or {}
    if method not in verbs and "ANY" not in verbs:
        resource = apigateway_v1._match_greedy_fallback(api, segments, method)[0] or resource
    return resource["path"] if resource else _NOTHING


def write(api: str, stage: str, known: dict[str, str]) -> None:
    """Write a request's line. ``known`` are the variables that have a value here; others are ``-``."""
    setting = (apigateway_v1._stages_v1.get(api, {}).get(stage) or {}).get("accessLogSettings") or {}
    if not setting.get("format"):
        return
    place = {
        "logGroupName": setting["destinationArn"].partition(":log-group:")[2].removesuffix(":*"),
        "logStreamName": _STREAM,
    }
    line = _VARIABLE.sub(lambda variable: known.get(variable[0], _NOTHING), setting["format"])
    cloudwatch_logs._create_log_stream(place)  # refused where it exists already, which is as good
    events = [{"timestamp": int(time.time() * 1000), "message": line}]
    answer = cloudwatch_logs._put_log_events({**place, "logEvents": events})
    if answer[0] >= 400:
        log.warning("no access log in %s: %s", place["logGroupName"], answer[2])
