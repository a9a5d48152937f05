from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.history import AFTERMATH, Failure, innermost, lines, root_cause, states
from cli.runs import REMEDIES
from infra.machines import definition

START = datetime(2026, 11, 24, 5, 32, tzinfo=UTC)


def event(kind: str, seconds: float, **details: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": START + timedelta(seconds=seconds), **details}


def entered(name: str, seconds: float, kind: str = "Task") -> dict[str, Any]:
    return event(f"{kind}StateEntered", seconds, stateEnteredEventDetails={"name": name})


def exited(name: str, seconds: float, kind: str = "Task") -> dict[str, Any]:
    return event(f"{kind}StateExited", seconds, stateExitedEventDetails={"name": name})


def scheduled(seconds: float) -> dict[str, Any]:
    return event("TaskScheduled", seconds, taskScheduledEventDetails={"resource": "startJobRun.sync"})


def failed(seconds: float, error: str, cause: str) -> dict[str, Any]:
    return event("TaskFailed", seconds, taskFailedEventDetails={"error": error, "cause": cause})


def ended(seconds: float, error: str, cause: str) -> dict[str, Any]:
    return event("ExecutionFailed", seconds, executionFailedEventDetails={"error": error, "cause": cause})


RUN = [event("ExecutionStarted", 0), entered("Preprocess", 0), scheduled(0)]
GLUE = json.dumps({"JobRunState": "FAILED", "ErrorMessage": "rule delays: 0.9 is above 0.5"})


def test_states_are_read_with_attempts_and_durations() -> None:
    seen = states([*RUN, event("TaskSucceeded", 30), exited("Preprocess", 31), entered("Train", 31)])
    assert [(state.name, state.attempts) for state in seen] == [("Preprocess", 1), ("Train", 0)]
    assert seen[0].seconds(START) == 31
    assert seen[1].seconds(START + timedelta(seconds=41)) == 10


def test_a_state_in_a_map_does_not_end_the_map() -> None:
    inside = [entered("Each", 1, "Map"), entered("One", 1), exited("One", 2)]
    seen = states(inside)
    assert [state.exited is None for state in seen] == [True, False]
    assert all(state.exited for state in states([*inside, exited("Each", 3, "Map")]))


def test_only_what_is_new_is_told() -> None:
    before = states(RUN)
    assert lines([], before) == ["Preprocess          started"]
    assert lines(before, before) == []
    after = states([*RUN, event("TaskSucceeded", 30), exited("Preprocess", 31), entered("Train", 31)])
    assert lines(before, after) == ["Preprocess          done after 31 s", "Train               started"]


def test_a_failed_attempt_is_told_with_its_reason_and_forgotten_when_the_next_succeeds() -> None:
    before = states(RUN)
    again = [*RUN, failed(5, "Glue.ThrottlingException", "Rate exceeded"), scheduled(6)]
    told = lines(before, states(again))
    assert told == ["Preprocess          attempt 2 failed: Glue.ThrottlingException: Rate exceeded"]
    done = states([*again, event("TaskSucceeded", 30), exited("Preprocess", 31)])
    assert done[0].failure is None
    assert lines(states(again), done) == ["Preprocess          done after 31 s"]


def test_choices_and_waits_are_not_told() -> None:
    assert lines([], states([entered("Gate", 1, "Choice"), entered("Pause", 2, "Wait")])) == []


def test_the_reason_is_unwrapped_from_json_in_json() -> None:
    wrapped = json.dumps({"Cause": json.dumps({"FailureReason": "AlgorithmError: loss is NaN"})})
    assert innermost(wrapped) == "AlgorithmError: loss is NaN"
    assert innermost("plain\ntext ") == "plain\ntext"
    assert innermost('{"cut off": "in the mid') == '{"cut off": "in the mid'
    assert innermost("[1]") == "[1]"


def test_an_error_without_a_cause_is_still_named() -> None:
    assert Failure("States.Timeout", "").root == "States.Timeout"


def test_root_cause_of_a_caught_failure_is_that_of_the_state_that_failed() -> None:
    events = [
        *RUN,
        failed(9, "States.TaskFailed", GLUE),
        exited("Preprocess", 9),
        entered("Notify", 9),
        event("TaskSucceeded", 10),
        exited("Notify", 10),
        entered("Failed", 10, "Fail"),
        ended(10, "States.TaskFailed", "rule delays: 0.9 is above 0.5"),
    ]
    assert root_cause(events) == ("Preprocess", "rule delays: 0.9 is above 0.5")


def test_root_cause_of_a_refusal_names_the_state_that_decided() -> None:
    events = [
        *RUN,
        event("TaskSucceeded", 8),
        exited("Preprocess", 9),
        entered("Gate", 9, "Choice"),
        exited("Gate", 9, "Choice"),
        entered("Notify", 9),
        exited("Notify", 10),
        entered("Failed", 10, "Fail"),
        ended(10, "Millrace.GateNotMet", "test AUC 0.61 is below 0.70"),
    ]
    assert root_cause(events) == ("Gate", "test AUC 0.61 is below 0.70")


def test_root_cause_is_not_what_was_tried_again_or_expected() -> None:
    events = [
        entered("Lock", 0),
        scheduled(0),
        failed(1, "DynamoDB.ConditionalCheckFailedException", "The conditional request failed"),
        exited("Lock", 1),
        entered("Probe", 2),
        scheduled(2),
        failed(3, "ProbeError", json.dumps({"errorMessage": "503 from the API"})),
        exited("Probe", 3),
        entered("RestoreAlias", 3),
        exited("RestoreAlias", 4),
        ended(4, "ProbeError", "503 from the API"),
    ]
    assert root_cause(events) == ("Probe", "503 from the API")


def test_root_cause_without_a_cause_of_the_execution_is_the_task_s() -> None:
    events = [*RUN, failed(9, "States.TaskFailed", GLUE), event("ExecutionTimedOut", 9)]
    state, cause = root_cause(events)
    assert (state, cause) == ("Preprocess", "States.TaskFailed: rule delays: 0.9 is above 0.5")


def test_an_empty_history_has_a_root_cause_too() -> None:
    assert root_cause([]) == ("", "no cause was given")


def test_the_states_that_are_named_here_stand_in_the_machines() -> None:
    names = {name: set(json.loads(definition(name))["States"]) for name in ("train", "release")}
    assert names["train"] | names["release"] >= AFTERMATH
    assert names["train"] >= set(REMEDIES)


@pytest.mark.parametrize("name", ["train", "release"])
def test_what_follows_a_failure_is_not_taken_for_its_cause(name: str) -> None:
    states_of = json.loads(definition(name))["States"]
    todo = ["KeepResumePoint", "Undo", "NotifyFailure", "Notify"]
    reached: set[str] = set()
    while todo:
        state = states_of.get(here := todo.pop(), {})
        if here in states_of and here not in reached:
            reached.add(here)
            todo += [state["Next"]] if "Next" in state else []
            todo += [state["Default"]] if "Default" in state else []
            todo += [each["Next"] for each in (*state.get("Catch", ()), *state.get("Choices", ()))]
    assert reached <= AFTERMATH
