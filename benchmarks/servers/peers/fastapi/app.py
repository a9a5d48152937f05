"""FastAPI as its documentation shows it: the request and the answer are typed pydantic models."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, create_model

from ..bundled import Scorer


def record_type() -> type[BaseModel]:
    """Return the type of a record: the manifest's features, the optional ones None where left out."""
    features = json.loads((Path(os.environ["BUNDLE"]) / "manifest.json").read_bytes())["features"]
    kinds = {"number": float, "category": str}
    fields: dict[str, Any] = {
        feature["name"]: (kinds[feature["kind"]], ...)
        if feature["required"]
        else (kinds[feature["kind"]] | None, None)
        for feature in features
    }
    made: type[BaseModel] = create_model("Record", **fields)
    return made


Record = record_type()
Request = create_model("Request", records=(list[Record], ...))  # type: ignore[valid-type]


class Answer(BaseModel):
    """A probability for each record."""

    probabilities: list[float]


scorer = Scorer.open()
app = FastAPI()


async def predict(request):  # type: ignore[no-untyped-def] # its annotation is made below, of the manifest
    """Answer a predict request."""
    return Answer(probabilities=scorer.score([vars(record) for record in request.records]).tolist())


predict.__annotations__ = {"request": Request, "return": Answer}
app.post("/predict")(predict)
