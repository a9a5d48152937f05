"""The CDK's own command line, run with the Node that the project brings: `cdk deploy -c env=dev --all`."""

from __future__ import annotations

import os
import sys

from cli.errors import CliError, report


def main() -> None:
    """Become the CDK's command line, with this environment's Python first on the path."""
    from cli.console import Voice  # noqa: PLC0415 - imports follow the command
    from cli.deployment import variables  # noqa: PLC0415
    from local.deploy import install, node  # noqa: PLC0415
    from local.environment import LocalError  # noqa: PLC0415

    try:
        script = install(Voice().say)
    except LocalError as error:
        report(CliError(str(error), "the CDK's command line", "run make setup"))
        raise SystemExit(1) from error
    python = os.path.dirname(sys.executable)  # noqa: PTH120 - a link must stay a link
    known = variables(node())
    path = {"PATH": os.pathsep.join((python, known["PATH"]))}
    os.execve(node(), [str(node()), str(script), *sys.argv[1:]], {**os.environ, **known, **path})  # noqa: S606


if __name__ == "__main__":
    main()
