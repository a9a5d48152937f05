"""What the checks read: the deployed names, and the executions of the two state machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from cli import api, models, outputs, runs
from cli.history import AFTERMATH, Event, State, root_cause, states
from cli.session import Session

LOOKED_AT = 20
"""So many of a machine's last executions are read."""
ALIAS = "live"


@dataclass(frozen=True)
class Execution:
    """One execution of a state machine; its history is read when first needed."""

    session: Session
    arn: str
    status: str
    started: datetime

    @property
    def name(self) -> str:
        """The execution's name."""
        return self.arn.rpartition(":")[2]

    @cached_property
    def told(self) -> dict[str, Any]:
        """What Step Functions says of it."""
        return dict(self.session.client("stepfunctions").describe_execution(executionArn=self.arn))

    @property
    def input(self) -> dict[str, Any]:
        """What it was started with."""
        return dict(json.loads(self.told.get("input") or "{}"))

    @property
    def output(self) -> dict[str, Any]:
        """What it ended with; empty where it did not succeed."""
        return dict(json.loads(self.told.get("output") or "{}"))

    @property
    def run(self) -> str:
        """The run of Train that it made or went on with."""
        return str(self.input.get("resume", self.name))

    @cached_property
    def events(self) -> list[Event]:
        """Its whole history."""
        return runs.history(self.session, self.arn)

    @cached_property
    def states(self) -> list[State]:
        """The states it entered, in order."""
        return states(self.events)

    @cached_property
    def evaluations(self) -> dict[str, str]:
        """States whose JSONata could not be evaluated, with the cause."""
        found = [event for event in self.events if event["type"] == "EvaluationFailed"]
        details = [event.get("evaluationFailedEventDetails", {}) for event in found]
        return {each["state"]: each.get("cause", each.get("error", "")) for each in details}

    @property
    def reason(self) -> str:
        """Why it failed."""
        return "; ".join(self.evaluations.values()) or ": ".join(root_cause(self.events))

    def passed(self, name: str) -> bool | None:
        """Whether the state ``name`` did its work, the last time; None where it was not reached or left."""
        places = [place for place, state in enumerate(self.states) if state.name == name]
        if not places:
            return None
        state, rest = self.states[places[-1]], self.states[places[-1] + 1 :]
        if state.failure or name in self.evaluations or (rest and rest[0].name in AFTERMATH):
            return False
        over = bool(rest) or self.status == "SUCCEEDED"
        return True if state.exited and over else None

    def variables(self, name: str) -> dict[str, Any]:
        """Give the variables that the state ``name`` assigned."""
        exits = [event.get("stateExitedEventDetails", {}) for event in self.events]
        texts: Mapping[str, str] = next(
            (each.get("assignedVariables", {}) for each in exits if each.get("name") == name), {}
        )
        return {variable: json.loads(text) for variable, text in texts.items()}


@dataclass(frozen=True)
class Environment:
    """One workload of a deployed environment."""

    session: Session

    @cached_property
    def stacks(self) -> dict[str, outputs.Stack]:
        """The stacks that exist, by part."""
        return outputs.stacks(self.session)

    @cached_property
    def names(self) -> dict[str, str]:
        """The names of everything deployed; raises `CliError` where something is not."""
        return outputs.outputs(self.session, outputs.places(self.session.settings))

    @cached_property
    def trains(self) -> list[Execution]:
        """The last executions of Train, newest first."""
        return self.executions("train_machine")

    @cached_property
    def releases(self) -> list[Execution]:
        """The last executions of Release, newest first."""
        return self.executions("release_machine")

    def executions(self, machine: str) -> list[Execution]:
        """Read the last executions of a machine, newest first."""
        listed = runs.recent(self.session, self.names[machine], LOOKED_AT)
        return [
            Execution(self.session, each["executionArn"], each["status"], each["startDate"])
            for each in listed
        ]

    @cached_property
    def champion(self) -> dict[str, Any]:
        """The pointer to the model that serves; empty before the first release."""
        return models.champion(self.session)

    @cached_property
    def live(self) -> dict[str, Any]:
        """Configuration of the function's version that the alias points to."""
        told = self.session.client("lambda").get_function_configuration(
            FunctionName=self.names["function"], Qualifier=ALIAS
        )
        return dict(told)

    @cached_property
    def token(self) -> str:
        """An access token for the API."""
        return api.access_token(self.session, self.names)

    def authorized(self, url: str) -> dict[str, str]:
        """Headers with which the API admits a GET of ``url``: a token, or a signature where callers sign."""
        if self.session.settings.signed:
            return api.signature(self.session, url, None)
        return {"Authorization": f"Bearer {self.token}"}

    def document(self, bucket: str, key: str) -> dict[str, Any]:
        """Read a JSON document from S3."""
        body = self.session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return dict(json.loads(body))
