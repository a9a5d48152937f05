"""Reads ``workloads/<name>/contract.toml`` and ``features.sql`` into a checked ``Contract``."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from contract import schema
from contract.checks import check
from contract.errors import ContractError, suggestion
from contract.structure import StructureError, build

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

CONTRACT = "contract.toml"
FEATURES = "features.sql"

__all__ = ["ContractError", "load", "names", "workload"]


def load(folder: Path | Traversable) -> schema.Contract:
    """The contract that ``folder`` holds, with the text of its ``features.sql`` and its digest.

    Raises ContractError (file, key, problem, remedy) for anything that does not hold.
    """
    document = _read(folder, CONTRACT)
    features = _read(folder, FEATURES)
    file = str(folder / CONTRACT)
    try:
        contract: schema.Contract = build(schema.Contract, _parse(document, file), "")
        contract = replace(contract, features_sql=features, sha256=_digest(document, features))
        check(contract)
    except StructureError as fault:
        raise ContractError(file, fault.key, fault.problem, fault.remedy) from fault
    return contract


def workload(name: str) -> schema.Contract:
    """The contract of workload ``name`` from the package ``workloads``, be that a folder or inside a zip.

    A ``name`` with a slash in it is a folder anywhere else. Raises ContractError, also where the contract
    has another name than its folder: stacks and addresses go by the folder's, the model by the contract's.
    """
    if "/" in name:
        return load(Path(name))
    if name not in names():
        raise ContractError(f"workloads/{name}", "", "there is no such workload", suggestion(name, names()))
    contract = load(files("workloads") / name)
    if contract.name != name:
        problem = f'"{contract.name}" is not the folder\'s name'
        raise ContractError(f"workloads/{name}/{CONTRACT}", "name", problem, f'Write name = "{name}".')
    return contract


def names() -> tuple[str, ...]:
    """Names of the workloads in the package ``workloads``, sorted."""
    folders = (entry for entry in files("workloads").iterdir() if entry.is_dir())
    return tuple(sorted(folder.name for folder in folders if (folder / CONTRACT).is_file()))


def _read(folder: Path | Traversable, name: str) -> str:
    file = folder / name
    try:
        text = file.read_bytes().decode("utf-8")
    except OSError as fault:
        raise ContractError(str(file), "", "cannot be read", f"A workload's folder holds {name}.") from fault
    except UnicodeDecodeError as fault:
        raise ContractError(str(file), "", f"is not UTF-8: {fault}", "Save it as UTF-8.") from fault
    if not text.strip():
        raise ContractError(str(file), "", "is empty", "See workloads/flights for one that is not.")
    return text


def _parse(document: str, file: str) -> dict[str, object]:
    try:
        return tomllib.loads(document)
    # A date such as 2013-02-30 and a number of thousands of digits escape as plain ValueErrors.
    except (ValueError, RecursionError) as fault:
        raise ContractError(file, "", f"is not valid TOML: {fault}", "Mend that line.") from fault


def _digest(document: str, features: str) -> str:
    return hashlib.sha256(f"{document}\0{features}".encode()).hexdigest()
