"""The API's description, OpenAPI 3.1, made from a workload's contract."""

from __future__ import annotations

from typing import Any

from contract.schema import Contract, Feature

Schema = dict[str, Any]

LARGEST = 1.0000000150474662e30
"""Largest magnitude of a number that the API takes: 1e30, as float32. Beyond it such a model cannot add."""

RECORDS = "application/vnd.millrace.records"
"""Media type of records in binary; docs/api.md lays them out."""
PROBABILITIES = "application/vnd.millrace.probabilities"
"""Media type of bare probabilities, float32."""

PREDICT = "/v1/models/{model}/predict"
MODEL = "/v1/models/{model}"
HEALTH = "/health"
JSON = "application/json"
SECURITY = "client"
ISSUER = "/oauth2/token"

PROBLEMS = {
    400: "The body is not what the model takes; `errors` names every record and field at fault",
    401: "No credentials, or none that hold",
    403: "Credentials that do not admit the caller, such as a token without the scope `predict`",
    404: "No such model",
    413: "Too many records, too large a body, or so many warnings that the answer would be too large",
    415: "The body is declared as something that is not taken",
    422: "Columns of different lengths, or numbers so far out of bounds that the model has no answer",
    429: "More requests than the stage admits",
    503: "No model has been released yet",
}
ALWAYS = (401, 403, 429)


def document(
    contract: Contract,
    server: str,
    *,
    token_url: str = ISSUER,
    scope: str = "predict",
    signed: bool = False,
) -> Schema:
    """Return the OpenAPI document of the workload's API at ``server`` (its URL, without a trailing slash).

    ``token_url`` is where clients get tokens, ``scope`` the OAuth scope they ask for; ``signed``: there are
    no tokens, callers sign their requests.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Millrace: {contract.name}",
            "summary": contract.question,
            "version": contract.sha256[:12] or "0",
        },
        "servers": [{"url": server}],
        "security": [{SECURITY: [] if signed else [scope]}],
        "paths": {
            PREDICT: {"parameters": [_model_parameter(contract)], "post": _predict(contract)},
            MODEL: {"parameters": [_model_parameter(contract)], "get": _describe()},
            HEALTH: {"get": _health()},
        },
        "components": {
            "schemas": _schemas(contract),
            "securitySchemes": _signature() if signed else _security(token_url, scope),
        },
    }


def _signature() -> Schema:
    """OpenAPI has no word for Signature Version 4; this is how API Gateway itself writes it."""
    scheme = {"type": "apiKey", "in": "header", "name": "Authorization"}
    return {SECURITY: {**scheme, "x-amazon-apigateway-authtype": "awsSigv4"}}


def _security(token_url: str, scope: str) -> Schema:
    flow = {"tokenUrl": token_url, "scopes": {scope: "Ask for predictions"}}
    return {SECURITY: {"type": "oauth2", "flows": {"clientCredentials": flow}}}


def _model_parameter(contract: Contract) -> Schema:
    schema = {"type": "string", "enum": [contract.name]}
    return {"name": "model", "in": "path", "required": True, "schema": schema}


def _predict(contract: Contract) -> Schema:
    media = {"schema": {"oneOf": [_ref("Records"), _ref("Columns")]}, "examples": _examples(contract)}
    return {
        "operationId": "predict",
        "summary": contract.question,
        "description": (
            f"Probability of “{contract.model.positive}” for each record. Many records are sent fastest as "
            f"`{RECORDS}`, which docs/api.md describes; asked for as `{PROBABILITIES}`, they are answered "
            "with float32 alone. Bodies may be packed with gzip."
        ),
        "requestBody": {"required": True, "content": {JSON: media}},
        "responses": _responses(
            ("Answer", "ColumnsAnswer"),
            "A prediction per record, in their order, written as the request is",
            *(400, 404, 413, 415, 422, 503),
        ),
    }


def _examples(contract: Contract) -> Schema:
    records = [dict(record) for record in contract.examples]
    names = [name for name in contract.features if any(name in record for record in records)]
    columns = {name: [record.get(name) for record in records] for name in names}
    return {"records": {"value": {"records": records}}, "columns": {"value": {"columns": columns}}}


def _describe() -> Schema:
    return {
        "operationId": "describe",
        "summary": "What the model takes, its version, and how good it is",
        "responses": _responses(("Model",), "The model in force", 404, 503),
    }


def _health() -> Schema:
    return {
        "operationId": "health",
        "summary": "Whether a model is in force",
        "responses": _responses(("Health",), "A model is in force", 503),
    }


def _responses(schemas: tuple[str, ...], description: str, *problems: int) -> Schema:
    first, *others = (_ref(schema) for schema in schemas)
    schema = {"oneOf": [first, *others]} if others else first
    answered = {"description": description, "content": {JSON: {"schema": schema}}}
    return {"200": answered} | {str(status): _problem(status) for status in sorted((*problems, *ALWAYS))}


def _problem(status: int) -> Schema:
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    return {"description": PROBLEMS[status], "content": content}


def _schemas(contract: Contract) -> Schema:
    # Sizes are limits of the service (413), not of what a request is (400): so they are told, not typed.
    serving = contract.serving
    limits = f"At most {serving.max_records} records and {serving.max_body_bytes} bytes."
    records = {**_list(_ref("Record")), "minItems": 1}
    return {
        "Record": _record(contract),
        "Records": {**_closed({"records": records}), "description": limits},
        "Columns": {**_closed({"columns": _columns(contract)}), "description": limits},
        "Prediction": _prediction(contract),
        "Answer": _open(model=_text(), version=_text(), predictions=_list(_ref("Prediction"))),
        "ColumnsAnswer": _columns_answer(contract),
        "Model": _model(),
        "Health": _open(status={"const": "ok"}, model=_text(), version=_text()),
        "Problem": _problem_document(),
    }


def _record(contract: Contract) -> Schema:
    required = [name for name, feature in contract.features.items() if feature.required]
    properties = {name: _feature(feature) for name, feature in contract.features.items()}
    return {**_closed(properties, required), "examples": [dict(record) for record in contract.examples]}


def _columns(contract: Contract) -> Schema:
    """Return the schema of columns, all equally long; one that is optional may be left out."""
    required = [name for name, feature in contract.features.items() if feature.required]
    columns = {name: _column(feature) for name, feature in contract.features.items()}
    return {**_closed(columns, required), "minProperties": 1}


def _column(feature: Feature) -> Schema:
    column = {**_list(_feature(feature)), "minItems": 1}
    return column if feature.required else {**column, "type": ["array", "null"]}


def _feature(feature: Feature) -> Schema:
    """Return the schema of one field. Beyond its plausible bounds it is answered, so they only describe."""
    about = {"description": _meaning(feature)}
    if feature.kind == "number":
        return {"type": _type("number", feature), "minimum": -LARGEST, "maximum": LARGEST, **about}
    return {"type": _type("string", feature), **({"minLength": 1} if feature.required else {}), **about}


def _type(name: str, feature: Feature) -> str | list[str]:
    return name if feature.required else [name, "null"]


def _meaning(feature: Feature) -> str:
    low = "" if feature.min is None else f"from {feature.min:g}"
    high = "" if feature.max is None else f"to {feature.max:g}"
    bounds = " ".join(part for part in (low, high, feature.unit) if part)
    return f"{feature.meaning} ({bounds})" if bounds else feature.meaning


def _prediction(contract: Contract) -> Schema:
    model = contract.model
    warning = _open(field=_text(), problem=_text())
    return _open(
        id=_text(),
        probability={"type": "number", "minimum": 0, "maximum": 1, "description": f"Of “{model.positive}”"},
        decision={"enum": [model.positive, model.negative]},
        warnings={**_list(warning), "description": "Fields outside what the model was trained for"},
    )


def _columns_answer(contract: Contract) -> Schema:
    one = _prediction(contract)["properties"]
    columns = _open(**{name: _list(one[name]) for name in ("id", "probability", "decision")})
    warned = _open(record={"type": "integer", "minimum": 0}, warnings=one["warnings"])
    return _open(model=_text(), version=_text(), columns=columns, warnings=_list(warned))


def _model() -> Schema:
    limits = _open(records={"type": "integer"}, body_bytes={"type": "integer"})
    feature = _open(name=_text(), kind={"enum": ["number", "category"]}, required={"type": "boolean"})
    example = _open(record={"type": "object"}, probability={"type": "number"})
    decision = _open(positive=_text(), negative=_text(), threshold={"type": "number"})
    return _open(
        model=_text(),
        version=_text(),
        question=_text(),
        decision=decision,
        limits=limits,
        features=_list(feature),
        examples=_list(example),
        metrics={"type": "object"},
    )


def _problem_document() -> Schema:
    """Return the schema of RFC 9457's problem document, with the places at fault."""
    flaw = {
        "type": "object",
        "required": ["problem"],
        "properties": {
            "problem": _text(),
            "record": {"type": "integer", "minimum": 0, "description": "The record's place, from 0"},
            "field": _text(),
        },
    }
    problem = _open(title=_text(), status={"type": "integer"}, detail=_text())
    problem["properties"] |= {"type": _text(), "errors": _list(flaw), "request_id": _text()}
    return problem


def _open(**properties: Schema) -> Schema:
    """Return an object with these members, all required; a later version may add others."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _closed(properties: Schema, required: list[str] | None = None) -> Schema:
    """Return an object with no other members than these."""
    return {
        "type": "object",
        "required": list(properties) if required is None else required,
        "properties": properties,
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _text() -> Schema:
    return {"type": "string"}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
