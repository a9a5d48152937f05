"""What an API has to answer for the new model to be the one in service."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .errors import AnswerError, ApiError
from .http import Reply


@dataclass(frozen=True, kw_only=True)
class Checks:
    """``request`` (JSON text) must give ``probabilities`` within ``tolerance``, from model ``version``."""

    version: str
    request: str
    probabilities: tuple[float, ...]
    tolerance: float

    @classmethod
    def parse(cls, event: dict[str, Any]) -> Checks:
        """Read the function's event. Raises ``KeyError`` that names what is missing."""
        checks = event["checks"]
        return cls(
            version=event["version"],
            request=checks["request"],
            probabilities=tuple(checks["probabilities"]),
            tolerance=checks["tolerance"],
        )

    def verify(self, url: str, reply: Reply) -> None:
        """Raise ``ApiError`` or ``AnswerError``, which name ``url``, unless its ``reply`` is right."""
        if reply.status != 200:
            raise ApiError(f"{url} answered {reply.status or 'nothing'}: {reply.body[:1000]}")
        try:
            answer = json.loads(reply.body)
            version = answer["version"]
            found = [float(prediction["probability"]) for prediction in answer["predictions"]]
        except (ValueError, KeyError, TypeError) as error:
            raise AnswerError(f"the answer of {url} is no prediction: {reply.body[:1000]}") from error
        if version != self.version:
            raise AnswerError(f"{url} serves model {version}, not {self.version}")
        if not self._near(found):
            raise AnswerError(f"{url} gives {found}, not {list(self.probabilities)} ± {self.tolerance}")

    def _near(self, found: list[float]) -> bool:
        same = len(found) == len(self.probabilities) > 0
        return same and all(
            abs(one - other) <= self.tolerance for one, other in zip(found, self.probabilities, strict=True)
        )
