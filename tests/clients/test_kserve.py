"""KServe's client as it is shipped, in an environment of its own (`make setup-kserve`)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from functions.predict.routes import Service
from tests.functions.gateway import event, read, records
from tests.functions.tiny_bundle import Tiny

from .gateway import TOKEN

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-kserve/bin/python"
SCRIPT = Path(__file__).with_name("kserve_calls.py")
Record = dict[str, Any]


def columns(tiny: Tiny, each: Sequence[Record]) -> list[tuple[str, str, list[Any]]]:
    """What no record misses: the JSON that this client writes knows no NaN."""
    found = []
    for feature in tiny.inputs:
        values = [record.get(feature.name) for record in each]
        if None not in values:
            datatype = "BYTES" if feature.kind == "category" else "FP64"
            found.append((feature.name, datatype, values))
    return found


def test_kserves_client_gets_the_numbers_of_the_apis_own_route(
    function_url: str, server_url: str, tiny: Tiny, each: Sequence[Record], service: Service
) -> None:
    sent = columns(tiny, each)
    same = [{name: values[place] for name, _, values in sent} for place in range(len(each))]
    answers = read(service.answer(event(records(*same), model="flights"), None))["predictions"]

    # Importing the client is what takes seconds, so it asks both in one run.
    done = subprocess.run(
        [str(PYTHON), str(SCRIPT), TOKEN, function_url, server_url],
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    wanted = {"id": "42", "probability": [answer["probability"] for answer in answers]}
    for told in json.loads(done.stdout.splitlines()[-1]):
        assert (told["live"], told["ready"], told["model"], told["other"]) == (True, True, True, False)
        assert (told["json"], told["binary"]) == (wanted, wanted)
        assert "there is no input `altitude`" in told["error"]
