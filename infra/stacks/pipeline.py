"""From raw tables to a registered model: the jobs, their roles, and the machine that runs them."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from contract import load as contracts
from infra import code, images, machines
from infra.constructs import access
from infra.constructs.acknowledge import acknowledge_resource
from infra.constructs.machine import Machine
from infra.settings import Settings
from infra.stacks.foundation import Foundation
from infra.stacks.network import Network
from infra.stacks.registry import Registry

MINUTE = 60
LOG_KINDS = ("output", "error")
"""Glue writes two log groups under one prefix: what the job prints, and what Spark says."""
SPOT_PATIENCE = 2
"""Waiting for spot capacity and training may together take this many times the training limit."""


class Pipeline(cdk.Stack):
    """Exposes ``job`` (Glue) and ``machine`` (Step Functions: preprocess, train, package, register)."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        workload: str,
        *,
        foundation: Foundation,
        registry: Registry,
        network: Network | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.settings, self.workload = settings, workload
        self.foundation, self.registry, self.network = foundation, registry, network
        self.runs = f"{workload}/runs"
        self.image_account = self._find_image_account()
        self.database = self._build_database()
        self.job = self._build_job()
        self.code = assets.Asset(self, "TrainingCode", path=str(code.training_code()))
        self.training_role = self._build_training_role()
        self.packaging_role = self._build_packaging_role()
        train = Machine(
            self,
            "Train",
            name=settings.name(workload, "train"),
            definition=machines.definition("train", network=network is not None),
            substitutions=self._substitutions() | self._places(),
        )
        self.machine = train.machine
        self._let_machine(train.role)
        cdk.CfnOutput(self, "TrainMachine", value=self.machine.state_machine_arn)
        cdk.CfnOutput(self, "GlueJob", value=self.job.ref)

    # ---- preprocessing ------------------------------------------------------------------------

    def _build_database(self) -> glue.CfnDatabase:
        """The database only: its tables belong to the job, which moves them when it publishes."""
        name = self.settings.database(self.workload)
        return glue.CfnDatabase(
            self,
            "Database",
            catalog_id=self.account,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=name, description=f"Cleaned tables and features of the workload {self.workload}"
            ),
        )

    def _build_job(self) -> glue.CfnJob:
        glue_settings = self.settings.glue
        script = assets.Asset(self, "PreprocessScript", path=str(code.glue_script()))
        packages = assets.Asset(self, "PreprocessCode", path=str(code.preprocess_code()))
        prefix = self.settings.logs(self.workload, "preprocess")
        for kind in LOG_KINDS:
            logs.LogGroup(self, f"Preprocess{kind.title()}", log_group_name=f"{prefix}/{kind}")
        role = self._build_preprocess_role([script, packages], prefix)
        return glue.CfnJob(
            self,
            "Preprocess",
            name=self.settings.name(self.workload, "preprocess"),
            description=f"Raw tables of {self.workload} to cleaned tables, features and a quality report",
            role=role.role_arn,
            # Unset, it means the newest version: another Spark, Python and Java.
            glue_version="5.1",
            command=glue.CfnJob.JobCommandProperty(
                name="glueetl", python_version="3", script_location=script.s3_object_url
            ),
            default_arguments={
                "--extra-py-files": packages.s3_object_url,
                "--job-language": "python",
                "--enable-metrics": "true",
                "--enable-observability-metrics": "true",
                "--custom-logGroup-prefix": prefix,
                # Not an argument of Glue's: the script hands it to boto3.
                "--region": self.region,
            },
            worker_type=glue_settings.worker,
            number_of_workers=glue_settings.workers,
            timeout=glue_settings.minutes,
            max_retries=0,
            execution_property=glue.CfnJob.ExecutionPropertyProperty(max_concurrent_runs=1),
            security_configuration=self._build_security_configuration().ref,
            connections=glue.CfnJob.ConnectionsListProperty(connections=[self.network.connection])
            if self.network
            else None,
        )

    def _build_security_configuration(self) -> glue.CfnSecurityConfiguration:
        keys = self.foundation.keys
        encryption = glue.CfnSecurityConfiguration
        return glue.CfnSecurityConfiguration(
            self,
            "Encryption",
            name=self.settings.name(self.workload, "preprocess"),
            encryption_configuration=encryption.EncryptionConfigurationProperty(
                s3_encryptions=[
                    encryption.S3EncryptionProperty(
                        s3_encryption_mode="SSE-KMS", kms_key_arn=keys.data.key_arn
                    )
                ],
                cloud_watch_encryption=encryption.CloudWatchEncryptionProperty(
                    cloud_watch_encryption_mode="SSE-KMS", kms_key_arn=keys.operations.key_arn
                ),
                job_bookmarks_encryption=encryption.JobBookmarksEncryptionProperty(
                    job_bookmarks_encryption_mode="CSE-KMS", kms_key_arn=keys.data.key_arn
                ),
            ),
        )

    def _build_preprocess_role(self, files: list[assets.Asset], log_prefix: str) -> iam.Role:
        role = access.service_role(
            self, "PreprocessRole", "glue.amazonaws.com", description="What the preprocessing job may do"
        )
        for file in files:
            access.allow_asset(role, file)
        self._let_lake(role)
        self._let_glue_logs(role, log_prefix)
        access.allow_metrics(role, "Glue")
        self._let_catalog(role)
        if self.network:
            self.network.let_glue(role)
        return role

    def _let_lake(self, role: iam.Role) -> None:
        """What S3A asks for, the file system behind ``s3://`` since Glue 5.1."""
        lake = self.foundation.lake
        # It looks for a file and for a folder of every name before it reads or writes there.
        access.allow_objects(role, lake, self.workload)
        access.allow_objects(role, lake, self.runs, write=True)
        # Where a folder has no objects yet it looks at those above, and marks some by an object named so.
        access.allow(role, access.READ, lake.arn_for_objects(self.workload))
        singles = (f"{self.workload}/published.json", f"{self.workload}/")
        access.allow(role, access.WRITE, *map(lake.arn_for_objects, singles))
        # Its committers write by multipart uploads, and give up those that a failed task left.
        access.allow(role, ("s3:GetBucketLocation", "s3:ListBucketMultipartUploads"), lake.bucket_arn)

    def _let_glue_logs(self, role: iam.Role, prefix: str) -> None:
        """Glue makes sure of its log groups and their key itself; their names begin with ``prefix``."""
        groups = self._arn("logs", f"log-group:{prefix}/*")
        actions = ("CreateLogGroup", "CreateLogStream", "PutLogEvents", "AssociateKmsKey")
        access.allow(role, tuple(f"logs:{action}" for action in actions), groups)
        acknowledge_resource(role, groups, "Glue adds to the prefix, which bounds the names.")

    def _let_catalog(self, role: iam.Role) -> None:
        """The tables of this database, and no other."""
        name = self.settings.database(self.workload)
        tables = self._arn("glue", f"table/{name}/*")
        access.allow(
            role,
            ("glue:GetDatabase", "glue:GetTable", "glue:CreateTable", "glue:UpdateTable"),
            self._arn("glue", "catalog"),
            self._arn("glue", f"database/{name}"),
            tables,
        )
        acknowledge_resource(role, tables, "The contract names the tables; the database bounds them.")

    # ---- training and packaging ---------------------------------------------------------------

    def _build_training_role(self) -> iam.Role:
        role = self._build_job_role("TrainingRole", "training", "/aws/sagemaker/TrainingJobs")
        # Experiments and searches train under the same role; what they make lies in a place of its own.
        access.allow_objects(role, self.foundation.models, f"{self.workload}/experiments", write=True)
        return role

    def _build_packaging_role(self) -> iam.Role:
        return self._build_job_role("PackagingRole", "packaging", "/aws/sagemaker/ProcessingJobs")

    def _build_job_role(self, id: str, job: str, log_group: str) -> iam.Role:
        """A SageMaker job reads this workload's examples, and reads and writes its models."""
        role = access.service_role(
            self, id, "sagemaker.amazonaws.com", description=f"What the {job} job may do"
        )
        access.allow_asset(role, self.code)
        access.allow_objects(role, self.foundation.lake, self.runs)
        access.allow_objects(role, self.foundation.models, self.runs, write=True)
        access.allow(
            role,
            ("kms:CreateGrant",),
            self.foundation.keys.models.key_arn,
            Bool={"kms:GrantIsForAWSResource": "true"},
        )
        self._let_sagemaker_logs(role, log_group)
        self._let_image(role)
        access.allow_metrics(role, log_group)
        if self.network:
            self.network.let_sagemaker(role, self.network.jobs)
        return role

    def _let_sagemaker_logs(self, role: iam.Role, name: str) -> None:
        """SageMaker decides the group's name; it is one per account and kind of job."""
        group = self._arn("logs", f"log-group:{name}")
        # Calls that concern a whole group are judged by its name with and without what follows.
        access.allow(role, ("logs:CreateLogGroup", "logs:DescribeLogStreams"), group, f"{group}:*")
        access.allow(role, ("logs:CreateLogStream", "logs:PutLogEvents"), f"{group}:*")
        acknowledge_resource(role, f"{group}:*", "SageMaker names a job's log streams at run time.")

    def _find_image_account(self) -> str:
        """The account that holds AWS's images in this region, known at the latest when the stack deploys."""
        if not cdk.Token.is_unresolved(self.region):
            return images.ACCOUNTS[self.region]
        regions = {region: {"account": account} for region, account in images.ACCOUNTS.items()}
        return cdk.CfnMapping(self, "ImageRegistries", mapping=regions).find_in_map(self.region, "account")

    def _let_image(self, role: iam.Role) -> None:
        repository = (
            f"arn:{self.partition}:ecr:{self.region}:{self.image_account}:repository/{images.REPOSITORY}"
        )
        access.allow(
            role,
            ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            repository,
        )
        # Signing in to a registry takes no resource; allow_metrics acknowledges the finding.
        access.allow(role, ("ecr:GetAuthorizationToken",), "*")

    # ---- the machine --------------------------------------------------------------------------

    def _substitutions(self) -> dict[str, str]:
        """What fills the placeholders of the definition, by name."""
        training, packaging = self.settings.training, self.settings.packaging
        return {
            "Environment": self.settings.env,
            "Workload": self.workload,
            "Lake": self.foundation.lake.bucket_name,
            "Models": self.foundation.models.bucket_name,
            "GlueJob": self.job.ref,
            "Database": self.settings.database(self.workload),
            "Code": self.code.s3_object_url,
            "ContractSha256": contracts.workload(self.workload).sha256,
            "GitCommit": code.git_commit(),
            "TrainingImage": images.image(self.image_account, self.region, images.kind(training.instance)),
            "Image": images.image(self.image_account, self.region, "cpu"),
            "ModelsKey": self.foundation.keys.models.key_arn,
            "TrainingRole": self.training_role.role_arn,
            "TrainingInstanceType": training.instance,
            "TrainingInstances": str(training.instances),
            "TrainingVolumeGb": str(training.volume_gb),
            "TrainingVolumeKey": self._volume_key(training.instance),
            "TrainingSeconds": str(training.minutes * MINUTE),
            "TrainingSpot": "true" if training.spot else "false",
            "TrainingWaitSeconds": str(training.minutes * MINUTE * SPOT_PATIENCE),
            "PackageRole": self.packaging_role.role_arn,
            "PackageInstanceType": packaging.instance,
            "PackageVolumeGb": str(packaging.volume_gb),
            "PackageVolumeKey": self._volume_key(packaging.instance),
            "PackageSeconds": str(packaging.minutes * MINUTE),
            "ChampionParameter": self.registry.champion_parameter_name,
            "PackageGroup": self.settings.name(self.workload),
            "AutoApprove": "true" if self.settings.approval == "automatic" else "false",
            "TopicArn": self.foundation.topic.topic_arn,
        }

    def _places(self) -> dict[str, str]:
        """Where the jobs run, in an environment with a network of its own."""
        if self.network is None:
            return {}
        first, second = self.network.subnets
        return {"SubnetA": first, "SubnetB": second, "SecurityGroup": self.network.jobs}

    def _volume_key(self, instance: str) -> str:
        return self.foundation.keys.models.key_arn if images.takes_volume_key(instance) else ""

    def _let_machine(self, role: iam.Role) -> None:
        self._let_run_jobs(role)
        self._let_register(role)
        access.allow_objects(role, self.foundation.models, self.runs, write=True)
        access.allow(role, ("sns:Publish",), self.foundation.topic.topic_arn)
        access.allow_key(role, self.foundation.keys.operations)
        parameter = self.registry.champion_parameter_name.removeprefix("/")
        access.allow(role, ("ssm:GetParameter",), self._arn("ssm", f"parameter/{parameter}"))

    def _let_run_jobs(self, role: iam.Role) -> None:
        access.allow(
            role,
            ("glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"),
            self._arn("glue", f"job/{self.job.ref}"),
        )
        for kind, job_role in (("Training", self.training_role), ("Processing", self.packaging_role)):
            jobs = self._arn("sagemaker", f"{kind.lower()}-job/{self.settings.name(self.workload)}-*")
            actions = (f"Create{kind}Job", f"Describe{kind}Job", f"Stop{kind}Job", "AddTags", "ListTags")
            access.allow(role, tuple(f"sagemaker:{action}" for action in actions), jobs)
            acknowledge_resource(role, jobs, "A job is named by its run; the prefix bounds the names.")
            access.allow(
                role,
                ("iam:PassRole",),
                job_role.role_arn,
                StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"},
            )
        # Step Functions learns of a job's end through rules that it manages under these names.
        access.allow(
            role,
            ("events:PutRule", "events:PutTargets", "events:DescribeRule"),
            *(
                self._arn("events", f"rule/StepFunctionsGetEventsForSageMaker{kind}JobsRule")
                for kind in ("Training", "Processing")
            ),
        )

    def _let_register(self, role: iam.Role) -> None:
        group = self.settings.name(self.workload)
        packages = self._arn("sagemaker", f"model-package/{group}/*")
        access.allow(
            role,
            ("sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage", "sagemaker:AddTags"),
            self._arn("sagemaker", f"model-package-group/{group}"),
            packages,
        )
        acknowledge_resource(
            role, packages, "Versions are numbered as they are registered; the group bounds them."
        )

    def _arn(self, service: str, resource: str) -> str:
        """ARN of a resource of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"
