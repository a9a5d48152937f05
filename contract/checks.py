"""What must hold between the parts of a contract, beyond each key having the right type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, get_type_hints

from contract.errors import suggestion
from contract.hyperparameters import RANGES, written
from contract.limits import AROUND, CARRIED, MOST_BODY_BYTES, answer_bytes, most_records
from contract.openapi import LARGEST
from contract.schema import SPLITS, Column, Contract, Feature, Optimise, Range, Record, Rule, Table, Training
from contract.structure import StructureError, build

WORKLOAD = re.compile(r"[a-z][a-z0-9-]{0,30}")
"""Stacks are named after workloads, and CloudFormation knows no underscore."""
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
EXAMPLES = "examples"
MOST_TRIALS, MOST_RANGES, MOST_VALUES = 750, 30, 30
"""SageMaker's limits of one tuning job: training jobs (a quota), ranges, and values of a range."""
RESERVED = frozenset({"example_id", "event_time", "label", "split"})
"""Columns of the examples that the platform itself writes."""
LEAK = (
    "It is known only after the outcome, so a model that reads it cannot be used before: "
    "name another feature, or derive one from rows that were complete by then."
)

Findings = Iterator[tuple[str, str, str]]


def check(contract: Contract) -> None:
    """Raises StructureError for the first thing in ``contract`` that does not hold."""
    for rule in RULES:
        for key, problem, remedy in rule(contract):
            raise StructureError(key, problem, remedy)


def _name(contract: Contract) -> Findings:
    if not WORKLOAD.fullmatch(contract.name):
        yield (
            "name",
            f'"{contract.name}" cannot name a workload',
            "Lower-case letters, digits and -, a letter first, at most 31 characters.",
        )


def _texts(contract: Contract) -> Findings:
    texts = {
        "question": contract.question,
        "source.folder": contract.source.folder,
        "label.sql": contract.label.sql,
        "example.event_time": contract.example.event_time,
        "model.positive": contract.model.positive,
        "model.negative": contract.model.negative,
    }
    for key, text in texts.items():
        if not text.strip():
            yield key, "empty", "Write what it is."
    if contract.source.distribution is not None and not contract.source.distribution.strip():
        yield (
            "source.distribution",
            "empty",
            "Name the Python distribution that holds the files, or leave it out.",
        )


def _tables(contract: Contract) -> Findings:
    if not contract.tables:
        yield "tables", "none is declared", "Add a [tables.NAME] for each raw file."
    yield from _identifiers("tables", contract.tables, {EXAMPLES})
    for name, table in contract.tables.items():
        yield from _table(f"tables.{name}", table)


def _table(key: str, table: Table) -> Findings:
    if not table.file.strip():
        yield f"{key}.file", "empty", "Name the raw file."
    if not table.columns:
        yield f"{key}.columns", "none is declared", "Add every column of the file's header."
    if not table.key:
        yield f"{key}.key", "empty", "List the columns that tell one row from another."
    yield from _identifiers(f"{key}.columns", table.columns, set())
    for part in ("key", "after_the_fact"):
        yield from _known_columns(f"{key}.{part}", getattr(table, part), table)
    for name in sorted(set(table.key) & set(table.after_the_fact)):
        yield f"{key}.after_the_fact", f'"{name}" is part of the key', "A key is known from the start."
    for name in table.key:
        if name in table.columns and not table.columns[name].required:
            yield f"{key}.columns.{name}.required", "false for a part of the key", "Set required = true."
    if not 0 <= table.max_quarantined <= 1:
        yield f"{key}.max_quarantined", f"{table.max_quarantined:g} is not a share", "Between 0 and 1."
    for name, column in table.columns.items():
        yield from _column(f"{key}.columns.{name}", column, table.null)


def _known_columns(key: str, columns: tuple[str, ...], table: Table) -> Findings:
    for index, name in enumerate(columns):
        if name not in table.columns:
            yield f"{key}[{index}]", f'"{name}" is not a column', suggestion(name, table.columns)
        if name in columns[:index]:
            yield f"{key}[{index}]", f'"{name}" stands here twice', "Leave one of them out."


def _column(key: str, column: Column, null: str) -> Findings:
    if column.type not in ("integer", "number"):
        yield from _boundless(key, column, f"a {column.type} column has no order to bound")
    yield from _bounds(key, column)
    if column.spellings and column.type != "text":
        yield f"{key}.spellings", "only a text column has spellings", 'Set type = "text" or leave it out.'
    seen = dict.fromkeys(column.spellings, "is a canonical spelling itself")
    for canonical, variants in column.spellings.items():
        yield from _readable(f"{key}.spellings.{canonical}", canonical, null)
        for index, variant in enumerate(variants):
            yield from _readable(f"{key}.spellings.{canonical}[{index}]", variant, null)
            if variant in seen:
                place = f"{key}.spellings.{canonical}[{index}]"
                yield place, f'"{variant}" {seen[variant]}', "List each variant once."
            seen[variant] = f'is already rewritten to "{canonical}"'


def _readable(key: str, spelling: str, null: str) -> Findings:
    """Raw texts have lost blanks around them when they are compared, and missing ones are gone by then."""
    if spelling in ("", null):
        yield key, f'"{spelling}" is read as a missing value', "Leave it out."
    elif spelling != spelling.strip(" "):
        yield key, f'"{spelling}" is never read: blanks around a text are cut off', "Leave it out."


def _bounds(key: str, bounded: Column | Feature | Rule) -> Findings:
    if bounded.min is not None and bounded.max is not None and bounded.min > bounded.max:
        yield f"{key}.min", f"{bounded.min:g} is above max = {bounded.max:g}", "Swap or mend them."


def _boundless(key: str, bounded: Column | Feature, why: str) -> Findings:
    for bound in ("min", "max"):
        if getattr(bounded, bound) is not None:
            yield f"{key}.{bound}", why, "Leave it out."


def _identifiers(key: str, names: Iterable[str], reserved: set[str] | frozenset[str]) -> Findings:
    seen: dict[str, str] = {}
    for name in names:
        place = f"{key}.{name}"
        if not IDENTIFIER.fullmatch(name):
            yield place, "not a plain name", "Letters, digits and _, no digit first."
        if name.lower() in reserved:
            yield place, "the platform uses this name itself", "Choose another name."
        if name.lower() in seen:
            yield place, f'differs from "{seen[name.lower()]}" only in case', "SQL cannot tell them apart."
        seen[name.lower()] = name


def _example(contract: Contract) -> Findings:
    example = contract.example
    if example.table not in contract.tables:
        yield "example.table", f'"{example.table}" is no table', suggestion(example.table, contract.tables)
    if not IDENTIFIER.fullmatch(example.event_time):
        yield "example.event_time", f'"{example.event_time}" cannot name a column', "Name one."
    if example.event_time in contract.features:
        yield "example.event_time", "is a feature too", "Give the feature another name."


def _split(contract: Contract) -> Findings:
    for name in SPLITS:
        if name not in contract.split:
            yield f"split.{name}", "missing", "Add { start = 2013-01-01, end = 2013-09-01 }."
    for name, period in contract.split.items():
        if period.start >= period.end:
            yield f"split.{name}.start", f"{period.start} is not before end = {period.end}", "Swap them."
    ordered = [(name, contract.split[name]) for name in SPLITS if name in contract.split]
    for (earlier, before), (later, after) in pairwise(ordered):
        if after.start < before.end:
            problem = f"{after.start} lies before the end of {earlier}, {before.end}"
            yield f"split.{later}.start", problem, "Train, validate, test: in this order, without overlap."


def _features(contract: Contract) -> Findings:
    if not contract.features:
        yield "features", "none is declared", "Add a [features.NAME] for each."
    yield from _identifiers("features", contract.features, RESERVED)
    for name, feature in contract.features.items():
        key = f"features.{name}"
        if not feature.meaning.strip():
            yield f"{key}.meaning", "empty", "Say in a line what callers are to send."
        if feature.kind == "category":
            yield from _boundless(key, feature, "a category has no order to bound")
        yield from _bounds(key, feature)
        if feature.spellings_of:
            yield from _spellings_of(f"{key}.spellings_of", feature, contract.tables)


def _spellings_of(key: str, feature: Feature, tables: dict[str, Table]) -> Findings:
    if feature.kind != "category":
        yield key, "only a category has spellings", 'Set kind = "category" or leave it out.'
    spelt = [
        f"{table}.{column}"
        for table, described in tables.items()
        for column, facts in described.columns.items()
        if facts.spellings
    ]
    if feature.spellings_of not in spelt:
        remedy = suggestion(feature.spellings_of, spelt) if spelt else "Give a text column spellings first."
        yield key, f'"{feature.spellings_of}" is no table.column with spellings', remedy


def _leaks(contract: Contract) -> Findings:
    late = after_the_fact(contract)
    for name in contract.features:
        if name.lower() in late:
            yield f"features.{name}", f"leaks {late[name.lower()]}", LEAK


def after_the_fact(contract: Contract) -> dict[str, str]:
    """Lower-case names of all columns known only after the fact, each with its ``table.column``."""
    return {
        name.lower(): f"{table}.{name}"
        for table, declared in contract.tables.items()
        for name in declared.after_the_fact
    }


def _selection(contract: Contract) -> Findings:
    limit = contract.selection.redundant_above
    if not 0 < limit <= 1:
        yield "selection.redundant_above", f"{limit:g} is no limit for |r|", "Above 0, at most 1."


def _quality(contract: Contract) -> Findings:
    seen: set[str] = set()
    for index, rule in enumerate(contract.quality):
        key = f"quality[{index}]"
        if not rule.name.strip() or not rule.sql.strip():
            yield key, "name or sql is empty", "Write both."
        if rule.name in seen:
            yield f"{key}.name", f'"{rule.name}" names another rule already', "Choose another name."
        seen.add(rule.name)
        if rule.table not in {*contract.tables, EXAMPLES}:
            known = [*contract.tables, EXAMPLES]
            yield f"{key}.table", f'"{rule.table}" is no table', suggestion(rule.table, known)
        if rule.min is None and rule.max is None:
            yield key, "no bound, so the rule can never break", "Give min, max or both."
        yield from _bounds(key, rule)


def _model(contract: Contract) -> Findings:
    model = contract.model
    shares = {"threshold": model.threshold, "floor.auc": model.floor.auc}
    for key, value in shares.items():
        if not 0 < value < 1:
            yield f"model.{key}", f"{value:g} is out of range", "Between 0 and 1, both excluded."
    for key, value in {"parity": model.budget.parity, "auc_loss": model.budget.auc_loss}.items():
        if not 0 <= value < 1:
            yield f"model.budget.{key}", f"{value:g} is out of range", "At least 0, below 1."
    if model.positive == model.negative:
        yield "model.negative", "the same as model.positive", "Two outcomes need two names."


def _positive_numbers(contract: Contract) -> Findings:
    positive = {
        "model.budget.bytes": contract.model.budget.bytes,
        "serving.max_records": contract.serving.max_records,
        "serving.max_body_bytes": contract.serving.max_body_bytes,
    }
    for key, value in positive.items():
        if value <= 0:
            yield key, f"{value:g} is not positive", "Above 0."


def _carried(contract: Contract) -> Findings:
    """The largest request, and the largest answer without warnings, pass on AWS."""
    limits, words = contract.serving, (contract.model.positive, contract.model.negative)
    carried = f"bytes on their way, and a call of a Lambda function carries {CARRIED}"
    if limits.max_body_bytes > MOST_BODY_BYTES:
        problem = f"so large a body may take {2 * limits.max_body_bytes + AROUND} {carried}"
        yield "serving.max_body_bytes", problem, f"At most {MOST_BODY_BYTES}; callers send more in parts."
    if limits.max_records > (most := most_records(*words)):
        problem = f"the answer to so many may take {answer_bytes(*words, limits.max_records)} {carried}"
        yield "serving.max_records", problem, f"At most {most}; callers send more in parts."


def _training(contract: Contract) -> Findings:
    for name in RANGES:
        yield from _hyperparameter(f"model.training.{name}", name, getattr(contract.model.training, name))


def _hyperparameter(key: str, name: str, value: Any) -> Findings:
    fits, promise = RANGES[name]
    if not fits(value):
        yield key, f"{written(value)} is out of range", f"It must be {promise}."


def _tuning(contract: Contract) -> Findings:
    tuning = contract.model.tuning
    if not 1 <= tuning.trials <= MOST_TRIALS:
        remedy = f"From 1 to {MOST_TRIALS}: what one tuning job of SageMaker takes."
        yield "model.tuning.trials", f"{tuning.trials} is out of range", remedy
    if tuning.parallel < 1:
        yield "model.tuning.parallel", f"{tuning.parallel} is not positive", "1 or more at a time."
    if not 1 <= len(tuning.ranges) <= MOST_RANGES:
        remedy = f"Give 1 to {MOST_RANGES} ranges, or leave the table out for the defaults."
        yield "model.tuning.ranges", f"{len(tuning.ranges)} are declared", remedy
    known = get_type_hints(Training)
    for name, where in tuning.ranges.items():
        key = f"model.tuning.ranges.{name}"
        if name not in known:
            yield key, "no such hyperparameter", suggestion(name, known)
        else:
            yield from _range(key, name, where)


def _range(key: str, name: str, where: Range) -> Findings:
    if where.values:
        yield from _choices(key, name, where)
        return
    if get_type_hints(Training)[name] not in (int, float):
        yield f"{key}.values", "missing", f"List what {name} may be, as in [model.training]."
        return
    if where.min is None or where.max is None:
        yield key, "neither values nor min and max", "Give values, or both bounds."
        return
    if where.min >= where.max:
        yield f"{key}.min", f"{where.min:g} is not below max = {where.max:g}", "Swap or mend them."
    if where.scale == "log" and where.min <= 0:
        yield f"{key}.min", f"{where.min:g} has no logarithm", 'Above 0, or scale = "linear".'
    yield from _possible(f"{key}.min", name, _as_number(name, where.min))
    yield from _possible(f"{key}.max", name, _as_number(name, where.max))


def _choices(key: str, name: str, where: Range) -> Findings:
    if where.min is not None or where.max is not None or where.scale != "linear":
        yield f"{key}.values", "values and bounds exclude each other", "Give one of the two."
    if len(where.values) > MOST_VALUES:
        yield f"{key}.values", f"{len(where.values)} are listed", f"At most {MOST_VALUES}."
    for index, value in enumerate(where.values):
        yield from _possible(f"{key}.values[{index}]", name, value)
        if value in where.values[:index]:
            yield f"{key}.values[{index}]", f"{value!r} stands here twice", "Leave one of them out."


def _as_number(name: str, bound: float) -> float:
    """A bound as the hyperparameter's own type takes it; one that does not fit is left for `_possible`."""
    return int(bound) if get_type_hints(Training)[name] is int and float(bound).is_integer() else bound


def _possible(key: str, name: str, value: Any) -> Findings:
    """Whether ``value`` could stand in [model.training] too: of its type, and within its bounds."""
    yield from _hyperparameter(key, name, build(get_type_hints(Training)[name], _thawed(value), key))


def _thawed(value: object) -> object:
    return list(map(_thawed, value)) if isinstance(value, tuple) else value


def _optimise(contract: Contract) -> Findings:
    given, key = contract.model.optimise, "model.optimise"
    if "teacher" not in given.candidates:
        problem = "the teacher is missing"
        yield f"{key}.candidates", problem, "Add it: the others are made from it and measured against it."
    for name in ("candidates", "students"):
        if len(set(getattr(given, name))) < len(getattr(given, name)):
            yield f"{key}.{name}", "one stands here twice", "Leave one of them out."
    yield from _counts(key, given)
    for name in ("tolerance", "quantised_parity", "alike", "prune"):
        if not 0 <= getattr(given, name) < 1:
            yield f"{key}.{name}", f"{getattr(given, name):g} is out of range", "At least 0, below 1."
    if given.latency_ratio < 1:
        yield f"{key}.latency_ratio", f"{given.latency_ratio:g} refuses the teacher itself", "At least 1."
    if given.temperature <= 0:
        yield f"{key}.temperature", f"{given.temperature:g} is out of range", "Above 0."


def _counts(key: str, given: Optimise) -> Findings:
    least = {"rows": 1, "epochs": 1, "student_bends": 1, "trees": 1, "rounds": 1, "leaves": 2, "draws": 20}
    counts = {name: getattr(given, name) for name in least}
    counts |= {f"students[{at}]": width for at, width in enumerate(given.students)}
    for name, value in counts.items():
        if value < least.get(name, 1):
            yield f"{key}.{name}", f"{value} is too few", f"At least {least.get(name, 1)}."


def _examples(contract: Contract) -> Findings:
    if not contract.examples:
        yield "examples", "none is given", "Add [[examples]]: the release check and the docs use them."
    for index, record in enumerate(contract.examples):
        yield from _record(f"examples[{index}]", record, contract.features)
        yield from _spelt(f"examples[{index}]", record, contract)
    yield from _one_request(contract)


def _one_request(contract: Contract) -> Findings:
    """A release asks for all examples at once."""
    why = "the release check sends all examples in one request"
    limits, count = contract.serving, len(contract.examples)
    if limits.max_records < count:
        yield "serving.max_records", f"{limits.max_records} for {count} examples", f"Raise it: {why}."
    size = len(json.dumps({"records": contract.examples}))
    if limits.max_body_bytes < size:
        problem = f"{limits.max_body_bytes} for {size} bytes of examples"
        yield "serving.max_body_bytes", problem, f"Raise it: {why}."


def _record(key: str, record: Record, features: dict[str, Feature]) -> Findings:
    for name, feature in features.items():
        if feature.required and name not in record:
            yield f"{key}.{name}", "missing", f"features.{name} is required: add it."
    for name, value in record.items():
        if name not in features:
            yield f"{key}.{name}", "no such feature", suggestion(name, features)
        else:
            yield from _value(f"{key}.{name}", value, features[name])


def _spelt(key: str, record: Record, contract: Contract) -> Findings:
    for name, value in record.items():
        canonical = contract.variants(name).get(str(value)) if name in contract.features else None
        if canonical is not None:
            yield f"{key}.{name}", f'"{value}" is another spelling', f'Write "{canonical}".'


def _value(key: str, value: object, feature: Feature) -> Findings:
    if feature.kind == "category":
        if not isinstance(value, str):
            yield key, f"{value!r} is not a text", "A category's value stands in quotes."
        elif feature.required and not value:
            yield key, "empty for a required feature", "Give a value: the API refuses an empty one."
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield key, f"{value!r} is not a number", "Give a number (0 or 1 for a yes or no)."
        return
    if abs(value) > LARGEST:
        yield key, f"{value:g} is beyond ±{LARGEST:g}", "Give a number that the API takes."
    if feature.min is not None and value < feature.min:
        yield key, f"{value:g} is below min = {feature.min:g}", "Give a plausible example."
    if feature.max is not None and value > feature.max:
        yield key, f"{value:g} is above max = {feature.max:g}", "Give a plausible example."


RULES: tuple[Callable[[Contract], Findings], ...] = (
    _name,
    _texts,
    _tables,
    _example,
    _split,
    _features,
    _leaks,
    _selection,
    _quality,
    _model,
    _positive_numbers,
    _carried,
    _training,
    _optimise,
    _tuning,
    _examples,
)
