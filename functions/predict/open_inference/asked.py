"""An inference request, taken apart: its JSON, the bytes behind it, and which outputs it wants."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from ..bundle import Feature
from ..json_form import value_type
from ..problem import Problem
from .tensors import FORMATS, TEXT

UNSET = msgspec.UNSET
HEADER_LENGTH = "inference-header-content-length"
OUTPUTS = ("probability", "decision", "warnings")
UNSUPPORTED = ("shared_memory_region", "classification")
"""Parameters that would change what is answered, and that nothing here can heed."""
_WINDOWS = {b"\x1f": 31, b"x": 15}
"""First byte of a packed body, with which no JSON begins, and what unpacks it: gzip, and zlib's deflate."""


Dimension = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Dimensions = Annotated[list[Dimension], msgspec.Meta(max_length=8)]
"""A shape that can be told back; far more than any tensor here has."""


class OutputParameters(msgspec.Struct, frozen=True, gc=False):
    """What is asked of one output."""

    binary_data: bool | msgspec.UnsetType = UNSET
    shared_memory_region: Any = UNSET
    classification: Any = UNSET


class Output(msgspec.Struct, gc=False):
    """An output that is asked for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(msgspec.Struct, frozen=True, gc=False):
    """What is asked of the whole request; parameters without a meaning here are ignored."""

    binary_data_output: bool = False


class InputParameters(msgspec.Struct, frozen=True, gc=False):
    """How an input is sent: ``binary_data_size`` bytes behind the JSON, or -1."""

    binary_data_size: Annotated[int, msgspec.Meta(ge=0)] = -1
    shared_memory_region: Any = UNSET


class Tensor(msgspec.Struct):
    """An input of any kind."""

    name: str
    shape: Dimensions
    datatype: str
    data: list[Any] | msgspec.UnsetType = UNSET
    parameters: InputParameters = InputParameters()


class Inference(msgspec.Struct):
    """A request whose inputs are looked at one by one."""

    inputs: list[Tensor]
    outputs: list[Output] = []
    id: str | msgspec.UnsetType = UNSET
    parameters: RequestParameters = RequestParameters()


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """An output to answer with."""

    name: str
    binary: bool


class Asked(msgspec.Struct, frozen=True):
    """A request: ``json`` up to the bytes of its tensors, which begin at ``start`` of ``body``.

    ``request`` is read from it: with inputs typed by feature where ``ordinary``, else an ``Inference``.
    """

    body: bytes
    start: int
    request: Any
    ordinary: bool
    outputs: tuple[Wanted, ...]

    def inference(self) -> Inference:
        """Return the request with inputs of any kind. Raises Problem 400."""
        found: Inference = loosely(self.body[: self.start]) if self.ordinary else self.request
        return found


class Reader:
    """Reads the inference requests of one manifest."""

    def __init__(self, features: Sequence[Feature], limit: int) -> None:
        self._limit = limit
        self._decode = msgspec.json.Decoder(ordinary_type(features)).decode

    def read(self, headers: Mapping[str, str], body: bytes) -> Asked:
        """Take a request apart; ``headers`` have lower-case names.

        Raises Problem 400 where it is none, 413 where it is too large, 415 where it is packed otherwise.
        """
        if "content-encoding" in headers:
            body = self._unpacked(body, headers["content-encoding"].strip().lower())
        if len(body) > self._limit:
            raise Problem(413, f"The body has {len(body)} bytes; at most {self._limit} are taken.")
        start = _header_length(headers[HEADER_LENGTH], body) if HEADER_LENGTH in headers else len(body)
        head = body if start == len(body) else body[:start]
        try:
            request, ordinary = self._decode(head), True
        except (ValueError, RecursionError):
            request, ordinary = loosely(head), False
        return Asked(body, start, request, ordinary, wanted(request))

    def _unpacked(self, body: bytes, coding: str) -> bytes:
        """Unpack what has not been unpacked on the way, but never more than a request may hold."""
        if coding not in ("", "identity", "gzip", "deflate"):
            raise Problem(415, "Of compressed bodies only gzip and deflate are taken.")
        window = _WINDOWS.get(body[:1])
        if window is None or coding not in ("gzip", "deflate"):
            return body
        unpack = zlib.decompressobj(wbits=window)
        try:
            plain = unpack.decompress(body, self._limit + 1)
        except zlib.error as error:
            raise Problem(400, f"The body is not {coding}, as `Content-Encoding` says: {error}.") from None
        if len(plain) <= self._limit and (not unpack.eof or unpack.unused_data):
            raise Problem(400, f"The body is not one whole piece of {coding}.")
        return plain


def ordinary_type(features: Sequence[Feature]) -> type[msgspec.Struct]:
    """Build the type of a request whose inputs all need no second look; an input is known by its name."""
    tensors = tuple(_tensor_type(place, feature) for place, feature in enumerate(features))
    members: list[Any] = [
        ("inputs", list[_union(tensors)]),  # type: ignore[misc]
        ("outputs", list[Output], []),
        ("id", str | msgspec.UnsetType, UNSET),
        ("parameters", RequestParameters, RequestParameters()),
    ]
    return msgspec.defstruct("OrdinaryInference", members)


def _union(types: tuple[type, ...]) -> Any:
    found: Any = types[0]
    for each in types[1:]:
        found = found | each
    return found


def _tensor_type(place: int, feature: Feature) -> type[msgspec.Struct]:
    datatypes = (TEXT,) if feature.kind == "category" else tuple(name for name in FORMATS if name != "BOOL")
    return msgspec.defstruct(
        f"Tensor{place}",
        [
            ("shape", list[int]),
            ("datatype", Literal[datatypes]),
            ("data", list[value_type(feature, ordinary=True)] | msgspec.UnsetType, UNSET),  # type: ignore[misc]
            ("parameters", InputParameters, InputParameters()),
        ],
        tag_field="name",
        tag=feature.name,
        namespace={"place": place},
    )


def loosely(head: bytes) -> Inference:
    """Read a request with inputs of any kind; NaN stands for a missing number. Raises Problem 400."""
    try:
        return msgspec.convert(_document(head), Inference)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Problem(400, f"the request is none of this protocol: {error}") from None


def _document(head: bytes) -> Any:
    try:
        document = json.loads(head.decode())
        if b"\\u" in head:
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise Problem(400, f"the request is not UTF-8 text: byte {error.start} is at fault") from None
    except UnicodeEncodeError:
        raise Problem(400, "the request holds half a surrogate pair, which is not text") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Problem(400, f"the request is not JSON: {error.msg}, {where}") from None
    except (ValueError, RecursionError):
        unreadable = "a number too long, or nested too deep"
        raise Problem(400, f"the request is not JSON that can be read: {unreadable}") from None
    return document


def _header_length(declared: str, body: bytes) -> int:
    plain = declared.isascii() and declared.isdigit() and len(declared) <= 15
    length = int(declared) if plain else 0
    if not 0 < length <= len(body):
        raise Problem(
            400,
            f"Inference-Header-Content-Length is {declared[:40]!r}; it must be the length of the request's "
            f"JSON, from 1 to the body's {len(body)} bytes",
        )
    return length


def wanted(request: Any) -> tuple[Wanted, ...]:
    """Return the outputs that a request asks for: all of them where it names none. Raises Problem 400."""
    binary = request.parameters.binary_data_output
    if not request.outputs:
        return _all(binary)
    found = [Wanted(each.name, _chosen(each.parameters.binary_data, binary)) for each in request.outputs]
    names = [each.name for each in found]
    for output in request.outputs:
        if output.name not in OUTPUTS:
            raise Problem(400, f"there is no output `{output.name}`; this model has {', '.join(OUTPUTS)}")
        if names.count(output.name) > 1:
            raise Problem(400, f"output `{output.name}` is asked for twice")
        refuse_unsupported(output.parameters, f"output `{output.name}`")
    return tuple(found)


def _all(binary: bool) -> tuple[Wanted, ...]:
    return tuple(Wanted(name, binary) for name in OUTPUTS)


def _chosen(own: bool | msgspec.UnsetType, common: bool) -> bool:
    return common if own is UNSET else bool(own)


def refuse_unsupported(parameters: Any, whose: str) -> None:
    """Raise Problem 400 where a parameter asks for what cannot be done here."""
    for name in UNSUPPORTED:
        if getattr(parameters, name, UNSET) is not UNSET:
            raise Problem(400, f"{whose}: the parameter `{name}` is not supported")
