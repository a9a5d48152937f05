"""The state machines as data: ``<name>.asl.yaml`` in Amazon States Language, read but never built in code.

A file may keep YAML anchors under top-level keys that start with ``x-``; they are dropped on reading.
``${Name}`` in a definition is a placeholder that a stack fills (CloudFormation's DefinitionSubstitutions);
each file lists its placeholders at its top.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")
_NETWORK = "VpcConfig"
"""The member of a job's arguments that names its network. SageMaker takes none that is empty."""


def machine(name: str, *, network: bool = False) -> dict[str, Any]:
    """The definition of the machine ``name`` (such as ``train``) with placeholders unfilled.

    ``network``: its jobs run in a network of the environment's own; else what names it is left out.
    """
    path = _FOLDER / f"{name}.asl.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.name.removesuffix(".asl.yaml") for file in _FOLDER.glob("*.asl.yaml")))
        raise FileNotFoundError(
            f"{path} does not exist: no state machine is called {name!r}; use one of {known}"
        )
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    whole = {key: value for key, value in document.items() if not key.startswith("x-")}
    return whole if network else dict(_without_network(whole))


def _without_network(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_network(item) for key, item in value.items() if key != _NETWORK}
    return [_without_network(item) for item in value] if isinstance(value, list) else value


def definition(name: str, *, network: bool = False) -> str:
    """The definition of the machine ``name`` as the JSON text that CloudFormation takes."""
    return json.dumps(machine(name, network=network), ensure_ascii=False, separators=(",", ":"))


def placeholders(name: str, *, network: bool = False) -> frozenset[str]:
    """The names that a stack must fill in the definition of the machine ``name``."""
    return frozenset(_PLACEHOLDER.findall(definition(name, network=network)))
