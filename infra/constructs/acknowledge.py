"""Acknowledging a finding of cdk-nag or cfn-lint: one rule, on one construct, with a reason."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept the finding ``rule`` of cdk-nag (such as ``IAM5[Resource::*]``) on ``construct``."""
    _accept(construct, f"AwsSolutions-{rule}", reason)


def acknowledge_resource(construct: IConstruct, arn: str, reason: str) -> None:
    """Accept that a policy of ``construct`` names ``arn``, which holds a wildcard."""
    stack = cdk.Stack.of(construct)
    acknowledge(construct, f"IAM5[Resource::{_flat(stack.resolve(_imported(stack, arn)))}]", reason)


def acknowledge_lint(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept the finding ``rule`` of cfn-lint on the resource that ``construct`` makes."""
    resource = construct.node.default_child
    assert isinstance(resource, cdk.CfnResource)
    resource.add_metadata("cfn-lint", {"config": {"ignore_checks": [rule]}, "reason": reason})


def _imported(stack: cdk.Stack, text: str) -> str:
    """``text`` with what other stacks make named as ``stack`` will import it: the finding names it so."""
    for token in cdk.Tokenization.reverse_string(text).tokens:
        if isinstance(token, cdk.Reference):
            producer = cdk.Stack.of(token.target)
            if producer.node.path != stack.node.path:
                text = text.replace(token.to_string(), producer.export_value(token))
    return text


def _accept(construct: IConstruct, id: str, reason: str) -> None:
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=id, reason=reason))


def _flat(value: Any) -> str:
    """The text with which cdk-nag names a resolved CloudFormation value in the id of a finding."""
    if isinstance(value, str):
        return value.replace("${", "<").replace("}", ">")
    match value:
        case {"Fn::Join": [delimiter, items]}:
            return str(delimiter).join(map(_flat, items))
        case {"Fn::Sub": inner} | {"Fn::ImportValue": inner}:
            return _flat(inner)
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{_flat(resource)}.{_flat(attribute)}>"
        case {"Ref": name}:
            return f"<{name}>"
    return json.dumps(value, separators=(",", ":"))
