"""Assumptions about the state machines' language, and the proof by a state that passed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from cli.console import stamp
from cli.history import REASONS, end
from tests.smoke_aws.environment import Environment, Execution
from tests.smoke_aws.findings import Finding, Refuted, Settled, Unknown, assumption

JSONATA = "JSONata|QueryEvaluationError"
JOBS = ("Preprocess", "Train", "Package")


def proof(executions: Iterable[Execution], states: Sequence[str], sign: str) -> Finding:
    """Look for the newest execution in which all ``states`` passed, or which failed with ``sign``.

    A failure without the sign (a pattern of what a false assumption would bring) tells nothing: bad data or a
    missing machine fails the same state.
    """
    other = ""
    for each in executions:
        passed = [each.passed(state) for state in states]
        if all(passed):
            return Settled(f"{' and '.join(states)} passed in {each.name}, started {stamp(each.started)}")
        if passed[0] is None or each.status == "RUNNING":
            continue
        if re.search(sign, each.reason, re.IGNORECASE):
            return Refuted(f"{each.name}, started {stamp(each.started)}, failed: {each.reason}")
        other = other or f"; {each.name} failed for another reason, as it seems: {each.reason}"
    return Unknown(f"no execution yet in which {' and '.join(states)} passed{other}")


@assumption("A3")
def jsonata_behaves(environment: Environment) -> Finding:
    """A run that succeeded has evaluated `$hash`, regular expressions and lists of one."""
    for each in environment.trains:
        if each.evaluations:
            state, cause = next(iter(each.evaluations.items()))
            return Refuted(f"{each.name} could not evaluate {state}: {cause}")
        if each.status == "SUCCEEDED":
            told = f"{each.name}, started {stamp(each.started)}, succeeded with {json.dumps(each.output)}"
            return Settled(told) if each.output.get("package") and each.output.get("run") else Refuted(told)
    return Unknown("no train run has succeeded yet: millrace train")


@assumption("A4")
def bodies_are_text(environment: Environment) -> Finding:
    """The verdict can be parsed only if `s3:getObject` gives it as text."""
    return proof(environment.trains, ("ReadVerdict",), JSONATA)


@assumption("A5")
def causes_are_descriptions(environment: Environment) -> Finding:
    """A job that failed tells its reason in JSON under one of the keys that the machine looks for."""
    for execution, state, cause in failed_jobs(environment):
        if reason_in(cause):
            return Settled(f"{state} of {execution.name} failed with a description: {reason_in(cause)}")
        return Refuted(f"{state} of {execution.name} failed with a cause of another form: {cause[:300]}")
    return Unknown("no job has failed yet")


@assumption("A8")
def reasons_are_found(environment: Environment) -> Finding:
    """The cause of a failed run is the job's reason alone: `$match` found it and gave its group."""
    for execution, state, cause in failed_jobs(environment):
        final = end(execution.events)
        if final is None or not reason_in(cause):
            continue
        told = f"{execution.name}, whose {state} failed, told: {final.cause[:300]}"
        raw = final.cause.lstrip().startswith("{") or reason_in(cause) not in final.cause
        return Refuted(told) if raw else Settled(told)
    return Unknown("no job has failed yet")


def failed_jobs(environment: Environment) -> Iterable[tuple[Execution, str, str]]:
    """Find the jobs on which a run ended, newest first: execution, state and raw cause.

    A call that was refused has an error of its own; only a job that ran and failed is called so.
    """
    for each in environment.trains:
        for state in each.states if each.status == "FAILED" else ():
            if state.name in JOBS and state.failure and state.failure.error == "States.TaskFailed":
                yield each, state.name, state.failure.cause


def reason_in(cause: str) -> str:
    """Give the reason inside a cause that is a job's description; "" where there is none."""
    try:
        content = json.loads(cause)
    except ValueError:
        return ""
    told = [content[key] for key in REASONS if content.get(key)] if isinstance(content, dict) else []
    return str(told[0]) if told else ""
