"""The engine's C interface: the numbers of the Python binding, and errors in the engine's own words."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from functions.predict import engine
from functions.predict.engine import Engine, EngineError, Handle, find_library
from functions.predict.model import Model

from .tiny_bundle import Tiny, graph

GRAPH = graph(Tiny()).SerializeToString()


@pytest.mark.parametrize("count", [1, 2, 64, 300])
def test_given_rows_then_the_numbers_are_the_python_bindings_bit_for_bit(count: int) -> None:
    rows = np.random.default_rng(7).normal(size=(count, 4)).astype(np.float32)
    rows[count // 2, 0] = np.nan
    model = Model(GRAPH, GRAPH, columns=4, capacity=300)

    model.rows[: rows.nbytes] = rows.tobytes()
    answered = model.run(count)

    expected = onnxruntime.InferenceSession(GRAPH, providers=["CPUExecutionProvider"]).run(
        None, {"rows": rows}
    )
    assert answered == expected[0].tolist()


def test_given_one_model_after_another_then_the_library_is_set_up_once() -> None:
    first, second = (Model(GRAPH, GRAPH, columns=4, capacity=2) for _ in range(2))

    first.close()

    assert second._engine is first._engine
    assert len(second.run(2)) == 2


def test_given_many_sizes_of_request_then_each_is_answered_and_memory_is_bounded() -> None:
    model = Model(GRAPH, GRAPH, columns=4, capacity=600)

    for count in range(1, 601):
        assert len(model.run(count)) == count

    assert len(model._calls) <= 256


def test_given_sizes_that_come_and_go_then_what_is_not_kept_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Model(GRAPH, GRAPH, columns=4, capacity=600)
    released: list[Handle] = []
    give_back = model._engine._release_value

    def count_and_give_back(tensor: Handle) -> None:
        released.append(tensor)
        give_back(tensor)

    monkeypatch.setattr(model._engine, "_release_value", count_and_give_back)

    for count in range(1, 601):
        model.run(count)

    assert len(released) == 2 * (600 - 256)


@pytest.mark.parametrize("count", [0, 9])
def test_given_more_rows_than_there_is_memory_for_then_nothing_runs(count: int) -> None:
    model = Model(GRAPH, GRAPH, columns=4, capacity=8)

    with pytest.raises(EngineError, match="does not fit"):
        model.run(count)


@pytest.mark.parametrize("graph", [b"", b"no graph"])
def test_given_bytes_that_are_no_graph_then_the_engines_words_are_raised(graph: bytes) -> None:
    with pytest.raises(EngineError, match=r"(?i)model|protobuf"):
        Engine().session(graph)


def test_given_a_graph_of_other_columns_then_it_is_refused_at_once() -> None:
    with pytest.raises(EngineError, match="Expected: 4"):
        Model(GRAPH, GRAPH, columns=5, capacity=8)


def test_given_no_engine_on_the_path_then_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="install onnxruntime"):
        find_library([str(tmp_path)])


def test_given_a_file_that_is_no_engine_then_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "library.so").write_text("not a library")

    with pytest.raises(EngineError, match="cannot be loaded"):
        Engine(str(tmp_path / "library.so"))


def test_given_an_engine_without_the_interface_then_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "INTERFACE", 9999)

    with pytest.raises(EngineError, match="does not offer interface 9999"):
        Engine()


def test_given_several_places_then_the_first_that_has_an_engine_counts(tmp_path: Path) -> None:
    mine = tmp_path / "onnxruntime" / "capi" / "libonnxruntime.so.9.9.9"
    mine.parent.mkdir(parents=True)
    mine.touch()

    assert find_library(["/nowhere", str(tmp_path), *sys.path]) == str(mine)
