"""An endpoint's fleets: which of them answers, and how traffic goes from the old one to the new."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ministack.services import cloudwatch

from local.emulator import alarms
from local.emulator.moto_proxy import ServiceError
from local.executors.hosting import Fleet
from local.hooks import expect

Record = dict[str, Any]

SHORTER = 50.0
"""Deployments wait so many times less here than they are told to: six seconds instead of five minutes."""


class RolledBackError(Exception):
    """An update goes back to the former configuration; the text is the endpoint's FailureReason."""


@dataclass(eq=False)
class Served:
    """An endpoint: ``record`` is what Describe answers, ``fleet`` what answers invocations."""

    record: Record
    fleet: Fleet | None = None
    challenger: Fleet | None = None
    share: float = 0.0
    """Part of the invocations that the challenger gets."""
    _owed: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> Fleet | None:
        """The fleet that answers the next invocation; it will not close before that is answered."""
        with self._lock:
            self._owed += self.share
            chosen = self.fleet
            if self.challenger is not None and self._owed >= 1:
                self._owed -= 1
                chosen = self.challenger
            if chosen is not None:
                chosen.enter()
            return chosen

    def try_out(self, challenger: Fleet | None, share: float = 0.0) -> None:
        """Give ``challenger`` its share of the invocations."""
        with self._lock:
            self.challenger, self.share, self._owed = challenger, share, 0.0

    def put(self, fleet: Fleet | None) -> Fleet | None:
        """Let ``fleet`` alone answer from now on, and return the one that answered before."""
        with self._lock:
            former, self.fleet = self.fleet, fleet
            self.challenger, self.share = None, 0.0
            return former

    def tell(self, status: str, reason: str = "", **changes: Any) -> None:
        """Change what Describe answers."""
        self.record.update(changes, EndpointStatus=status, LastModifiedTime=time.time())
        if reason:
            self.record["FailureReason"] = reason[:1024]
        elif status == "InService":
            self.record.pop("FailureReason", None)


def shift(served: Served, challenger: Fleet, deployment: Record, watched: list[str]) -> None:
    """Give the challenger more and more, and watch the alarms meanwhile. Raises RolledBackError."""
    routing = deployment.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    seconds = routing.get("WaitIntervalInSeconds", 0) / SHORTER
    for share in _shares(routing):
        served.try_out(challenger, share)
        _bake(challenger, seconds, watched)


def _shares(routing: Record) -> Iterator[float]:
    """The parts of the invocations that the challenger gets, one after another."""
    kind = routing.get("Type", "ALL_AT_ONCE")
    if kind == "ALL_AT_ONCE":
        yield 1.0
        return
    size = routing.get("CanarySize" if kind == "CANARY" else "LinearStepSize", {})
    step = size.get("Value", 100) / 100 if size.get("Type") == "CAPACITY_PERCENT" else 0.5
    yield min(step, 1.0)
    if kind == "LINEAR":
        for count in range(2, int(1 / step) + 1):
            yield min(count * step, 1.0)


def _bake(challenger: Fleet, seconds: float, watched: list[str]) -> None:
    deadline = time.monotonic() + seconds
    while True:
        ringing = [name for name in watched if _rings(name)]
        if ringing:
            raise RolledBackError(
                f"One or more alarms in the provided auto rollback configuration are in ALARM: {ringing}"
            )
        if challenger.ended:
            raise RolledBackError("The new container ended while it was watched. Its log tells why.")
        if time.monotonic() >= deadline:
            return
        time.sleep(0.25)


def watched_alarms(deployment: Record) -> list[str]:
    """Names of the alarms that send an update back. Raises ServiceError where one does not exist."""
    names = [one["AlarmName"] for one in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])]
    missing = [name for name in names if _alarm(name) is None]
    if missing:
        raise ServiceError("ValidationException", f"There are no alarms named {', '.join(missing)}.")
    return names


def _alarm(name: str) -> Record | None:
    kinds = (expect(cloudwatch, "_alarms"), expect(cloudwatch, "_composite_alarms"))
    return next((kind[name] for kind in kinds if name in kind), None)


def _rings(name: str) -> bool:
    alarm = _alarm(name)
    if alarm is None:
        return False
    if "MetricName" in alarm:
        alarms.evaluate(alarm)
    return bool(alarm.get("StateValue") == "ALARM")
