"""Training jobs and tuning jobs through SageMaker's SDK, each asking for what the pipeline's job asks for."""

from __future__ import annotations

from typing import Any

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.parameter import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    ParameterRange,
)
from sagemaker.core.shapes import (
    Channel,
    CheckpointConfig,
    MetricDefinition,
    OutputDataConfig,
    ProfilerConfig,
    RetryStrategy,
    StoppingCondition,
    Tag,
)
from sagemaker.core.training.configs import Compute, Networking
from sagemaker.core.utils.code_injection.codec import transform
from sagemaker.train import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

from tuning.plan import Plan, Range, Search
from tuning.request import (
    STARTER,
    STARTER_CHANNEL,
    Request,
    moved,
    pipeline_request,
    started_by_script,
    starter,
)


class PipelineTrainer(ModelTrainer):  # type: ignore[misc]
    """A ModelTrainer that also asks for what it has no parameter for: name, entrypoint, no profiler."""

    job_name: str
    entrypoint: list[str]
    profiler: dict[str, Any]

    def _create_training_job_args(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        request: dict[str, Any] = super()._create_training_job_args(*args, **kwargs)
        request["algorithm_specification"].container_entrypoint = self.entrypoint
        request["profiler_config"] = ProfilerConfig(**transform(self.profiler, "ProfilerConfig"))
        return {**request, "training_job_name": self.job_name}


class PipelineTuner(HyperparameterTuner):  # type: ignore[misc]
    """A tuner whose trials keep what the SDK drops: isolation, encryption in transit, the volumes' key."""

    def _build_training_job_definition(self, inputs: Any) -> Any:
        definition = super()._build_training_job_definition(inputs)
        networking, compute = self.model_trainer.networking, self.model_trainer.compute
        definition.enable_network_isolation = networking.enable_network_isolation
        definition.enable_inter_container_traffic_encryption = (
            networking.enable_inter_container_traffic_encryption
        )
        definition.resource_config = compute._to_resource_config()
        return definition


def start(plan: Plan) -> None:
    """Start what ``plan`` says and return once SageMaker has taken it.

    Raises RequestError, botocore's ClientError, or ValueError for what the SDK itself refuses.
    """
    boto_session = boto3.Session(region_name=plan.region)
    session = Session(boto_session=boto_session)
    request = pipeline_request(plan.definition, plan.run, plan.hyperparameters)
    request = moved(request, plan.folder)
    if plan.search is None:
        trainer(plan, request, session).train(wait=False, logs=False)
        return
    _upload_starter(plan, request, session)
    trial = started_by_script(request, plan.folder)
    tuner(plan, plan.search, trial, session).tune(job_name=plan.name, wait=False)


def _upload_starter(plan: Plan, request: Request, session: Any) -> None:
    session.upload_string_as_file_body(
        body=starter(request),
        bucket=plan.bucket,
        key=f"{plan.prefix}/{STARTER_CHANNEL}/{STARTER}",
        kms_key=request["OutputDataConfig"].get("KmsKeyId"),
    )


def trainer(plan: Plan, request: Request, session: Any) -> PipelineTrainer:
    """Make a trainer that asks for what ``request`` asks for; ``session`` is the SDK's."""
    algorithm = request["AlgorithmSpecification"]
    made = PipelineTrainer(
        sagemaker_session=session,
        job_name=plan.name,
        base_job_name=plan.name,
        entrypoint=algorithm.get("ContainerEntrypoint", []),
        profiler=request["ProfilerConfig"],
        training_image=algorithm["TrainingImage"],
        training_input_mode=algorithm["TrainingInputMode"],
        role=request["RoleArn"],
        compute=_compute(request),
        networking=_networking(request),
        stopping_condition=_shape(StoppingCondition, request["StoppingCondition"]),
        output_data_config=_shape(OutputDataConfig, request["OutputDataConfig"]),
        checkpoint_config=_shape(CheckpointConfig, request["CheckpointConfig"]),
        input_data_config=[_shape(Channel, channel) for channel in request["InputDataConfig"]],
        environment=request["Environment"],
        hyperparameters=request["HyperParameters"],
        tags=[Tag(key=key, value=value) for key, value in plan.tags.items()],
    )
    metrics = [_shape(MetricDefinition, each) for each in algorithm["MetricDefinitions"]]
    return made.with_metric_definitions(metrics).with_retry_strategy(  # type: ignore[no-any-return]
        _shape(RetryStrategy, request["RetryStrategy"])
    )


def tuner(plan: Plan, search: Search, request: Request, session: Any) -> PipelineTuner:
    """Make a tuner whose trials ask for what ``request`` asks for."""
    return PipelineTuner(
        model_trainer=trainer(plan, request, session),
        objective_metric_name=search.metric,
        objective_type=search.direction,
        hyperparameter_ranges={each.name: parameter(each) for each in search.ranges},
        metric_definitions=request["AlgorithmSpecification"]["MetricDefinitions"],
        strategy="Bayesian",
        max_jobs=search.trials,
        max_parallel_jobs=search.parallel,
        random_seed=search.seed,
    )


def parameter(where: Range) -> ParameterRange:
    """Give a range in the SDK's own words."""
    if where.values:
        return CategoricalParameter(list(where.values))
    if where.whole:
        return IntegerParameter(int(where.low), int(where.high), where.scale)
    return ContinuousParameter(where.low, where.high, where.scale)


def _shape(kind: Any, members: dict[str, Any]) -> Any:
    """Build one of the SDK's shapes from a request's members."""
    return kind(**transform(members, kind.__name__))


def _compute(request: Request) -> Compute:
    resources = transform(request["ResourceConfig"], "ResourceConfig")
    return Compute(**resources, enable_managed_spot_training=request["EnableManagedSpotTraining"])


def _networking(request: Request) -> Networking:
    network = transform(request.get("VpcConfig", {}), "VpcConfig")
    return Networking(
        **network,
        enable_network_isolation=request["EnableNetworkIsolation"],
        enable_inter_container_traffic_encryption=request["EnableInterContainerTrafficEncryption"],
    )
