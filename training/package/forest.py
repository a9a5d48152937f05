"""From LightGBM's own description of its trees to an ONNX graph: TreeEnsembleRegressor, then Sigmoid.

Written here, because what converters add (a classifier with its map of labels) costs more than the trees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from training.package.export import OPSET, PROBABILITY, ROWS, serialised

_ML_OPSET = 3
_LEAF = "LEAF"


class ForestError(ValueError):
    """Trees of a kind that this converter does not know."""


@dataclass
class _Nodes:
    """The attributes of TreeEnsembleRegressor, a list entry for each node or leaf."""

    attributes: dict[str, Any] = field(default_factory=dict)

    def add(self, **values: Any) -> None:
        for name, value in values.items():
            self.attributes.setdefault(name, []).append(value)


def forest_to_onnx(dump: Mapping[str, Any], width: int) -> bytes:
    """Return the serialised graph of ``dump``, what ``Booster.dump_model()`` gave for rows [N, ``width``].

    Raises ForestError for another objective than binary, averaged trees, or splits by category.
    """
    factor = _sigmoid_factor(dump)
    nodes = _Nodes()
    for number, tree in enumerate(dump["tree_info"]):
        for values in _tree(tree["tree_structure"], number, factor):
            nodes.add(**values)
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        [ROWS],
        ["odds"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        **nodes.attributes,
    )
    flat = helper.make_node("Reshape", ["odds", "flat"], ["flat_odds"])
    sigmoid = helper.make_node("Sigmoid", ["flat_odds"], [PROBABILITY])
    graph = helper.make_graph(
        [trees, flat, sigmoid],
        "model",
        [helper.make_tensor_value_info(ROWS, TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info(PROBABILITY, TensorProto.FLOAT, ["batch"])],
        [helper.make_tensor("flat", TensorProto.INT64, [1], [-1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    return serialised(helper.make_model(graph, opset_imports=opsets))


def _sigmoid_factor(dump: Mapping[str, Any]) -> float:
    """Return the factor of the objective, such as ``binary sigmoid:1``."""
    name, *options = str(dump.get("objective", "")).split()
    if name != "binary" or dump.get("average_output"):
        raise ForestError(f"cannot convert trees of objective {dump.get('objective')!r}; train with binary")
    given = dict(option.split(":") for option in options)
    return float(given.get("sigmoid", 1))


def _tree(root: Mapping[str, Any], number: int, factor: float) -> Iterator[dict[str, Any]]:
    """Yield the entries of one tree's nodes, each with an identifier within the tree, the root's being 0."""
    waiting, next_id = [(root, 0)], 1
    while waiting:
        node, identifier = waiting.pop()
        if "split_index" in node:
            yield _branch(node, number, identifier, (next_id, next_id + 1))
            waiting += [(node["right_child"], next_id + 1), (node["left_child"], next_id)]
            next_id += 2
        else:
            yield _node(number, identifier)
            yield {
                "target_treeids": number,
                "target_nodeids": identifier,
                "target_ids": 0,
                "target_weights": node["leaf_value"] * factor,
            }


def _branch(
    node: Mapping[str, Any], number: int, identifier: int, children: tuple[int, int]
) -> dict[str, Any]:
    if node["decision_type"] != "<=":
        raise ForestError(f"cannot convert a split by {node['decision_type']}; pass no categorical_feature")
    yes, no = children
    return _node(
        number,
        identifier,
        mode="BRANCH_LEQ",
        feature=node["split_feature"],
        threshold=float32_below(node["threshold"]),
        yes=yes,
        no=no,
        missing_is_yes=_missing_goes_left(node),
    )


def _node(
    number: int,
    identifier: int,
    *,
    mode: str = _LEAF,
    feature: int = 0,
    threshold: float = 0.0,
    yes: int = 0,
    no: int = 0,
    missing_is_yes: bool = False,
) -> dict[str, Any]:
    return {
        "nodes_treeids": number,
        "nodes_nodeids": identifier,
        "nodes_modes": mode,
        "nodes_featureids": feature,
        "nodes_values": threshold,
        "nodes_truenodeids": yes,
        "nodes_falsenodeids": no,
        "nodes_missing_value_tracks_true": int(missing_is_yes),
        "nodes_hitrates": 1.0,
    }


def _missing_goes_left(node: Mapping[str, Any]) -> bool:
    """Where a NaN goes. A column without any in training takes it for 0, as LightGBM itself does."""
    kind = node["missing_type"]
    if kind == "NaN":
        return bool(node["default_left"])
    if kind == "None":
        return bool(node["threshold"] >= 0)
    raise ForestError(f"cannot convert missing values of the kind {kind}; leave zero_as_missing off")


def float32_below(threshold: float) -> float:
    """Return the largest float32 that is not above ``threshold``.

    For any float32 x, x <= threshold holds then exactly if x <= the result: rows are float32, thresholds not.
    """
    with np.errstate(over="ignore"):  # "everything goes left" is written as a threshold beyond float32
        rounded = np.float32(threshold)
    return float(rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf)))
