"""AWS's own training images, and which machines they run on."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["cpu", "gpu"]

REPOSITORY = "pytorch"
TAGS: dict[Kind, str] = {"cpu": "2.13-cpu-amzn2023-sagemaker", "gpu": "2.13-cu133-amzn2023-sagemaker"}
"""PyTorch 2.13 on Python 3.12, kept by AWS until July 2027."""

_EVERYWHERE = "763104351884"
_DEFAULT_REGIONS = (
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
)
ACCOUNTS = {
    **dict.fromkeys(_DEFAULT_REGIONS, _EVERYWHERE),
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "mx-central-1": "637423239942",
}
"""Region → the account whose registry holds AWS's deep-learning images there (as the SageMaker Python SDK
lists them). China and GovCloud, where other services here differ too, are left out."""

_LOCAL_DISKS = re.compile(r"(g[4-9]\w*|gr\d\w*|p[4-9]\w*|[a-z]+\d[a-z]*d[a-z]*)")


def image(account: str, region: str, kind: Kind) -> str:
    """URI of the image for machines of ``kind`` in the registry of ``account`` in ``region``."""
    return f"{account}.dkr.ecr.{region}.amazonaws.com/{REPOSITORY}:{TAGS[kind]}"


def kind(instance: str) -> Kind:
    """What ``instance`` (such as ``ml.m6i.xlarge``) computes on."""
    return "gpu" if family(instance)[0] in "gp" else "cpu"


def takes_volume_key(instance: str) -> bool:
    """Whether SageMaker takes a KMS key for the volumes of ``instance``.

    It refuses one for families with disks of their own, which their hardware encrypts.
    """
    return _LOCAL_DISKS.fullmatch(family(instance)) is None


def family(instance: str) -> str:
    """``m6i`` of ``ml.m6i.xlarge``."""
    return instance.split(".")[1]
