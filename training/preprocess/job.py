"""The preprocessing job: raw tables in, a published run out. The same on Glue and on a laptop."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from contract.load import workload
from contract.schema import Contract, Feature
from training.preprocess import clean, pointintime, profiling, publish, quality, selection, split
from training.preprocess.features import ID, LABEL, TIME, features, labels
from training.preprocess.files import write_json
from training.preprocess.journal import note, open_journal, stage
from training.preprocess.quality import Verdict
from training.preprocess.read import read

SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.csv.parser.columnPruning.enabled": "false",
    # HotSpot compiles no method above 8,000 bytes: larger generated ones would stay interpreted.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # A table is kept for few questions, and what does not fit goes to disk; compressing it was two fifths of
    # all the work of cleaning.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where a run reads and writes: URIs without a slash at the end."""

    workload: str
    raw: str
    output: str
    published: str
    database: str | None = None

    @classmethod
    def parse(cls, arguments: Sequence[str] | None = None) -> Settings:
        """From ``--workload … --raw … --output … --published … [--database …]``; Glue's own are ignored."""
        parser = ArgumentParser(description=__doc__, allow_abbrev=False)
        for name in ("workload", "raw", "output", "published"):
            parser.add_argument(f"--{name}", required=True)
        parser.add_argument("--database")
        known, _ = parser.parse_known_args(arguments)
        uris = {name: getattr(known, name).rstrip("/") for name in ("raw", "output", "published")}
        return cls(workload=known.workload, database=known.database, **uris)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the job; an error leaves the published run as it was."""
    settings = Settings.parse(arguments)
    open_journal()
    spark = SparkSession.builder.appName(f"millrace-{settings.workload}-preprocess").getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    run(spark, workload(settings.workload), settings)


def run(spark: SparkSession, contract: Contract, settings: Settings) -> None:
    """Cleans, joins, checks, splits and describes the raw tables, then publishes the run.

    Raises PreprocessError (one line: what, where, remedy); then nothing is published.
    """
    configure(spark)
    spark.catalog.clearCache()
    Run(spark, contract, settings).execute()


def configure(spark: SparkSession) -> None:
    """What results depend on is set here, whatever the cluster's defaults are."""
    for name, value in SESSION.items():
        spark.conf.set(name, value)
    spark.conf.set("spark.sql.shuffle.partitions", str(max(2, spark.sparkContext.defaultParallelism)))


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the aggregations found."""

    measured: profiling.Statistics
    bins: dict[str, list[float]]
    counted: profiling.Counts


class Run:
    """One run over one workload: what the stages hand to each other."""

    def __init__(self, spark: SparkSession, contract: Contract, settings: Settings) -> None:
        self.spark = spark
        self.contract = contract
        self.settings = settings
        self.tables: dict[str, DataFrame] = {}
        self.tallies: dict[str, clean.Tally] = {}
        self.verdicts: list[Verdict] = []
        self.facts: dict[str, int] = {}
        self.made_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        """How old a model is counts from here: the one reading of the clock that data and model carry."""

    def execute(self) -> None:
        """All stages in order; publishing is the last."""
        for name in self.contract.tables:
            with stage(f"clean {name}") as facts:
                facts.update(self._clean(name).as_json())
        self._judge_tables()
        rows = self._rows()
        examples = split.usable(rows)
        with stage("statistics"):
            described = self._describe(examples)
        self._judge_examples(rows, examples, described.measured)
        with stage("select features") as facts:
            dropped = self._select(examples, described)
            facts["dropped"] = dropped
        kept = {name: feature for name, feature in self.contract.features.items() if name not in dropped}
        with stage("write examples"):
            self._write_examples(examples, kept)
            self._write_unlabelled(rows, kept)
            self._report(described, kept, dropped)
        with stage("publish") as facts:
            facts["tables"] = self._publish(list(kept))

    def _clean(self, name: str) -> clean.Tally:
        table = self.contract.tables[name]
        raw = read(self.spark, f"{self.settings.raw}/{name}", name, table)
        judged = clean.judge(raw, table).persist(StorageLevel.MEMORY_AND_DISK)
        counts = clean.reasons(judged)
        clean.quarantined(judged).write.mode("overwrite").json(f"{self.settings.output}/quarantine/{name}")
        place = f"{self.settings.output}/tables/{name}"
        clean.distinct(judged, table).write.mode("overwrite").parquet(place)
        judged.unpersist()
        self.tables[name] = self.spark.read.parquet(place)
        good, kept = counts.pop(None, 0), self.tables[name].count()
        reasons = {reason: count for reason, count in counts.items() if reason is not None}
        tally = clean.Tally(
            read=good + sum(reasons.values()), reasons=reasons, duplicates=good - kept, kept=kept
        )
        self.tallies[name] = tally
        return tally

    def _judge_tables(self) -> None:
        with stage("judge tables"):
            for name, table in self.contract.tables.items():
                self.verdicts.append(quality.judge_quarantine(name, table, self.tallies[name]))
            self.verdicts += quality.judge_rules(self.contract, self.tables)
            self._insist()

    def _rows(self) -> DataFrame:
        """Every example with its features, label and split, read back from where it was written.

        Each stage to come asks another question of it: from files, none has to plan the joins again.
        """
        place = f"{self.settings.output}/candidates"
        with stage("features") as facts:
            rows = features(self.spark, self.contract, self.tables)
            labelled = rows.join(labels(self.contract, self.tables), ID)
            divided = split.split_by_time(labelled, self.contract.split)
            divided.write.mode("overwrite").parquet(place)
            written = self.spark.read.parquet(place)
            self.facts = split.left_out(written)
            facts.update(self.facts)
        return written

    def _describe(self, examples: DataFrame) -> Described:
        declared = self.contract.features
        measured = profiling.statistics(examples, declared)
        train = measured.get("train", profiling.nothing(declared))
        bins = {name: profiling.edges(described) for name, described in train["numbers"].items()}
        return Described(measured=measured, bins=bins, counted=profiling.counts(examples, declared, bins))

    def _judge_examples(self, rows: DataFrame, examples: DataFrame, measured: profiling.Statistics) -> None:
        with stage("judge examples"):
            for name in self.contract.split:
                found = measured.get(name, {"rows": 0, "positives": 0})
                self.verdicts.append(quality.judge_split(name, found["rows"], found["positives"]))
            self.verdicts.append(quality.judge_uniqueness(rows))
            self.verdicts += quality.judge_rules(self.contract, {"examples": examples})
        with stage("judge point in time"):
            self.verdicts.append(
                pointintime.judge_point_in_time(self.spark, self.contract, self.tables, rows)
            )
            self._insist()

    def _insist(self) -> None:
        """Reports all verdicts so far, then stops the run if one is bad."""
        report = {
            "passed": all(verdict.passed for verdict in self.verdicts),
            "rules": [verdict.as_json() for verdict in self.verdicts],
            "tables": {name: tally.as_json() for name, tally in self.tallies.items()},
            **self.facts,
        }
        self._write_report("quality", report)
        quality.insist(self.verdicts)

    def _select(self, examples: DataFrame, described: Described) -> dict[str, str]:
        declared = self.contract.features
        dropped = selection.constants(declared, described.measured, described.counted)
        chosen = {name: feature for name, feature in declared.items() if name not in dropped}
        return dropped | selection.redundant(examples, self.contract, chosen, described.measured)

    def _write_examples(self, examples: DataFrame, kept: dict[str, Feature]) -> None:
        columns = examples.select(ID, TIME, LABEL, *kept, split.SPLIT)
        ordered = columns.sortWithinPartitions(split.SPLIT, ID)
        ordered.write.mode("overwrite").partitionBy(split.SPLIT).parquet(f"{self.settings.output}/examples")

    def _write_unlabelled(self, rows: DataFrame, kept: dict[str, Feature]) -> None:
        columns = split.unlabelled(rows, self.contract.split).select(ID, TIME, *kept)
        columns.sortWithinPartitions(ID).write.mode("overwrite").parquet(f"{self.settings.output}/unlabelled")

    def _report(self, described: Described, kept: dict[str, Feature], dropped: dict[str, str]) -> None:
        chosen = {
            "features": [{"name": name, "kind": feature.kind} for name, feature in kept.items()],
            "dropped": [{"name": name, "reason": reason} for name, reason in dropped.items()],
        }
        self._write_report("features", chosen)
        heading = {
            "workload": self.contract.name,
            "run": publish.run_of(self.settings.output),
            "made_at": self.made_at,
            "contract_sha256": self.contract.sha256,
        }
        splits = profiling.profile(described.measured, described.counted, kept, described.bins)
        self._write_report("profile", {**heading, "splits": splits})

    def _write_report(self, name: str, content: dict[str, Any]) -> None:
        write_json(self.spark, f"{self.settings.output}/reports/{name}.json", content)

    def _publish(self, kept: list[str]) -> list[str]:
        names = []
        if self.settings.database:
            # Only here is AWS needed; its library takes a second to load.
            import boto3  # noqa: PLC0415

            names = publish.catalogue(
                boto3.client("glue"), self.settings.database, self.contract, self.settings.output, kept
            )
        publish.publish(self.spark, self.settings.published, self.settings.output)
        note("published", run=publish.run_of(self.settings.output))
        return names
