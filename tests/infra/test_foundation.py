"""What the workloads of an environment share."""

from __future__ import annotations

from tests.infra.conftest import Synthesis, only, properties, resources


def test_given_foundation_then_its_outputs_are_those_that_commands_read(each: Synthesis) -> None:
    outputs = each.template("foundation")["Outputs"]
    names = {"LakeBucket", "ModelsBucket", "UserPoolId", "ClientId", "TokenUrl", "Scope", "TopicArn"}
    assert names <= set(outputs)
    assert outputs["Scope"]["Value"] == f"millrace-{each.settings.env}/predict"


def test_given_an_environment_then_tokens_come_from_cognito_or_from_the_emulator(each: Synthesis) -> None:
    url = str(each.template("foundation")["Outputs"]["TokenUrl"]["Value"])
    assert ("amazoncognito.com/oauth2/token" in url) != url.startswith("http://127.0.0.1:")


def test_given_the_pool_then_nobody_signs_up_and_machines_trade_credentials_for_one_scope(
    dev: Synthesis,
) -> None:
    template = dev.template("foundation")
    assert only(template, "AWS::Cognito::UserPool")["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"]
    client = only(template, "AWS::Cognito::UserPoolClient")
    assert client["AllowedOAuthFlows"] == ["client_credentials"]
    assert client["GenerateSecret"]
    assert len(client["AllowedOAuthScopes"]) == 1
    assert "ExplicitAuthFlows" not in client
    server = only(template, "AWS::Cognito::UserPoolResourceServer")
    assert (server["Identifier"], server["Scopes"][0]["ScopeName"]) == ("millrace-dev", "predict")


def test_given_the_topic_then_only_alarms_and_events_of_this_account_may_publish(dev: Synthesis) -> None:
    document = only(dev.template("foundation"), "AWS::SNS::TopicPolicy")["PolicyDocument"]
    publishers = [item for item in document["Statement"] if item["Effect"] == "Allow"]
    assert {item["Principal"]["Service"] for item in publishers} == {
        "cloudwatch.amazonaws.com",
        "events.amazonaws.com",
    }
    assert all("aws:SourceAccount" in item["Condition"]["StringEquals"] for item in publishers)


def test_given_data_and_models_then_each_bucket_has_its_own_key(dev: Synthesis) -> None:
    used = {
        rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID", {}).get("Fn::GetAtt", [None])[0]
        for bucket in properties(dev.template("foundation"), "AWS::S3::Bucket")
        for rule in bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    }
    assert len(used) == 3


def test_given_an_environment_then_its_data_is_kept_exactly_where_it_says_so(each: Synthesis) -> None:
    expected = "Retain" if each.settings.retain else "Delete"
    kinds = ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Cognito::UserPool")
    for kind in kinds:
        for name, item in resources(each.template("foundation"), kind).items():
            assert item["DeletionPolicy"] == expected, name


def test_given_an_environment_then_nothing_is_made_by_code_of_the_cdk(each: Synthesis) -> None:
    """A custom resource of the CDK's would bring its own function, role and runtime."""
    for template in each.templates().values():
        kinds = {item["Type"] for item in template["Resources"].values()}
        assert not {kind for kind in kinds if kind.startswith("Custom::") and "Millrace" not in kind}


def test_given_an_environment_then_its_stacks_have_the_agreed_names(each: Synthesis) -> None:
    env = each.settings.env
    expected = {f"millrace-{env}-foundation"} | {
        f"millrace-{env}-{workload}-{part}"
        for workload in each.settings.workloads
        for part in ("registry", "pipeline", "serving", "monitoring")
    }
    assert expected <= set(each.templates())
