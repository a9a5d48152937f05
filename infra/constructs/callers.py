"""Who may call the APIs: machines with client credentials, no people."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from infra.constructs.acknowledge import acknowledge
from infra.constructs.defaults import removal
from infra.settings import Settings


class Callers(Construct):
    """A pool without users; one client that trades its id and secret for a token of scope ``predict``."""

    def __init__(self, scope: Construct, id: str, settings: Settings) -> None:
        super().__init__(scope, id)
        self.settings = settings
        self.user_pool = self._build_pool()
        predict = cognito.ResourceServerScope(
            scope_name="predict", scope_description="Ask the models for predictions"
        )
        server = self.user_pool.add_resource_server(
            "Server",
            identifier=settings.stack(),
            user_pool_resource_server_name=settings.stack(),
            scopes=[predict],
        )
        self.scope = f"{settings.stack()}/predict"
        self.client = self._build_client(cognito.OAuthScope.resource_server(server, predict))
        self.token_url = f"{self._endpoint()}/oauth2/token"

    def _build_pool(self) -> cognito.UserPool:
        pool = cognito.UserPool(
            self,
            "Pool",
            user_pool_name=self.settings.stack(),
            self_sign_up_enabled=False,
            mfa=cognito.Mfa.REQUIRED,
            mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
            account_recovery=cognito.AccountRecovery.NONE,
            password_policy=cognito.PasswordPolicy(
                min_length=16,
                require_digits=True,
                require_lowercase=True,
                require_symbols=True,
                require_uppercase=True,
            ),
            deletion_protection=self.settings.retain,
            removal_policy=removal(self.settings),
        )
        acknowledge(pool, "COG8", "The Plus tier judges how people sign in; this pool has no users.")
        return pool

    def _build_client(self, predict: cognito.OAuthScope) -> cognito.UserPoolClient:
        return self.user_pool.add_client(
            "Client",
            user_pool_client_name=self.settings.stack("predict"),
            generate_secret=True,
            access_token_validity=cdk.Duration.hours(1),
            enable_token_revocation=True,
            prevent_user_existence_errors=True,
            o_auth=cognito.OAuthSettings(flows=cognito.OAuthFlows(client_credentials=True), scopes=[predict]),
        )

    def _endpoint(self) -> str:
        """Where tokens are had; a domain's prefix is unique in a region, so it carries the account."""
        prefix = f"{self.settings.stack()}-{cdk.Stack.of(self).account}"
        domain = self.user_pool.add_domain(
            "Domain", cognito_domain=cognito.CognitoDomainOptions(domain_prefix=prefix)
        )
        return self.settings.emulator or domain.base_url()
