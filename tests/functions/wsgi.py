"""The function behind HTTP, as API Gateway would put it there: WSGI requests become proxy events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from functions.predict.routes import Service

from .gateway import HEALTH, MODEL, PREDICT

ROUTES = {
    HEALTH: Rule("/health", endpoint=HEALTH, methods=["GET"]),
    MODEL: Rule("/v1/models/<model>", endpoint=MODEL, methods=["GET"]),
    PREDICT: Rule("/v1/models/<model>/predict", endpoint=PREDICT, methods=["POST"]),
}
Start = Callable[..., Any]


class Gateway:
    """A WSGI application that hands each request to the function."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._routes = Map([rule.empty() for rule in ROUTES.values()])

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        request = Request(environ)
        resource, parameters = self._routes.bind_to_environ(environ).match()
        answer = self.service.answer(self._event(request, resource, dict(parameters)), None)
        response = Response(answer["body"], HTTPStatus(answer["statusCode"]), answer["headers"])
        return response(environ, start_response)

    @staticmethod
    def _event(request: Request, resource: str, parameters: dict[str, str]) -> dict[str, Any]:
        return {
            "resource": resource,
            "path": request.path,
            "httpMethod": request.method,
            "headers": dict(request.headers),
            "pathParameters": parameters or None,
            "requestContext": {"requestId": "0a1b2c3d"},
            # Bytes that are no text reach the function as the gateway's replacement characters.
            "body": request.get_data().decode(errors="replace") or None,
            "isBase64Encoded": False,
        }
