"""The error that ended a program is found in the end of its log."""

from __future__ import annotations

import pytest

from local.executors.journal import root_cause
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
