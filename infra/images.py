"""AWS's own training images, and which machines they run on."""

from __future__ import annotations

import re

ACCOUNT = "763104351884"
REPOSITORY = "pytorch"
TAGS = {"cpu": "2.13-cpu-amzn2023-sagemaker", "gpu": "2.13-cu133-amzn2023-sagemaker"}
"""PyTorch 2.13 on Python 3.12, kept by AWS until July 2027."""

_LOCAL_DISKS = re.compile(r"(g[4-9]\w*|gr\d\w*|p[4-9]\w*|[a-z]+\d[a-z]*d[a-z]*)")


def training_image(region: str, instance: str) -> str:
    """URI of the image for ``instance`` (such as ``ml.m6i.xlarge``) in ``region``."""
    kind = "gpu" if family(instance)[0] in "gp" else "cpu"
    return f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{REPOSITORY}:{TAGS[kind]}"


def takes_volume_key(instance: str) -> bool:
    """Whether SageMaker takes a KMS key for the volumes of ``instance``.

    It refuses one for families with disks of their own, which their hardware encrypts.
    """
    return _LOCAL_DISKS.fullmatch(family(instance)) is None


def family(instance: str) -> str:
    """``m6i`` of ``ml.m6i.xlarge``."""
    return instance.split(".")[1]
