"""Entry point of the function. What is made here, at import, serves every request of this process."""

from __future__ import annotations

import os
from typing import Any

from .envelope import Event, Response
from .forwarder import Forwarder
from .settings import Settings

forwarder = Forwarder.start(Settings.read(os.environ))


def handler(event: Event, context: Any) -> Response:
    """Answer one API Gateway event."""
    return forwarder.answer(event, context)
