"""Glue job runs run their script, with Spark where it asks for it."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.executors import process
from tests.local.conftest import eventually

AWS = Callable[[str], Any]

SPARK = """
import argparse, boto3, json
from pyspark.sql import SparkSession
from rates import RATE
parser = argparse.ArgumentParser()
for name in ("--raw", "--output", "--published", "--database"):
    parser.add_argument(name)
args, _ = parser.parse_known_args()
spark = SparkSession.builder.getOrCreate()
rows = spark.read.csv(f"{args.raw}/flights", header=True, schema="id long, delay double")
rows.selectExpr("id", f"delay * {RATE} as delay").write.partitionBy("id").parquet(f"{args.output}/table")

def write(address, value):
    path = spark._jvm.org.apache.hadoop.fs.Path(address)
    out = path.getFileSystem(spark._jsc.hadoopConfiguration()).create(path, True)
    out.write(bytearray(json.dumps(value).encode()))
    out.close()

write(f"{args.output}/reports/quality.json", {"zone": spark.conf.get("spark.sql.session.timeZone")})
write(args.published, {"run": "2"})
boto3.client("glue").create_table(DatabaseName=args.database, TableInput={"Name": "table"})
bucket = args.output.split("/")[2]
s3 = boto3.client("s3")
found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{args.output.split('/', 3)[3]}/table/")
print("at the time of the table:", found["KeyCount"], "objects;",
      s3.get_object(Bucket=bucket, Key=args.published.split("/", 3)[3])["Body"].read().decode())
"""


@pytest.fixture
def start(aws: AWS, upload: Callable[[str, str], str]) -> Callable[..., tuple[str, str]]:
    """A function that makes a job of a script and starts it; gives the job's name and the run's id."""

    def make(script: str, arguments: dict[str, str] | None = None) -> tuple[str, str]:
        name = f"job-{uuid.uuid4().hex[:8]}"
        location = upload(f"{name}/script.py", script)
        aws("glue").create_job(
            Name=name,
            Role="arn:aws:iam::000000000000:role/glue",
            GlueVersion="5.1",
            Command={"Name": "glueetl", "ScriptLocation": location},
        )
        return name, aws("glue").start_job_run(JobName=name, Arguments=arguments or {})["JobRunId"]

    return make


def ended(aws: AWS, run: tuple[str, str]) -> dict[str, Any]:
    def look() -> Any:
        found = aws("glue").get_job_run(JobName=run[0], RunId=run[1])["JobRun"]
        return found if found["JobRunState"] in {"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT"} else None

    return dict(eventually(look, seconds=240))


def said(aws: AWS, run: tuple[str, str], group: str = "output") -> list[str]:
    found = aws("logs").get_log_events(logGroupName=f"/aws-glue/jobs/{group}", logStreamName=run[1])
    return [event["message"] for event in found["events"]]


@pytest.mark.spark
def test_given_raw_files_when_spark_runs_then_it_reads_and_writes_s3_and_data_precedes_the_table(
    aws: AWS,
    bucket: str,
    upload: Callable[[str, str], str],
    read: Callable[[str], bytes],
    start: Callable[..., tuple[str, str]],
) -> None:
    upload("trips/raw/flights/flights.csv", "id,delay\n1,2.5\n2,4.0\n")
    upload("trips/published.json", '{"run": "1"}')
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as pack:
        pack.writestr("rates.py", "RATE = 2")
    aws("s3").put_object(Bucket=bucket, Key="trips/code.zip", Body=archive.getvalue())
    aws("glue").create_database(DatabaseInput={"Name": "trips"})

    run = start(
        SPARK,
        {
            "--raw": f"s3://{bucket}/trips/raw",
            "--output": f"s3://{bucket}/trips/runs/2",
            "--published": f"s3://{bucket}/trips/published.json",
            "--database": "trips",
            "--extra-py-files": f"s3://{bucket}/trips/code.zip",
        },
    )

    assert ended(aws, run)["JobRunState"] == "SUCCEEDED", said(aws, run, "error")[-5:]
    listed = aws("s3").list_objects_v2(Bucket=bucket, Prefix="trips/runs/2/")["Contents"]
    kept = [item["Key"] for item in listed]
    assert any(key.startswith("trips/runs/2/table/id=1/part-") for key in kept)
    assert not [key for key in kept if key.endswith(".crc") or "_temporary" in key]
    assert json.loads(read("trips/runs/2/reports/quality.json")) == {"zone": "UTC"}
    assert json.loads(read("trips/published.json")) == {"run": "2"}
    assert 'at the time of the table: 3 objects; {"run": "1"}' in said(aws, run)


def test_given_a_script_that_raises_when_run_then_its_error_is_the_runs_message(
    aws: AWS, bucket: str, read: Callable[[str], bytes], start: Callable[..., tuple[str, str]]
) -> None:
    run = start(
        "print('started', flush=True)\nraise ValueError('rule completeness: 0.7 is below 0.9')",
        {"--output": f"s3://{bucket}/broken/runs/1"},
    )

    job = ended(aws, run)

    assert job["JobRunState"] == "FAILED"
    assert job["ErrorMessage"] == "ValueError: rule completeness: 0.7 is below 0.9"
    assert said(aws, run) == ["started"]


def test_given_a_run_that_lasts_when_stopped_then_its_process_ends_and_until_then_it_is_alone(
    aws: AWS, start: Callable[..., tuple[str, str]]
) -> None:
    run = start("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(99)")
    pid = int(eventually(lambda: _said_if_any(aws, run))[0])
    with pytest.raises(ClientError, match="ConcurrentRunsExceededException"):
        aws("glue").start_job_run(JobName=run[0])

    aws("glue").batch_stop_job_run(JobName=run[0], JobRunIds=[run[1]])

    eventually(lambda: not process.alive(pid))
    assert ended(aws, run)["JobRunState"] == "STOPPED"


def _said_if_any(aws: AWS, run: tuple[str, str]) -> list[str]:
    try:
        return said(aws, run)
    except aws("logs").exceptions.ResourceNotFoundException:
        return []
