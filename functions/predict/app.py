"""Entry point of the function. What is made here, at import, is what SnapStart keeps."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

from .event import Event
from .restore import after_restore, before_snapshot
from .routes import Response, Service
from .settings import Settings

service = Service.start(Settings.read(os.environ), partial(os.write, sys.stdout.fileno()))
before_snapshot(service.complete)
after_restore(service.warm)


def handler(event: Event, context: Any) -> Response:
    """Answer one API Gateway event."""
    return service.answer(event, context)
