from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from cli.commands.openapi import openapi
from cli.errors import CliError
from cli.session import session
from infra.settings import Api


def test_the_document_is_written_to_a_file(tmp_path: Path) -> None:
    openapi(env="local", server="https://api.example", to=tmp_path / "api.json")
    assert json.loads((tmp_path / "api.json").read_text())["servers"] == [{"url": "https://api.example"}]


@pytest.mark.parametrize("auth", ["token", "iam"])
def test_it_says_how_the_environment_s_callers_are_admitted(
    tmp_path: Path, auth: Literal["token", "iam"], monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = session("dev", "flights")
    here = replace(dev, settings=replace(dev.settings, api=Api(auth=auth)))
    monkeypatch.setattr("cli.commands.openapi.session", lambda *_: here)
    openapi(server="https://api.example", to=tmp_path / "api.json")
    told = json.loads((tmp_path / "api.json").read_text())
    ((name, scopes),) = told["security"][0].items()
    scheme = told["components"]["securitySchemes"][name]
    if auth == "iam":
        assert (scheme["type"], scheme["x-amazon-apigateway-authtype"], scopes) == ("apiKey", "awsSigv4", [])
    else:
        assert (scheme["type"], scopes) == ("oauth2", ["predict"])


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError) as refused:
        openapi(env="local", server="https://api.example", to=tmp_path / "no" / "api.json")
    assert refused.value.where == f"--to {tmp_path / 'no' / 'api.json'}"
