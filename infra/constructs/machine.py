"""A state machine from its definition as data, with its role and its log."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.constructs.access import service_role
from infra.constructs.acknowledge import acknowledge, acknowledge_lint


class Machine(Construct):
    """Exposes ``machine`` and ``role``; the stack that makes it gives the role what the states need."""

    def __init__(
        self, scope: Construct, id: str, *, name: str, definition: str, substitutions: Mapping[str, str]
    ) -> None:
        super().__init__(scope, id)
        self.role = service_role(
            self, "Role", "states.amazonaws.com", description=f"What the state machine {name} may do"
        )
        # The prefix keeps the log out of CloudWatch's account-wide resource policy, which is of limited size.
        group = logs.LogGroup(self, "Log", log_group_name=f"/aws/vendedlogs/states/{name}")
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            definition_body=sfn.DefinitionBody.from_string(definition),
            definition_substitutions=dict(substitutions),
            role=self.role,
            logs=sfn.LogOptions(destination=group, level=sfn.LogLevel.ALL, include_execution_data=False),
        )
        acknowledge_lint(self.machine, "W3005", "CDK makes every machine depend on its role, twice over.")
        acknowledge(
            self.role,
            "IAM5[Resource::*]",
            "Log delivery, X-Ray and a layer's list of versions take no resource; all else names its own.",
        )
