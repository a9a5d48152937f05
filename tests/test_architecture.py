"""The table in docs/architecture.md says what each folder may import; the code keeps to it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| `(?P<folder>\w+)` \| .* \| (?P<allowed>[^|]*) \|$", re.MULTILINE)


def allowed_imports() -> dict[str, set[str]]:
    table = (ROOT / "docs/architecture.md").read_text().split("may import |")[1].split("\n## ")[0]
    return {row["folder"]: set(re.findall(r"`(\w+)`", row["allowed"])) for row in ROW.finditer(table)}


def imported(file: Path) -> set[str]:
    """Top-level names of the absolute imports of ``file``, wherever in it they stand."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    return {name.split(".")[0] for name in plain | named}


@pytest.mark.parametrize("folder", sorted(allowed_imports()))
def test_a_folder_imports_only_what_the_table_allows(folder: str) -> None:
    ours = set(allowed_imports())
    for file in sorted((ROOT / folder).rglob("*.py")):
        foreign = imported(file) & ours - {folder} - allowed_imports()[folder]
        assert not foreign, f"{file.relative_to(ROOT)} imports {sorted(foreign)}, which the table forbids"


def test_the_table_names_every_folder_of_code() -> None:
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= set(allowed_imports())


def test_functions_do_not_import_each_other() -> None:
    for function in (ROOT / "functions").iterdir():
        if not function.is_dir() or function.name.startswith("__"):
            continue
        for file in function.rglob("*.py"):
            assert "functions" not in imported(file), f"{file.name} must use relative imports"
