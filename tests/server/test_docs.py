"""What docs/serving.md lists is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server import connection, run, settings
from server.app import METHODS, OPEN
from server.metrics import HELP, kind_of

PAGE = (Path(__file__).parents[2] / "docs/serving.md").read_text()


def test_the_page_lists_every_route_with_its_method() -> None:
    listed = dict(re.findall(r"^\| `(GET|POST)? ?(/[^` …]*)…?` \|", PAGE, re.MULTILINE))
    pairs = {(path, method) for method, path in re.findall(r"^\| `(GET|POST) (/\S+)` \|", PAGE, re.MULTILINE)}

    assert pairs == {(path, methods[0]) for path, methods in METHODS.items()}
    assert f"{OPEN}/" in listed.values()


def test_the_page_lists_every_metric() -> None:
    listed = set(re.findall(r"^\| `((?:millrace|process)_\w+)", PAGE, re.MULTILINE))

    assert listed == {kind_of(name)[1] for name in HELP}


def test_the_page_lists_every_variable_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = re.findall(r"^\| (?:`--([\w-]+)`)? ?\| `(MILLRACE_\w+)` \| `?([\w.]*)`? \|", PAGE, re.MULTILINE)
    source = Path(settings.__file__).read_text()

    assert {variable for _, variable, _ in listed} | {"MILLRACE_BUNDLE"} == set(
        re.findall(r"MILLRACE_[A-Z]+(?:_[A-Z]+)*", source)
    )
    usual = settings.read(["b"], {})
    for option, _, default in listed:
        if default not in ("off", "any", ""):
            assert str(getattr(usual, option.replace("-", "_"))).removesuffix(".0") == default


def test_the_page_tells_the_limits_that_hold() -> None:
    assert f"more than {connection.HEAD_BYTES // 1024} KiB (431)" in PAGE
    assert f"more than {connection.REQUEST_SECONDS:.0f} s for a request (408)" in PAGE
    assert f"more than {connection.IDLE_SECONDS:.0f} s (closed" in PAGE
    assert f"cut off where {connection.TOLD_OFF} are" in PAGE
    assert f"{connection.HELD_BYTES // 1024**2} MiB are held" in PAGE
    assert f"waited for up to {run.GRACE_SECONDS:.0f} s" in PAGE


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        (["serve"], {}, ("/opt/ml/model", "0.0.0.0", 8080)),
        (["serve"], {"MILLRACE_BUNDLE": "/b", "MILLRACE_SERVER_PORT": "9"}, ("/b", "0.0.0.0", 9)),
        (["/b"], {}, ("/b", "127.0.0.1", 8080)),
        ([], {"MILLRACE_BUNDLE": "s3://a/b/", "MILLRACE_HOST": "::1"}, ("s3://a/b/", "::1", 8080)),
        (
            ["/b", "--port", "1"],
            {"MILLRACE_BUNDLE": "/c", "MILLRACE_SERVER_PORT": "9"},
            ("/b", "127.0.0.1", 1),
        ),
    ],
)
def test_given_arguments_and_variables_then_arguments_count_before(
    arguments: list[str], variables: dict[str, str], expected: tuple[str, str, int]
) -> None:
    found = settings.read(arguments, variables)

    assert (found.bundle, found.host, found.port) == expected
