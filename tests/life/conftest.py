"""One deployed environment for all life-cycle tests: it takes a minute, so it is made once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.executors.container import free_port
from tests.life.world import TOY, World, add_toy_workload, copy_of_the_repository


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The environment `local` with every stack of two workloads; nothing ingested yet."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("world") / "millrace")
    add_toy_workload(folder)
    world = World(folder, free_port())
    try:
        world.millrace("up", seconds=400)
        yield world
    finally:
        world.millrace("down", seconds=120)
    left = [line for line in command_lines() if str(folder) in line]
    assert not left, f"processes outlived `millrace down`: {left}"


def command_lines() -> list[str]:
    """What every process of this machine was started with; empty where there is no ``/proc``."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.append(file.read_text(errors="replace").replace("\0", " "))
    return found


@pytest.fixture(scope="session")
def before_any_release(world: World) -> World:
    """The world, while no model has been released: asserted, since tests share it."""
    assert world.parameter("champion") == "{}"
    return world


@pytest.fixture(scope="session")
def released(world: World) -> World:
    """The world with a first model of the toy workload, trained and released by commands."""
    if world.parameter("champion") == "{}":
        raw = world.folder / "workloads" / TOY / "raw"
        world.millrace("ingest", "--workload", TOY, "--from", str(raw))
        world.millrace("train", "--workload", TOY, seconds=500)
    return world


@pytest.fixture(scope="session")
def url(world: World) -> str:
    """Where the toy workload's predictions are asked for."""
    return f"{world.outputs()['api_url']}/v1/models/{TOY}/predict"


@pytest.fixture(scope="session")
def endpoint_url(world: World) -> str:
    """Where the toy workload's SageMaker endpoint is asked, through its own API."""
    return f"{world.outputs()['endpoint_url']}/v1/models/{TOY}/predict"


@pytest.fixture(scope="session")
def records() -> dict[str, object]:
    """A good request."""
    record = {"depot": "north", "region": "upland", "weight": 2.5, "distance": 300, "express": 0}
    return {"records": [record, {"depot": "south", "distance": 1200, "express": 1}]}
