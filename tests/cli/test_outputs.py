from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.stub import Stubber

from cli import main
from cli import session as sessions
from cli.errors import CliError
from cli.outputs import NAMES, outputs, places, stack_names, values


def stack(name: str, **held: str) -> dict[str, Any]:
    return {
        "StackName": name,
        "StackStatus": "CREATE_COMPLETE",
        "CreationTime": "2026-11-24T05:32:00Z",
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in held.items()],
    }


FOUND = [
    stack("millrace-local-foundation", LakeBucket="lake", Scope="millrace-local/predict"),
    stack("millrace-local-flights-serving", ApiUrl="https://api", FunctionName="f"),
    stack("millrace-dev-flights-serving", ApiUrl="https://another"),
]


def stubbed(here: sessions.Session) -> Stubber:
    stub = Stubber(here.client("cloudformation"))
    stub.add_response("describe_stacks", {"Stacks": FOUND})
    stub.activate()
    return stub


def test_outputs_get_the_names_that_scripts_use() -> None:
    assert values({"serving": FOUND[1], "foundation": FOUND[0]}, sessions.session("local").settings) == {
        "api_url": "https://api",
        "function": "f",
        "lake_bucket": "lake",
        "scope": "millrace-local/predict",
    }


def test_a_stack_of_another_environment_is_not_read() -> None:
    here = sessions.session("local")
    with stubbed(here):
        assert outputs(here)["api_url"] == "https://api"


def test_the_stacks_of_an_endpoint_count_only_where_there_is_one() -> None:
    dev = sessions.session("dev")
    function = replace(dev.settings, serving=replace(dev.settings.serving, targets=("lambda",)))
    both = replace(dev.settings, serving=replace(dev.settings.serving, targets=("lambda", "endpoint")))
    more = {"image": "millrace-dev-image", "endpoint": "millrace-dev-flights-endpoint"}
    without = stack_names(replace(dev, settings=function))
    assert stack_names(replace(dev, settings=both)) == without | more
    assert not without.keys() & more.keys()


def alone() -> sessions.Session:
    """The environment `local` where the endpoint alone answers."""
    here = sessions.session("local")
    serving = replace(here.settings.serving, targets=("endpoint",))
    return replace(here, settings=replace(here.settings, serving=serving))


def test_given_an_endpoint_alone_then_its_api_is_the_one_to_use_and_speaks_no_open_protocol() -> None:
    settings = alone().settings
    found = {
        "serving": stack("serving", FunctionName="f", ApiUrl="https://old", InferenceUrl="https://older"),
        "endpoint": stack("endpoint", ApiUrl="https://api", EndpointName="e"),
    }
    told = {"api_url": "https://api", "function": "f", "endpoint_url": "https://api", "endpoint": "e"}
    assert values(found, settings) == told
    both = sessions.session("local").settings
    assert places(both) == NAMES
    assert values(found, both) == told | {"api_url": "https://old", "inference_url": "https://older"}


def test_an_output_that_the_targets_do_not_give_is_told_with_the_target_that_would() -> None:
    here = alone()
    with stubbed(here), pytest.raises(CliError, match="no inference_url") as lacking:
        outputs(here, ("inference_url",))
    assert lacking.value.where.endswith("environments/local.toml")
    assert lacking.value.remedy == 'add "lambda" to serving.targets there, and deploy'
    with stubbed(here), pytest.raises(CliError, match="no output ApiUrl") as undeployed:
        outputs(here, ("api_url",))
    assert undeployed.value.where == "the stack millrace-local-flights-endpoint"


def test_a_missing_output_names_the_stack_that_should_hold_it() -> None:
    here = sessions.session("local")
    with stubbed(here), pytest.raises(CliError) as missing:
        outputs(here, ("train_machine",))
    assert missing.value.where == "the stack millrace-local-flights-pipeline"
    assert missing.value.remedy == "deploy the environment: millrace up"


def test_outputs_as_json_holds_api_url_and_nothing_else_is_on_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = sessions.session("local")
    monkeypatch.setattr("cli.commands.outputs.session", lambda env, workload: here)
    with stubbed(here):
        assert main.run(["outputs", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["api_url"] == "https://api"
    assert set(told) <= set(NAMES)
