from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from cli.commands import logs
from cli.errors import CliError
from cli.job_lines import identity, read, telling
from cli.log_sources import PARTS, Source, sources
from cli.session import Session, session


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("9999999d", logs.LONGEST),
        (f"{'9' * 5000}d", logs.LONGEST),
    ],
)
def test_ages_are_read(text: str, age: timedelta) -> None:
    assert logs.age(text) == age


@pytest.mark.parametrize("text", ["", "15", "m", "1 hour", "-1m"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(CliError, match="is not an age"):
        logs.age(text)


def test_a_part_without_logs_is_refused_with_those_that_have_some() -> None:
    assert logs.chosen("all") == list(PARTS)
    with pytest.raises(CliError, match="name one of preprocess, train, package, release, predict, endpoint"):
        logs.chosen("gate")


def test_all_parts_become_one_stream_in_order_and_no_line_comes_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = {
        "train": [event("a", 30, "epoch 1\n"), event("b", 10, "starts")],
        "predict": [event("c", 20, "asked"), event("e", 20, "answered")],
    }
    monkeypatch.setattr(logs, "sources", lambda here, part: [Source(part)])
    monkeypatch.setattr(logs, "read", lambda here, source, start: lines[source.group])
    seen: set[str] = set()
    shown = list(logs.fresh(session("local"), ["train", "predict"], 0, seen))
    assert shown == [
        (10, "train", "starts"),
        (20, "predict", "asked"),
        (20, "predict", "answered"),
        (30, "train", "epoch 1"),
    ]
    lines["predict"].append(event("d", 5, "late"))
    assert list(logs.fresh(session("local"), ["train", "predict"], 0, seen)) == [(5, "predict", "late")]


def test_events_without_an_id_are_told_apart_by_what_they_say() -> None:
    lines = [{"timestamp": 1, "message": "a"}, {"timestamp": 1, "message": "b"}]
    assert len({identity(line) for line in lines}) == 2


def event(identity: str, moment: int, message: str) -> dict[str, Any]:
    return {"eventId": identity, "timestamp": moment, "message": message}


def test_groups_that_all_jobs_share_are_read_by_the_job_s_own_streams() -> None:
    here = session("dev", "flights")
    assert sources(here, "train") == [Source("/aws/sagemaker/TrainingJobs", "millrace-dev-flights-")]
    assert groups(here, "predict") == ["/millrace/dev/flights/predict"]
    assert groups(here, "preprocess") == [
        "/millrace/dev/flights/preprocess/output",
        "/millrace/dev/flights/preprocess/error",
    ]


def test_an_endpoint_has_logs_only_where_there_is_one() -> None:
    alone = session("dev", "flights")
    assert groups(alone, "endpoint") == []
    serving = replace(alone.settings.serving, targets=("lambda", "endpoint"))
    both = replace(alone, settings=replace(alone.settings, serving=serving))
    assert groups(both, "endpoint") == [
        "/aws/sagemaker/Endpoints/millrace-dev-flights",
        "/millrace/dev/flights/forward",
    ]
    (machine,) = set(groups(both, "release")) - set(groups(alone, "release"))
    assert machine == "/aws/vendedlogs/states/millrace-dev-flights-endpoint"


def groups(here: Session, part: str) -> Sequence[str]:
    return [source.group for source in sources(here, part)]


def test_a_group_that_is_not_there_yet_is_empty() -> None:
    here = session("local")
    with Stubber(here.client("logs")) as stub:
        stub.add_client_error("filter_log_events", "ResourceNotFoundException")
        assert read(here, Source("/not/there"), 0) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("millrace epoch=3 train_loss=0.5", "epoch=3 train_loss=0.5"),
        ("[rank 0] millrace rows=7", "rows=7"),
        ("starting millrace in /opt", ""),
        ("epoch=3", ""),
        ('{"event": "started", "stage": "clean flights"}', "clean flights …"),
        (
            '{"event": "finished", "stage": "clean flights", "seconds": 62.4, "read": 9, "x": {}}',
            "clean flights: 1 min 02 s · read 9",
        ),
        ('{"level": "INFO", "message": "request"}', ""),
        ("{not json", ""),
    ],
)
def test_lines_that_tell_of_progress_are_told_from_others(line: str, found: str) -> None:
    assert telling(line) == found
