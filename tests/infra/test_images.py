"""The image and the volume key follow the machine that a job runs on."""

from __future__ import annotations

import boto3
import pytest

from infra.images import ACCOUNTS, image, kind, takes_volume_key


@pytest.mark.parametrize(
    ("instance", "tag"),
    [
        ("ml.m6i.xlarge", "2.13-cpu-amzn2023-sagemaker"),
        ("ml.c7i.large", "2.13-cpu-amzn2023-sagemaker"),
        ("ml.g5.xlarge", "2.13-cu133-amzn2023-sagemaker"),
        ("ml.p4d.24xlarge", "2.13-cu133-amzn2023-sagemaker"),
    ],
)
def test_given_an_instance_then_its_image_fits(instance: str, tag: str) -> None:
    host = "763104351884.dkr.ecr.eu-central-1.amazonaws.com"
    assert image(ACCOUNTS["eu-central-1"], "eu-central-1", kind(instance)) == f"{host}/pytorch:{tag}"


def test_given_every_region_of_sagemaker_then_its_registry_is_known() -> None:
    offered = boto3.Session().get_available_regions("sagemaker", partition_name="aws")
    assert set(offered) <= set(ACCOUNTS)


@pytest.mark.parametrize(
    "instance", ["ml.m6i.xlarge", "ml.c5.large", "ml.m5.2xlarge", "ml.r7i.large", "ml.p3.2xlarge"]
)
def test_given_network_volumes_then_they_take_a_key(instance: str) -> None:
    assert takes_volume_key(instance)


@pytest.mark.parametrize(
    "instance",
    ["ml.g5.xlarge", "ml.g4dn.xlarge", "ml.g6e.xlarge", "ml.p4d.24xlarge", "ml.c5d.large", "ml.m6id.large"],
)
def test_given_disks_of_its_own_then_an_instance_takes_no_key(instance: str) -> None:
    assert not takes_volume_key(instance)
