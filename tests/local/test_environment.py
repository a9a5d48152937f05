"""An emulator starts on loopback only, keeps what it is told to keep, and leaves nothing running."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from local import environment, limits
from local.executors import process
from local.executors.container import free_port
from tests.local.conftest import connect, eventually


def test_given_jobs_and_functions_when_ended_by_a_signal_then_no_process_is_left(tmp_path: Path) -> None:
    running = environment.start("local", port=free_port(), root=tmp_path)
    request = {
        "ProcessingJobName": "endless",
        "RoleArn": "arn:aws:iam::000000000000:role/packaging",
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 2, "InstanceType": "ml.m6i.large", "VolumeSizeInGB": 1}
        },
        "AppSpecification": {
            "ImageUri": "image",
            "ContainerEntrypoint": ["bash", "-c", "trap '' TERM; setsid sleep 98 & sleep 99; sleep 99"],
        },
    }
    connect(running, "sagemaker").create_processing_job(**request)
    marked = eventually(lambda: _at_least(5, process.marked(process.EMULATOR, running.root)))

    os.kill(running.pid, signal.SIGTERM)

    eventually(lambda: not any(process.alive(pid) for pid in marked))
    assert process.marked(process.EMULATOR, running.root) == []
    environment.stop(running)


def _at_least(count: int, found: list[int]) -> list[int]:
    return found if len(found) >= count else []


def test_given_stored_objects_when_restarted_then_they_stay_only_if_asked(tmp_path: Path) -> None:
    kept = environment.start("local", port=free_port(), root=tmp_path)
    connect(kept, "s3").create_bucket(Bucket="lake")
    connect(kept, "s3").put_object(Bucket="lake", Key="a", Body=b"1")
    connect(kept, "sagemaker").create_model_package_group(ModelPackageGroupName="models")
    environment.stop(kept)

    again = environment.start("local", port=free_port(), root=tmp_path, keep=True)
    body = connect(again, "s3").get_object(Bucket="lake", Key="a")["Body"].read()
    groups = connect(again, "sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    environment.stop(again)
    wiped = environment.start("local", port=free_port(), root=tmp_path)
    buckets = connect(wiped, "s3").list_buckets()["Buckets"]
    environment.stop(wiped)

    assert body == b"1"
    assert [group["ModelPackageGroupName"] for group in groups] == ["models"]
    assert buckets == []


def test_given_a_taken_port_when_started_then_the_error_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(environment.LocalError, match=f"port {port} .* is taken .*MILLRACE_PORT"):
            environment.start("local", port=port, root=tmp_path)


def test_given_a_running_emulator_when_its_sockets_are_listed_then_all_are_on_loopback(
    emulator: environment.Running,
) -> None:
    listening = [line.split()[1] for line in _sockets(emulator.pid)]

    assert listening
    assert all(address.startswith("0100007F:") for address in listening)


def _sockets(pid: int) -> list[str]:
    """Lines of the kernel's table of TCP sockets that listen and belong to ``pid``."""
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    own = {link[8:-1] for link in links if link.startswith("socket:")}
    tables = [Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    return [line for table in tables for line in table if line.split()[3] == "0A" and line.split()[9] in own]


def test_given_a_running_emulator_when_started_again_then_it_is_the_same(
    emulator: environment.Running,
) -> None:
    again = environment.start("local", root=Path(emulator.root))

    assert again == emulator


def test_given_the_limits_when_documented_then_each_is_explained() -> None:
    document = (environment.REPOSITORY / "docs" / "local.md").read_text()

    for limit in limits.LIMITS:
        assert f"**{limit.subject}**" in document


def test_given_a_command_that_fails_when_run_then_the_error_ends_with_its_cause() -> None:
    from local import deploy

    said: list[str] = []
    script = "echo starting; echo 'Error: the stack has no such type' >&2; exit 1"

    with pytest.raises(environment.LocalError) as raised:
        deploy.run(["bash", "-c", script], {}, 10, said.append)

    assert str(raised.value).splitlines()[-1] == "Error: the stack has no such type"
    assert said == ["starting", "Error: the stack has no such type"]


def test_given_a_command_that_hangs_when_its_time_is_over_then_it_is_killed(tmp_path: Path) -> None:
    from local import deploy

    mark = {"MILLRACE_TEST": tmp_path.name}
    with pytest.raises(environment.LocalError, match="no end after 1 s"):
        deploy.run(["bash", "-c", "echo waiting; sleep 97; true"], mark, 1, lambda _: None)

    eventually(lambda: not process.marked("MILLRACE_TEST", tmp_path.name))
