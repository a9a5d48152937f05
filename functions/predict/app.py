"""Entry point of the function. What is made here, at import, is what SnapStart keeps."""

from __future__ import annotations

import os
from typing import Any

from .restore import after_restore
from .routes import Event, Response, Service
from .settings import Settings

service = Service.start(Settings.read(os.environ))
after_restore(service.warm)


def handler(event: Event, context: Any) -> Response:
    """Answer one API Gateway event."""
    return service.answer(event, context)
