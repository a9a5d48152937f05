"""What `kubectl kustomize` makes of a folder, for machines that have no kubectl.

Knows the fields that kubernetes/ uses and refuses all others, so that it cannot quietly leave something out.
Where there is a kubectl, a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
Resources = dict[tuple[str, str], Manifest]
"""By kind and name."""

MERGED_BY = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
}
"""Lists whose items a patch meets by a key; other lists it replaces."""
CLUSTER_WIDE = {"Namespace"}
PLAIN = {"apiVersion", "kind", "resources", "components"}


def render(folder: Path) -> list[Manifest]:
    """Return the manifests of a kustomization. Raises ValueError where it uses what is not known here."""
    return list(_build(folder, {}).values())


def _build(folder: Path, resources: Resources) -> Resources:
    """Add what ``folder`` holds to ``resources``, and change them as it says."""
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
    unknown = wanted.keys() - PLAIN - STEPS.keys()
    if unknown:
        raise ValueError(f"{folder}/kustomization.yaml uses {sorted(unknown)}, which is not known here")
    for name in wanted.get("resources", []):
        resources |= _read(folder / name)
    for name in wanted.get("components", []):
        _build(folder / name, resources)
    for key, step in STEPS.items():
        if key in wanted:
            step(resources, wanted[key], folder)
    return resources


def _read(place: Path) -> Resources:
    if place.is_dir():
        return _build(place, {})
    return {_key(each): each for each in yaml.safe_load_all(place.read_text())}


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _generate(resources: Resources, wanted: list[Manifest], folder: Path) -> None:
    for each in wanted:
        options = each["options"]
        if each.keys() != {"name", "files", "options"} or options.keys() != {
            "disableNameSuffixHash",
            "labels",
        }:
            raise ValueError(f"{folder}: configMapGenerator uses what is not known here")
        files = dict(name.split("=") for name in each["files"])
        resources["ConfigMap", each["name"]] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": each["name"], "labels": dict(options["labels"])},
            "data": {key: (folder / name).read_text() for key, name in files.items()},
        }


def _patch(resources: Resources, wanted: list[dict[str, str]], folder: Path) -> None:
    for each in wanted:
        patch = yaml.safe_load((folder / each["path"]).read_text())
        resources[_key(patch)] = merged(resources[_key(patch)], patch)


def merged(old: Any, patch: Any, field: str = "") -> Any:
    """Return ``old`` after a strategic merge: null takes away, lists meet by key or are replaced."""
    if isinstance(old, dict) and isinstance(patch, dict):
        result = {**old, **{name: merged(old.get(name), value, name) for name, value in patch.items()}}
        return {name: value for name, value in result.items() if value is not None}
    if isinstance(old, list) and field in MERGED_BY:
        key = MERGED_BY[field]
        known = {item[key]: item for item in old}
        named = [merged(known.get(item[key]), item) for item in patch]
        return named + [item for name, item in known.items() if name not in {item[key] for item in named}]
    return patch


def _place(resources: Resources, namespace: str, _folder: Path) -> None:
    for (kind, _), each in list(resources.items()):
        if kind not in CLUSTER_WIDE:
            each["metadata"]["namespace"] = namespace
        elif kind == "Namespace":
            each["metadata"]["name"] = namespace


def _label(resources: Resources, wanted: list[Manifest], folder: Path) -> None:
    for entry in wanted:
        if entry.keys() != {"pairs", "includeTemplates"} or not entry["includeTemplates"]:
            raise ValueError(f"{folder}: labels uses what is not known here")
        for each in resources.values():
            for owner in (each, each.get("spec", {}).get("template")):
                if owner:
                    owner["metadata"].setdefault("labels", {}).update(entry["pairs"])


def _retag(resources: Resources, wanted: list[dict[str, str]], _folder: Path) -> None:
    names = {each["name"]: f"{each['newName']}:{each['newTag']}" for each in wanted}
    for each in resources.values():
        for container in each.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            container["image"] = names.get(container["image"], container["image"])


STEPS: dict[str, Callable[[Resources, Any, Path], None]] = {
    "configMapGenerator": _generate,
    "patches": _patch,
    "namespace": _place,
    "labels": _label,
    "images": _retag,
}
"""In kustomize's own order."""
