"""What holds for every state machine, by its definition alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonata  # type: ignore[import-untyped]
import pytest

from infra.machines import definition, machine

from .interpreter import called, operation

MACHINES = ("train", "release", "endpoint")
States = dict[str, Any]
every_machine = pytest.mark.parametrize("name", MACHINES)


def tasks(states: States, caught: bool = False) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every task with its name, and whether a state around it catches."""
    for name, state in states.items():
        if state["Type"] == "Task":
            yield name, state, caught
        elif state["Type"] == "Map":
            yield from tasks(state["ItemProcessor"]["States"], caught or "Catch" in state)


def followers(state: dict[str, Any]) -> set[str]:
    targets = {state[key] for key in ("Next", "Default") if key in state}
    return targets | {rule["Next"] for key in ("Choices", "Catch") for rule in state.get(key, [])}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


@every_machine
def test_every_task_is_bounded_retried_and_caught(name: str) -> None:
    for task, state, caught in tasks(machine(name)["States"]):
        assert state["TimeoutSeconds"] > 0, task
        assert state["Retry"], task
        assert caught or state["Catch"][-1]["ErrorEquals"] == ["States.ALL"], task


@every_machine
def test_retries_end_and_spare_the_service(name: str) -> None:
    for task, state, _ in tasks(machine(name)["States"]):
        for retrier in state["Retry"]:
            assert "States.ALL" not in retrier["ErrorEquals"], task
            assert 0 < retrier["MaxAttempts"] <= 20, task
            assert retrier["BackoffRate"] > 1, task
            assert retrier.get("MaxDelaySeconds", 999) > retrier["IntervalSeconds"], task


@every_machine
def test_every_state_is_reached_and_leads_to_an_end(name: str) -> None:
    states = machine(name)["States"]
    reached, ahead = set(), {machine(name)["StartAt"]}
    while ahead:
        state = ahead.pop()
        assert state in states, state
        reached.add(state)
        ahead |= followers(states[state]) - reached
    assert reached == set(states)
    ends = [state for state, body in states.items() if body.get("End") or body["Type"] in ("Fail", "Succeed")]
    good = {"train": "Trained", "release": "Done", "endpoint": "Done"}[name]
    assert sorted(ends) == sorted([good, "Failed"])


# Release tells of the failures of the endpoint's machine.
@pytest.mark.parametrize("name", ["train", "release"])
def test_every_failure_is_told_before_the_execution_fails(name: str) -> None:
    states = machine(name)["States"]
    before = {state for state, body in states.items() if "Failed" in followers(body)}
    assert len(before) == 1
    told = states[before.pop()]
    assert told["Resource"] == "arn:aws:states:::sns:publish"
    assert all(
        part in told["Arguments"]["Message"] for part in ("Execution.Id", "state", "cause", "What to do")
    )
    assert states["Failed"]["Cause"].startswith("{% $substring($failure.cause")


@every_machine
def test_every_call_names_an_operation_that_exists(name: str) -> None:
    for task, state, _ in tasks(machine(name)["States"]):
        assert operation(called(state["Resource"])), task


@every_machine
def test_every_expression_parses_and_is_delimited_as_aws_asks(name: str) -> None:
    found = [text for text in texts(machine(name)) if "{%" in text or "%}" in text]
    assert len(found) > 50
    for text in found:
        assert text.startswith("{%"), text
        assert text.endswith("%}"), text
        jsonata.Jsonata.jsonata(text[2:-2])


@every_machine
def test_assignments_do_not_rely_on_their_order(name: str) -> None:
    """On AWS all of a state's assignments see the variables as they were before it."""

    def blocks(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if "Assign" in value:
                yield value["Assign"]
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                yield from blocks(item)

    for block in blocks(machine(name)):
        for target, value in block.items():
            used = set(re.findall(r"\$(\w+)", " ".join(texts(value))))
            assert not used & (set(block) - {target}), block


@every_machine
def test_a_choices_own_assignments_suit_every_rule(name: str) -> None:
    """The guide and the emulator disagree whether they are made when a rule matches: both must do."""
    for state in machine(name)["States"].values():
        for rule in state.get("Choices", []):
            ruled, own = rule.get("Assign", {}), state.get("Assign", {})
            assert all(own[variable] == ruled[variable] for variable in own.keys() & ruled), rule


@every_machine
def test_definitions_are_small_enough_and_keep_no_shared_keys(name: str) -> None:
    assert len(definition(name).encode()) < 1_000_000
    assert not [key for key in json.loads(definition(name)) if key.startswith("x-")]


def test_an_unknown_machine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match="use one of endpoint, release, train"):
        machine("retrain")
