"""What the local environment records without enforcing it: nobody should take it for proven here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A part of AWS that is missing on a laptop, and what happens instead. ``docs/local.md`` says more."""

    subject: str
    instead: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.instead}"


LIMITS = (
    Limit("IAM", "roles and policies are stored; every call is allowed whatever they say."),
    Limit("KMS", "keys, key policies and rotation are stored; objects, logs and tables are not encrypted."),
    Limit("TLS", "all is plain HTTP on 127.0.0.1; TLS versions and TLS-only policies are not applied."),
    Limit(
        "Network isolation",
        "an isolated job gets no AWS credentials and no endpoint, but its network is not cut off.",
    ),
    Limit("Container images", "jobs run in this machine's virtual environment, not in the image they name."),
    Limit("Instance types", "worker types and instance types are stored; all share this machine."),
    Limit("Spot", "training is never interrupted unless you kill it; its billable time is its whole time."),
    Limit("Tuning jobs", "a search draws at random, whatever its strategy; trials share this machine."),
    Limit("Concurrency", "Lambda's limits are stored; the API's rate and burst are the only throttle."),
    Limit("SnapStart", "published versions say it is on; cold starts are those of a plain process."),
    Limit("Lambda", "functions run on this machine's Python and processor, without a memory limit."),
    Limit("S3 policies", "access blocks, bucket policies, lifecycles and access logs are not applied."),
    Limit("Dashboards", "they are stored; nothing draws them, and metric maths is not computed."),
    Limit("Alarms", "those on one metric ring, within seconds; those on metric maths never do."),
    Limit("E-mail", "SNS keeps a subscription by e-mail; no mail is sent."),
    Limit(
        "Redrive", "an execution cannot be redriven in place; `millrace train --resume` goes on in a new one."
    ),
    Limit("Time-outs", "tasks time out; the time-out of a whole state machine is not applied."),
    Limit("Catalog", "Glue tables are stored and listed; Athena's queries are not answered from them."),
    Limit("Endpoints", "one process of this repository's server answers, whatever image and instances."),
    Limit("Canaries", "an update watches its alarms fifty times shorter than it is told to."),
    Limit("Scaling", "targets and policies are recorded; nothing scales."),
    Limit("Other SageMaker calls", "they are only written down, by moto."),
)


def limits() -> list[str]:
    """One sentence for each thing that is recorded but not enforced."""
    return [str(limit) for limit in LIMITS]
