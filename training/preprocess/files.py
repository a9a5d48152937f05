"""Small files of a run, through Hadoop's file systems: ``s3://``, ``file://`` and plain paths work alike."""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import SparkSession


def write_json(spark: SparkSession, uri: str, content: object) -> None:
    """Writes ``content`` to ``uri`` in one piece (on S3: one PUT), in place of what was there."""
    context: Any = spark.sparkContext
    path = context._jvm.org.apache.hadoop.fs.Path(uri)
    system = path.getFileSystem(context._jsc.hadoopConfiguration())
    system.setWriteChecksum(False)
    stream = system.create(path, True)
    try:
        stream.write(bytearray(json.dumps(content, indent=1, ensure_ascii=False).encode()))
    finally:
        stream.close()
