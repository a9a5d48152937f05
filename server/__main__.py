"""`python -m server BUNDLE`: answer over HTTP with one bundle."""

from __future__ import annotations

import os
import sys

from .log import Log
from .settings import SettingsError, read


def main() -> int:
    """Serve until told to end; 1 where the server cannot start, 2 where its settings cannot be."""
    log = Log()
    try:
        settings = read(sys.argv[1:], os.environ)
    except SettingsError as error:
        log.error("cannot start", problem=str(error))
        return 2
    from .run import StartError, serve  # noqa: PLC0415 - settings are judged without it

    try:
        if settings.workers > 1:
            from .workers import supervise  # noqa: PLC0415

            return supervise(settings, log)
        serve(settings, log)
    except StartError as error:
        log.error("cannot start", problem=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
