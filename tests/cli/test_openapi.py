from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.commands.openapi import openapi
from cli.errors import CliError


def test_the_document_is_written_to_a_file(tmp_path: Path) -> None:
    openapi(env="local", server="https://api.example", to=tmp_path / "api.json")
    assert json.loads((tmp_path / "api.json").read_text())["servers"] == [{"url": "https://api.example"}]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError) as refused:
        openapi(env="local", server="https://api.example", to=tmp_path / "no" / "api.json")
    assert refused.value.where == f"--to {tmp_path / 'no' / 'api.json'}"
