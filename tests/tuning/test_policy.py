"""The policy in docs/tuning.md lets a caller do what the two commands do, and no more of SageMaker."""

from __future__ import annotations

import json
import re
from typing import Any

from cli.sdk import REPOSITORY
from tests.tuning.test_sdk import ANSWERS

OF_THE_COMMANDS = {
    "StopTrainingJob",
    "StopHyperParameterTuningJob",
    "ListTrainingJobsForHyperParameterTuningJob",
}


def statements() -> list[dict[str, Any]]:
    text = (REPOSITORY / "docs" / "tuning.md").read_text()
    found = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return list(json.loads(found[1])["Statement"])


def test_it_allows_of_sagemaker_what_is_called_and_nothing_else() -> None:
    listed = [each["Action"] for each in statements()]
    actions = {each for action in listed for each in ([action] if isinstance(action, str) else action)}
    called = {f"sagemaker:{name}" for name in {*ANSWERS, *OF_THE_COMMANDS, "AddTags"}}
    assert {each for each in actions if each.startswith("sagemaker:")} == called


def test_it_passes_the_role_to_sagemaker_only_and_names_every_resource_but_the_stacks() -> None:
    (passing,) = [each for each in statements() if each["Action"] == "iam:PassRole"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    (anything,) = [each for each in statements() if each["Resource"] == "*"]
    assert anything["Action"] == "cloudformation:DescribeStacks"
