"""A workload's folder becomes a Contract, or an error that says what to do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import tomllib
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.errors import ContractError
from contract.limits import MOST_BODY_BYTES, answer_bytes, most_records
from contract.load import load, names, workload
from contract.schema import Contract
from contract.structure import NOT_IN_THE_DOCUMENT
from tests.contract.toml_writer import write_toml
from tests.workload_factory import CONTRACT, FEATURES, make_workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCUMENT = tomllib.loads(CONTRACT)
WORDS = ("late", "on time")
MOST_RECORDS = most_records(*WORDS)
ONE_FOLDER = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)


def loaded(folder: Path, document: dict[str, Any]) -> Contract:
    (folder / "contract.toml").write_text(write_toml(document))
    (folder / "features.sql").write_text(FEATURES)
    return load(folder)


def paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in ``node`` that holds a value, the root left out."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, item in items:
        yield (*path, name)
        yield from paths(item, (*path, name))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    at(document, path[:-1])[path[-1]] = value
    return document


def without(path: tuple[Any, ...]) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    del at(document, path[:-1])[path[-1]]
    return document


def to_document(part: Any) -> Any:
    """A contract as the document that it could have been read from."""
    if dataclasses.is_dataclass(part):
        fields = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
        return to_document({name: value for name, value in fields.items() if name not in NOT_IN_THE_DOCUMENT})
    if isinstance(part, dict):
        return {name: to_document(value) for name, value in part.items() if value is not None}
    if isinstance(part, tuple):
        return [to_document(item) for item in part]
    return part


SCALARS = st.one_of(st.booleans(), st.integers(-10, 10), st.floats(), st.text(max_size=8), st.dates())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
NEEDED = [
    ("name",),
    ("question",),
    ("source",),
    ("source", "folder"),
    ("tables", "parcels", "file"),
    ("tables", "parcels", "key"),
    ("tables", "parcels", "columns"),
    ("tables", "parcels", "columns", "weight", "type"),
    ("example",),
    ("example", "event_time"),
    ("label", "sql"),
    ("split", "validate"),
    ("split", "train", "end"),
    ("features",),
    ("features", "weight", "kind"),
    ("features", "weight", "meaning"),
    ("model", "positive"),
    ("model", "floor"),
    ("model", "floor", "auc"),
    ("examples",),
    ("examples", 0, "distance"),
]
BROKEN = [
    (("source", "distribution"), "", "source.distribution", "leave it out"),
    (("examples", 0, "weight"), 1e31, "examples[0].weight", "that the API takes"),
    (("name",), "Par cels", "name", "letters"),
    (("label", "sql"), "  ", "label.sql", "Write"),
    (("tables", "parcels", "key"), ["parcel"], "tables.parcels.key[0]", '"parcel_id"'),
    (("tables", "parcels", "key"), [], "tables.parcels.key", "tell one row"),
    (
        ("tables", "parcels", "columns", "parcel_id", "required"),
        False,
        "tables.parcels.columns.parcel_id.required",
        "true",
    ),
    (("tables", "parcels", "key"), ["days_late"], "tables.parcels.after_the_fact", "key"),
    (
        ("tables", "parcels", "after_the_fact"),
        ["day_late"],
        "tables.parcels.after_the_fact[0]",
        '"days_late"',
    ),
    (("tables", "parcels", "max_quarantined"), 1.5, "tables.parcels.max_quarantined", "between 0 and 1"),
    (("tables", "parcels", "columns", "weight", "min"), 200, "tables.parcels.columns.weight.min", "mend"),
    (("tables", "parcels", "columns", "depot", "max"), 3, "tables.parcels.columns.depot.max", "Leave it out"),
    (
        ("tables", "parcels", "columns", "Depot"),
        {"type": "text"},
        "tables.parcels.columns.Depot",
        "tell them",
    ),
    (("tables", "parcels", "columns", "a b"), {"type": "text"}, "tables.parcels.columns.a b", "Letters"),
    (
        ("tables", "parcels", "columns", "depot", "spellings"),
        {"north": ["N"], "nord": ["N"]},
        "tables.parcels.columns.depot.spellings.nord[0]",
        "once",
    ),
    *(
        (
            ("tables", "parcels", "columns", "depot", "spellings"),
            {"north": [variant]},
            "tables.parcels.columns.depot.spellings.north[0]",
            "Leave it out",
        )
        for variant in ("", " ", " N")
    ),
    (
        ("tables", "parcels"),
        DOCUMENT["tables"]["parcels"] | {"null": "NORTH"},
        "tables.parcels.columns.depot.spellings.north[1]",
        "Leave it out",
    ),
    (("tables", "examples"), DOCUMENT["tables"]["depots"], "tables.examples", "another name"),
    (("example", "table"), "parcel", "example.table", '"parcels"'),
    (("example", "event_time"), "weight", "example.event_time", "another name"),
    (("split", "train", "start"), tomllib.loads("d = 2024-10-01")["d"], "split.train.start", "Swap"),
    (("split", "test", "start"), tomllib.loads("d = 2024-10-01")["d"], "split.test.start", "overlap"),
    (("features", "label"), DOCUMENT["features"]["weight"], "features.label", "another name"),
    (("features", "depot", "min"), 1, "features.depot.min", "Leave it out"),
    (("features", "depot", "spellings_of"), "parcel.depot", "features.depot.spellings_of", '"parcels.depot"'),
    (("features", "weight", "spellings_of"), "parcels.depot", "features.weight.spellings_of", "category"),
    (("features", "depot", "spellings_of"), "parcels.weight", "features.depot.spellings_of", "depot"),
    (("examples", 0, "depot"), "NORTH", "examples[0].depot", 'Write "north"'),
    (("features", "weight", "min"), 101, "features.weight.min", "mend"),
    (("features", "weight", "kind"), "numeric", "features.weight.kind", "number"),
    (("selection", "redundant_above"), 0, "selection.redundant_above", "at most 1"),
    (("quality", 0, "table"), "example", "quality[0].table", '"examples"'),
    (("quality", 0), {"name": "r", "table": "parcels", "sql": "count(*)"}, "quality[0]", "Give min"),
    (("quality", 0, "min"), 1, "quality[0].min", "mend"),
    (("model", "threshold"), 1, "model.threshold", "between 0 and 1"),
    (("model", "negative"), "late", "model.negative", "two names"),
    (("model", "training", "hidden"), [16, 0], "model.training.hidden", "at least 1"),
    (("model", "optimise", "candidates"), ["distilled"], "model.optimise.candidates", "add it"),
    (("model", "optimise", "candidates"), ["teacher", "tree"], "model.optimise.candidates[1]", '"trees"'),
    (("model", "optimise", "students"), [8, 8], "model.optimise.students", "leave one"),
    (("model", "optimise", "students"), [8, 0], "model.optimise.students[1]", "at least 1"),
    (("model", "optimise", "draws"), 3, "model.optimise.draws", "at least 20"),
    (("model", "optimise", "tolerance"), 1.5, "model.optimise.tolerance", "below 1"),
    (("model", "optimise", "latency_ratio"), 0.5, "model.optimise.latency_ratio", "at least 1"),
    (("model", "optimise", "temperature"), 0, "model.optimise.temperature", "above 0"),
    (("model", "optimise", "leaf"), 3, "model.optimise.leaf", '"leaves"'),
    (("model", "training", "epoch"), 3, "model.training.epoch", '"epochs"'),
    (("model", "floor", "auc"), True, "model.floor.auc", "Correct"),
    (("examples", 0, "distanse"), 3, "examples[0].distanse", '"distance"'),
    (("examples", 0, "depot"), 3, "examples[0].depot", "quotes"),
    (("examples", 0, "weight"), "heavy", "examples[0].weight", "number"),
    (("examples", 0, "express"), True, "examples[0].express", "0 or 1"),
    (("examples", 0, "weight"), 1000, "examples[0].weight", "plausible"),
    (("examples", 0, "weight"), 10**400, "examples[0].weight", "Correct"),
    (("examples", 0, "depot"), "", "examples[0].depot", "refuses"),
    (("model", "training", "seed"), -(10**400), "model.training.seed", "Correct"),
    (("serving",), {"max_records": 1}, "serving.max_records", "in one request"),
    (("serving",), {"max_body_bytes": 40}, "serving.max_body_bytes", "in one request"),
    (("serving",), {"max_body_bytes": MOST_BODY_BYTES + 1}, "serving.max_body_bytes", f"{MOST_BODY_BYTES};"),
    (("serving",), {"max_records": MOST_RECORDS + 1}, "serving.max_records", f"At most {MOST_RECORDS};"),
    (("name",), "my_parcels", "name", "digits and -"),
    *(
        (("model", "tuning", *path), value, ".".join(("model.tuning", *place)), remedy)
        for path, value, place, remedy in (
            (("trials",), 0, ("trials",), "From 1"),
            (("parallel",), 0, ("parallel",), "1 or more"),
            (("objective",), "test_auc", ("objective",), "validate_auc"),
            (("ranges",), {}, ("ranges",), "leave the table out"),
            (("ranges", "learning_rates"), {"values": [1]}, ("ranges", "learning_rates"), '"learning_rate"'),
            (("ranges", "hidden"), {"min": 1, "max": 2}, ("ranges", "hidden", "values"), "List what"),
            (("ranges", "hidden", "values"), [[8], 16], ("ranges", "hidden", "values[1]"), "brackets"),
            (("ranges", "hidden", "values"), [[8], [0]], ("ranges", "hidden", "values[1]"), "at least 1"),
            (("ranges", "hidden", "values"), [[8], [8]], ("ranges", "hidden", "values[1]"), "Leave one"),
            (("ranges", "hidden", "min"), 3, ("ranges", "hidden", "values"), "one of the two"),
            (("ranges", "embedding", "min"), 2.5, ("ranges", "embedding", "min"), "Correct"),
            (("ranges", "embedding"), {"min": 2}, ("ranges", "embedding"), "both bounds"),
            (("ranges", "embedding", "max"), 2, ("ranges", "embedding", "min"), "mend"),
            (("ranges", "learning_rate", "min"), 0, ("ranges", "learning_rate", "min"), "linear"),
            (("ranges", "learning_rate", "scale"), "ln", ("ranges", "learning_rate", "scale"), "log"),
            (("ranges", "dropout"), {"min": 0, "max": 1}, ("ranges", "dropout", "max"), "not including, 1"),
        )
    ),
]


def test_given_a_complete_folder_then_every_part_is_read(tmp_path: Path) -> None:
    contract = load(make_workload(tmp_path, rows=1, seed=0))

    assert contract.tables["parcels"].columns["weight"].max == 100.0
    assert contract.tables["parcels"].columns["depot"].spellings == {"north": ("North", "NORTH")}
    assert contract.names("category") == ("depot", "region", "planet")
    assert contract.model.training.hidden == (16,)
    assert contract.model.training.seed == 7
    assert contract.examples[1]["distance"] == 1200
    assert contract.features_sql == FEATURES
    assert len(contract.sha256) == 64


def test_given_another_line_of_sql_then_the_digest_differs(tmp_path: Path) -> None:
    folder = make_workload(tmp_path, rows=1, seed=0)
    before = load(folder).sha256
    (folder / "features.sql").write_text(FEATURES + "-- changed\n")

    assert load(folder).sha256 != before


def test_given_a_contract_inside_a_zip_then_it_reads_the_same(tmp_path: Path) -> None:
    folder = make_workload(tmp_path / "parcels", rows=1, seed=0)
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        for name in ("contract.toml", "features.sql"):
            archive.write(folder / name, f"workloads/parcels/{name}")

    assert load(zipfile.Path(tmp_path / "code.zip") / "workloads" / "parcels") == load(folder)


def test_given_no_search_space_then_there_is_a_default_one(tmp_path: Path) -> None:
    tuning = loaded(tmp_path, without(("model", "tuning"))).model.tuning
    assert tuning.trials >= tuning.parallel >= 1
    assert tuning.ranges["learning_rate"].scale == "log"


def test_given_its_own_contract_written_out_then_it_reads_the_same(tmp_path: Path) -> None:
    first = loaded(tmp_path, DOCUMENT)
    second = loaded(tmp_path, to_document(first))

    assert dataclasses.replace(second, sha256=first.sha256) == first


@pytest.mark.parametrize("path", NEEDED, ids=lambda path: ".".join(map(str, path)))
def test_given_a_needed_key_is_gone_then_the_error_names_it(tmp_path: Path, path: tuple[Any, ...]) -> None:
    with pytest.raises(ContractError) as caught:
        loaded(tmp_path, without(path))

    assert str(path[-1]) in str(caught.value)


@pytest.mark.parametrize(("path", "value", "key", "remedy"), BROKEN, ids=lambda part: str(part)[:40])
def test_given_something_that_cannot_hold_then_key_and_remedy_are_named(
    tmp_path: Path, path: tuple[Any, ...], value: Any, key: str, remedy: str
) -> None:
    with pytest.raises(ContractError) as caught:
        loaded(tmp_path, changed(path, value))

    fault = caught.value
    assert fault.file.endswith("contract.toml")
    assert fault.key == key
    assert remedy.lower() in fault.remedy.lower()
    assert all(part in str(fault) for part in (fault.file, fault.key, fault.problem, fault.remedy))


@pytest.mark.parametrize("name", ["days_late", "Damaged"])
def test_given_a_feature_known_only_after_the_fact_then_it_is_refused_as_a_leak(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(ContractError, match=r"leaks parcels\..*known only after the outcome"):
        loaded(tmp_path, changed(("features", name), {"kind": "number", "meaning": "a leak"}))


@given(data=st.data())
@ONE_FOLDER
def test_given_any_single_value_replaced_then_it_loads_or_says_why(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(list(paths(DOCUMENT))))
    document = changed(path, data.draw(VALUES))
    try:
        contract = loaded(tmp_path, document)
    except ContractError as fault:
        assert fault.problem
        assert fault.remedy
    else:
        assert contract.features


@given(data=st.data())
@ONE_FOLDER
def test_given_a_key_that_nobody_knows_then_it_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    fixed = [path for path in paths(DOCUMENT) if isinstance(at(DOCUMENT, path), dict)]
    free = {("tables",), ("features",), ("tables", "parcels", "columns", "depot", "spellings")}
    free |= {("tables", table, "columns") for table in DOCUMENT["tables"]} | {("model", "tuning", "ranges")}
    where = data.draw(st.sampled_from([(), *[path for path in fixed if path not in free]]))

    with pytest.raises(ContractError) as caught:
        loaded(tmp_path, changed((*where, "zzz_unknown"), data.draw(VALUES)))

    assert caught.value.key.endswith("zzz_unknown")


@given(data=st.data())
@ONE_FOLDER
def test_given_a_value_of_a_type_that_fits_nowhere_then_it_is_refused(
    tmp_path: Path, data: st.DataObject
) -> None:
    leaves = [path for path in paths(DOCUMENT) if not isinstance(at(DOCUMENT, path), dict | list)]
    path = data.draw(st.sampled_from(leaves))

    with pytest.raises(ContractError) as caught:
        loaded(tmp_path, changed(path, {"no": ["place", {"for": "this"}]}))

    assert str(path[-1]) in caught.value.key or f"[{path[-1]}]" in caught.value.key


@given(text=st.text(max_size=200))
@ONE_FOLDER
def test_given_any_text_at_all_then_the_error_is_a_contract_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "contract.toml").write_bytes(text.encode("utf-8", "replace"))
    (tmp_path / "features.sql").write_text(FEATURES)

    with pytest.raises(ContractError):
        load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"", b"x = 1\nx = 2", b"d = 2013-02-30", b"x = " + b"[" * 5000, b"x = " + b"9" * 5000],
    ids=["not utf-8", "empty", "twice", "no such day", "too deep", "too long a number"],
)
def test_given_a_file_that_is_no_toml_then_the_error_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "contract.toml").write_bytes(content)
    (tmp_path / "features.sql").write_text(FEATURES)

    with pytest.raises(ContractError, match=r"contract\.toml"):
        load(tmp_path)


def test_given_no_features_sql_then_the_error_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "contract.toml").write_text(CONTRACT)

    with pytest.raises(ContractError, match=r"features\.sql: cannot be read"):
        load(tmp_path)


def test_given_a_misspelt_workload_then_the_closest_is_suggested() -> None:
    with pytest.raises(ContractError, match='Did you mean "flights"'):
        workload("flight")


def test_given_a_folder_elsewhere_then_it_is_a_workload_too(tmp_path: Path) -> None:
    folder = make_workload(tmp_path / "parcels", rows=1, seed=0)

    assert workload(str(folder)) == load(folder)


def test_given_a_copy_that_kept_the_name_then_the_folder_s_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workload(tmp_path / "letters", rows=1, seed=0)
    monkeypatch.setattr("contract.load.files", lambda package: tmp_path)

    with pytest.raises(ContractError, match='"parcels" is not the folder') as caught:
        workload("letters")

    assert (caught.value.key, caught.value.remedy) == ("name", 'Write name = "letters".')


def test_every_workload_of_the_project_holds() -> None:
    assert "flights" in names()
    assert all(workload(name).name == name for name in names())


def test_given_an_error_from_another_process_then_it_arrives_whole() -> None:
    fault = ContractError("contract.toml", "features.x", "missing", "Add it.")

    assert str(pickle.loads(pickle.dumps(fault))) == str(fault)


def test_given_the_largest_limits_then_they_are_taken_and_a_larger_one_s_error_names_both_figures(
    tmp_path: Path,
) -> None:
    most = {"max_records": MOST_RECORDS, "max_body_bytes": MOST_BODY_BYTES}
    assert dataclasses.asdict(loaded(tmp_path, changed(("serving",), most)).serving) == most
    needed = {"max_records": answer_bytes(*WORDS, 90_000), "max_body_bytes": 2 * 90_000_000 + 64 * 1024}
    for key, value in {"max_records": 90_000, "max_body_bytes": 90_000_000}.items():
        with pytest.raises(ContractError, match=rf"{needed[key]} bytes .* carries 6291456"):
            loaded(tmp_path, changed(("serving",), {key: value}))
