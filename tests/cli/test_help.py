from __future__ import annotations

import re
import subprocess
import sys

import pytest

from cli import main
from cli.help import options, page, placeholder

HEAVY = ("aws_cdk", "boto3", "botocore", "cyclopts", "pyspark", "rich", "torch")
IMPORTS_AFTER_HELP = f"""
import sys
from cli.main import run
run(sys.argv[1:])
print(*(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in main.COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTS_AFTER_HELP, *arguments], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(("usage: millrace", "millrace: "))
    assert ran.stderr.split() == []


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 0
    told = capsys.readouterr().out
    assert [name for name in main.COMMANDS if f"\n  {name} " not in told] == []


@pytest.mark.parametrize("name", main.COMMANDS)
def test_page_explains_every_option_that_the_parser_takes(name: str) -> None:
    command = main.command(name)
    accepted = {
        flag
        for argument in main.parser()[name].assemble_argument_collection()
        for flag in argument.names
        if flag.startswith("--")
    }
    spelled = {each.split()[0] for each in options(command) if each.startswith("--")}
    assert spelled <= accepted
    told = page(name, command)
    assert ":param" not in told
    for option in options(command):
        assert re.search(rf"^  {re.escape(option)}\s+\w", told, re.MULTILINE), f"{option} is not explained"


def test_placeholders_tell_the_kind_of_value() -> None:
    kinds = [placeholder(each) for each in ("int | None", "Path | None", "list[str] | None", "str")]
    assert kinds == ["NUMBER", "PATH", "NAME=VALUE", "TEXT"]


@pytest.mark.parametrize("arguments", [["trian"], ["train", "--epochs", "3"], ["logs", "--since"]])
def test_what_cannot_be_parsed_ends_with_2_and_a_hint(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.run(arguments)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "remedy:  see millrace" in told
    assert "Traceback" not in told


def test_a_hyphen_stands_for_standard_input() -> None:
    assert main.attached(["predict", "--file", "-", "--json"]) == ["predict", "--file=-", "--json"]
    assert main.attached(["predict", "-", "--file=-"]) == ["predict", "-", "--file=-"]
