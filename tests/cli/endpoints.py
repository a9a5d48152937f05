"""An endpoint as a release leaves it, on an AWS that moto stands in for."""

from __future__ import annotations

from cli.session import Session

ROLE = "arn:aws:iam::123456789012:role/endpoint"


def make_endpoint(here: Session, endpoint: str, name: str) -> None:
    """Make ``endpoint`` with a model and a configuration, both called ``name``."""
    client = here.client("sagemaker")
    client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "image"})
    variant = {
        "VariantName": "live",
        "ModelName": name,
        "InstanceType": "ml.c5.large",
    }  # moto knows none newer
    client.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
    )
    client.create_endpoint(EndpointName=endpoint, EndpointConfigName=name)
