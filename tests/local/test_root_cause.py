"""The error that ended a program is found in the end of its log."""

from __future__ import annotations

import pytest

from local.executors.journal import Journal, Streams, root_cause
from local.executors.storage import relative

PYTHON = """starting
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    run()
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    main()
training.errors.DataError: no rows in split=train
read s3://lake/flights and try again
26/11/24 06:20:51 WARN SparkContext: stopping"""

SPARK = """Traceback (most recent call last):
  File "job.py", line 9, in <module>
    frame.write.parquet(target)
py4j.protocol.Py4JJavaError: An error occurred while calling o58.parquet.
: org.apache.spark.SparkException: Job aborted.
\tat org.apache.spark.sql.Errors.failed(Errors.scala:1)
Caused by: java.io.FileNotFoundException: /in/planes.csv does not exist
\tat java.base/java.lang.Thread.run(Thread.java:840)
\t... 3 more"""

PLAIN = """26/11/24 06:20:51 WARN SparkContext: slow
one
two
the disk is full

"""


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (
            PYTHON,
            "training.errors.DataError: no rows in split=train\nread s3://lake/flights and try again",
        ),
        (SPARK, "java.io.FileNotFoundException: /in/planes.csv does not exist"),
        (PLAIN, "one\ntwo\nthe disk is full"),
        ("", ""),
    ],
)
def test_given_a_log_when_searched_then_the_last_error_is_found(log: str, cause: str) -> None:
    assert root_cause(log.splitlines()) == cause


def test_given_output_between_a_traceback_and_its_message_when_searched_then_it_is_no_part_of_it() -> None:
    streams = Streams(Journal("group", "stream"))
    streams.stderr("Traceback (most recent call last):")
    streams.stderr('  File "train.py", line 2, in <module>')
    streams.stdout("at work")
    streams.stderr("ValueError: the label has one value only")
    streams.stdout("closing")

    assert streams.root_cause() == "ValueError: the label has one value only"
    assert list(streams.journal.tail)[2:] == [
        "at work",
        "ValueError: the label has one value only",
        "closing",
    ]


@pytest.mark.parametrize(
    ("errors", "everything", "cause"),
    [
        (["UserWarning: slow"], ["UserWarning: slow", "Traceback (most recent call last):", "E: x"], "E: x"),
        (
            ["UserWarning: slow"],
            ["UserWarning: slow", "no rows in train"],
            "UserWarning: slow\nno rows in train",
        ),
    ],
)
def test_given_no_traceback_on_standard_error_when_searched_then_all_that_was_said_is_looked_at(
    errors: list[str], everything: list[str], cause: str
) -> None:
    assert root_cause(errors, everything) == cause


@pytest.mark.parametrize(
    ("key", "prefix", "place"),
    [
        ("run/examples/split=train/a.parquet", "run/examples/", "split=train/a.parquet"),
        ("run/examples/split=train/a.parquet", "run/examples", "split=train/a.parquet"),
        ("assets/code.zip", "assets/code.zip", "code.zip"),
        ("run/examples-2/a", "run/examples", "examples-2/a"),
        ("a/b", "", "a/b"),
    ],
)
def test_given_a_channel_when_downloaded_then_its_objects_lie_relative_to_its_prefix(
    key: str, prefix: str, place: str
) -> None:
    assert relative(key, prefix) == place
