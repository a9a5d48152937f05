"""What went wrong, where, and what to do: the one form in which a command fails."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

NOT_RUNNING = "the local environment is not running"

ACCESS = "use credentials that may do this; `millrace doctor` shows who you are now"
ELSE = "`millrace doctor` checks what a command needs; `millrace status` tells what there is"
SIGN_IN = "sign in, or set AWS_PROFILE to a profile that exists"
REMEDIES = {
    "AccessDenied": ACCESS,
    "AccessDeniedException": ACCESS,
    "UnauthorizedOperation": ACCESS,
    "ExpiredToken": "sign in again: the credentials have expired",
    "ExpiredTokenException": "sign in again: the credentials have expired",
    "InvalidClientTokenId": "check the credentials and the region: AWS does not know this key",
    "UnrecognizedClientException": "check the credentials and the region: AWS does not know this key",
    "ThrottlingException": "wait a moment and try again",
    "TooManyRequestsException": "wait a moment and try again",
    "NoSuchBucket": "deploy the environment first: millrace up",
    "ExecutionDoesNotExist": "see which runs there are: millrace status",
}


@dataclass
class CliError(Exception):
    """An expected failure: the root cause in full as ``problem``, a line for ``where`` and ``remedy``."""

    problem: str
    where: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        """Plain text without boxes, the root cause and what to do about it last."""
        lines = [f"where:   {self.where}"] if self.where else []
        lines.append(f"problem: {self.problem.strip()}")
        if self.remedy:
            lines.append(f"remedy:  {self.remedy}")
        return "\n".join(lines)


def report(error: CliError) -> None:
    """Write ``error`` to stderr, after everything else."""
    sys.stdout.flush()
    sys.stderr.write(f"\nmillrace could not do this\n{error}\n")
    sys.stderr.flush()


def explain(error: Exception) -> CliError | None:
    """Turn an expected exception into a `CliError`; None where the error is not an expected one."""
    if isinstance(error, CliError):
        return error
    if isinstance(error, ValueError) and hasattr(error, "remedy"):
        return fault(error)
    return explain_aws(error) if "botocore" in sys.modules else None


def explain_aws(error: Exception) -> CliError | None:
    """Turn what botocore raises into a `CliError`."""
    from botocore import exceptions as aws  # noqa: PLC0415 - loaded already
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    if isinstance(error, aws.ClientError):
        return refused(error)
    if isinstance(error, aws.HTTPClientError | aws.ConnectionError):
        return unreachable(str(error))
    if isinstance(error, ResponseParserError):
        remedy = "is this the right port (MILLRACE_PORT), or is a proxy in between? `millrace doctor` checks"
        return CliError(f"what answered is not AWS: {error}", "the AWS client", remedy)
    for kinds, where, remedy in (
        (
            (aws.NoCredentialsError, aws.PartialCredentialsError, aws.ProfileNotFound),
            "AWS credentials",
            SIGN_IN,
        ),
        ((aws.NoRegionError,), "AWS configuration", "set AWS_REGION, or region in the environment's file"),
        ((aws.BotoCoreError,), "the AWS client", "`millrace doctor` checks credentials and region"),
    ):
        if isinstance(error, kinds):
            return CliError(str(error), where, remedy)
    return None


def fault(error: Any) -> CliError:
    """Pass on what a contract's or an environment's loader found: its errors name file, key and remedy."""
    return CliError(error.problem, f"{error.file}: {error.key}", error.remedy)


def refused(error: ClientError) -> CliError:
    """Say which call AWS refused and why."""
    answer = error.response.get("Error", {})
    code = answer.get("Code", "Unknown")
    problem = f"{code}: {answer.get('Message', '')}"
    return CliError(problem, f"the call {error.operation_name}", REMEDIES.get(code, ELSE))


def unreachable(problem: str) -> CliError:
    """Say that nothing answered, and on the laptop how to start it."""
    if "127.0.0.1" in problem or "localhost" in problem:
        return CliError(f"{NOT_RUNNING} ({problem})", "this machine", "start it: millrace up")
    return CliError(problem, "the network", "check the network, the proxy and the region, then try again")
