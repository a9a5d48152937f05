"""`millrace predict`."""

from __future__ import annotations

import json as json_format
from typing import Any

from cli import api, calls, records
from cli.console import Voice, result, show_table, table
from cli.outputs import outputs
from cli.session import session


def predict(
    *,
    env: str | None = None,
    workload: str | None = None,
    record: str | None = None,
    file: str | None = None,
    json: bool = False,
) -> None:
    """Ask the API for predictions, with a fresh token or, where callers sign, with your own credentials.

    Without --record and --file it sends the contract's examples.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param record: one record as JSON: {"feature": value, …}
    :param file: a file with records as JSON (one, a list, a request body, or one a line); - is stdin
    :param json: print the API's answer as it is
    """
    here = session(env, workload)
    examples = () if record or file else here.contract.examples
    asked = records.read(record, file, examples)
    names = outputs(here, calls.NEEDED)
    url = api.predict_url(names["api_url"], here.workload)
    with Voice().busy(f"asking {url}"):
        answer = api.ask_as(here, names, url, records.body(asked))
    if answer.status != 200:
        raise api.problem(answer, url)
    if json:
        result(json_format.dumps(answer.content, indent=2, ensure_ascii=False))
        return
    show(answer.content)


def show(content: dict[str, Any]) -> None:
    """Print predictions as a table, a record a line, its warnings beside it."""
    rows = table("record", "probability", "decision", "warnings")
    for number, each in enumerate(content["predictions"]):
        rows.add_row(str(number), f"{each['probability']:.4f}", each["decision"], warnings(each))
    result(f"model {content['model']}, version {content['version']}")
    show_table(rows)


def warnings(prediction: dict[str, Any]) -> str:
    """Give a prediction's warnings in one line."""
    return "; ".join(f"{each['field']}: {each['problem']}" for each in prediction.get("warnings") or ())
