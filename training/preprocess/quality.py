"""Holds the data to the contract's quality rules, and to the platform's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from contract.schema import Contract, Rule, Table
from training.preprocess.clean import Tally
from training.preprocess.errors import BrokenRuleError, PreprocessError
from training.preprocess.features import ID


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A rule, the value that was found, and whether it lies within the bounds."""

    name: str
    table: str
    sql: str
    min: float | None = None
    max: float | None = None
    value: float | None
    detail: str = ""

    @property
    def passed(self) -> bool:
        """No value at all (an aggregate over nothing) is a broken rule too."""
        if self.value is None:
            return False
        above = self.min is None or self.value >= self.min
        return above and (self.max is None or self.value <= self.max)

    def as_json(self) -> dict[str, object]:
        """The form of ``quality.json``."""
        return {**asdict(self), "passed": self.passed}

    def complaint(self) -> str:
        """What is wrong, in half a line."""
        if self.value is None:
            found = "has no value"
        elif self.min is not None and self.value < self.min:
            found = f"is {self.value:g}, below min = {self.min:g}"
        else:
            found = f"is {self.value:g}, above max = {self.max:g}"
        detail = f" ({self.detail})" if self.detail else ""
        return f'quality rule "{self.name}" on {self.table}: {self.sql} {found}{detail}'


def judge_rules(contract: Contract, tables: Mapping[str, DataFrame]) -> list[Verdict]:
    """Verdicts on the contract's rules for ``tables``, one pass over each table."""
    verdicts = []
    for name, table in tables.items():
        rules = [rule for rule in contract.quality if rule.table == name]
        if rules:
            verdicts += _measured(table, rules)
    return verdicts


def _measured(table: DataFrame, rules: list[Rule]) -> list[Verdict]:
    try:
        aggregates = [F.expr(rule.sql).cast("double").alias(f"r{at}") for at, rule in enumerate(rules)]
        values = table.agg(*aggregates).first()
    except PySparkException as fault:
        names = ", ".join(f'"{rule.name}"' for rule in rules)
        line = str(fault).splitlines()[0]
        raise PreprocessError(
            f"contract.toml: of the quality rules {names} on {rules[0].table} one does not run: {line}"
        ) from fault
    assert values is not None
    return [Verdict(**asdict(rule), value=values[at]) for at, rule in enumerate(rules)]


def judge_quarantine(name: str, table: Table, tally: Tally) -> Verdict:
    """Judges the share of rows in quarantine against the table's limit."""
    share = tally.quarantined / tally.read if tally.read else 1.0
    most = ", ".join(f"{reason}: {count}" for reason, count in sorted(tally.reasons.items())[:3])
    return Verdict(
        name="quarantine",
        table=name,
        sql="quarantined / read",
        max=table.max_quarantined,
        value=share,
        detail=most if tally.read else "the table has no rows",
    )


def judge_uniqueness(rows: DataFrame) -> Verdict:
    """Judges that ``features.sql`` returns one row per example."""
    counted = rows.agg(F.count("*").alias("rows"), F.count_distinct(ID).alias("examples")).first()
    assert counted is not None
    return Verdict(
        name="one row per example",
        table="examples",
        sql=f"count(*) - count(distinct {ID})",
        max=0,
        value=float(counted["rows"] - counted["examples"]),
        detail="a join in features.sql matches more than one row",
    )


def judge_split(name: str, rows: int, positives: int) -> Verdict:
    """Judges that the split holds both outcomes: nothing can be learnt or measured otherwise."""
    return Verdict(
        name=f"both outcomes in {name}",
        table="examples",
        sql="least(positives, negatives)",
        min=1,
        value=float(min(positives, rows - positives)),
    )


def insist(verdicts: list[Verdict]) -> None:
    """Raises BrokenRuleError, in one line, if a verdict is bad."""
    broken = [verdict.complaint() for verdict in verdicts if not verdict.passed]
    if broken:
        raise BrokenRuleError(
            "; ".join(broken) + ". Mend the data, or the rule in contract.toml if it is too strict."
        )
