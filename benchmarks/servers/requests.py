"""What is sent, and what must come back: the same records to all, each in its server's own words."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.servers.http import post
from functions.predict.request import PROBABILITIES, RECORDS

MANY = 64
NEAR = 1e-5
"""How far an answer's probabilities may lie from those of `session.run`."""
Form = Literal["JSON", "binary"]
Read = Callable[[bytes], list[float]]


@dataclass(frozen=True)
class Case:
    """One kind of load: records in a request, connections at once, and how a request is written."""

    records: int
    connections: int
    form: Form = "JSON"

    def __str__(self) -> str:
        records = "1 record" if self.records == 1 else f"{self.records} records"
        connections = "1 connection" if self.connections == 1 else f"{self.connections} connections"
        return f"{records}, {self.form}, {connections}"


JSON_CASES = tuple(Case(records, connections) for records in (1, MANY) for connections in (1, 8))
BINARY_CASES = tuple(Case(MANY, connections, "binary") for connections in (1, 8))


class WrongAnswerError(Exception):
    """An answer whose probabilities are not the model's. Says how far they are off."""


@dataclass(frozen=True)
class Rows:
    """Some records of a bundle: as a caller has them, as the model's input, and what it says of them.

    ``encoded`` is float32 [records, columns]; ``binary`` is the body that Millrace takes.
    """

    records: list[dict[str, Any]]
    encoded: bytes
    probabilities: list[float]
    binary: bytes


@dataclass(frozen=True)
class Asked:
    """A request for one case, and how to read its answer."""

    request: bytes
    read: Read
    expected: list[float]

    def check(self, body: bytes) -> None:
        """Raise WrongAnswerError unless the probabilities in ``body`` are the model's."""
        try:
            found = self.read(body)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise WrongAnswerError(f"cannot read the answer {body[:200]!r}: {error!r}") from error
        if len(found) != len(self.expected):
            raise WrongAnswerError(f"{len(found)} probabilities for {len(self.expected)} records")
        furthest = max(abs(one - other) for one, other in zip(found, self.expected, strict=True))
        if not furthest <= NEAR:
            raise WrongAnswerError(f"probabilities are off by up to {furthest:g}; at most {NEAR:g} may be")


@dataclass(frozen=True)
class Dialect:
    """How one kind of server is asked. ``path`` may hold ``{model}``."""

    path: str
    write: Callable[[Rows], bytes]
    read: Read
    headers: Mapping[str, str]

    def asked(self, model: str, rows: Rows) -> Asked:
        """Return the request for ``rows``."""
        request = post(self.path.format(model=model), self.write(rows), self.headers)
        return Asked(request, self.read, rows.probabilities)


def floats(body: bytes) -> list[float]:
    """Return the little-endian float32 that ``body`` holds. Raises ValueError where it is no whole number."""
    if len(body) % 4:
        raise ValueError(f"{len(body)} bytes are no float32")
    return list(struct.unpack(f"<{len(body) // 4}f", body))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _tensor(rows: Rows) -> dict[str, object]:
    """The encoded rows as protocol v2 wants them. A float32 needs nine digits to come back as it was."""
    data = [float(f"{value:.9g}") for value in floats(rows.encoded)]
    shape = [len(rows.records), len(data) // len(rows.records)]
    return {"name": "rows", "shape": shape, "datatype": "FP32", "data": data}


JSON_TYPE = {"Content-Type": "application/json"}


def records_to(path: str) -> Dialect:
    """Return the dialect of the peers that are programs of their own: records in, probabilities out."""
    return Dialect(
        path,
        lambda rows: _json({"records": rows.records}),
        lambda body: list(json.loads(body)["probabilities"]),
        JSON_TYPE,
    )


OPEN_INFERENCE = Dialect(
    "/v2/models/{model}/infer",
    lambda rows: _json({"id": "1", "inputs": [_tensor(rows)]}),
    lambda body: list(json.loads(body)["outputs"][0]["data"]),
    JSON_TYPE,
)
DATA_FRAME = Dialect(
    "/invocations",
    lambda rows: _json({"dataframe_records": rows.records}),
    lambda body: list(json.loads(body)["predictions"]),
    JSON_TYPE,
)
FLOATS = Dialect(
    "/rows",
    lambda rows: rows.encoded,
    floats,
    {"Content-Type": "application/octet-stream"},
)
MILLRACE = Dialect(
    "/v1/models/{model}/predict",
    lambda rows: _json({"records": rows.records}),
    lambda body: [one["probability"] for one in json.loads(body)["predictions"]],
    JSON_TYPE,
)
MILLRACE_BINARY = Dialect(
    "/v1/models/{model}/predict",
    lambda rows: rows.binary,
    floats,
    {"Content-Type": RECORDS, "Accept": PROBABILITIES},
)
