"""`millrace bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cli.console import Voice, result
from cli.served import champions_files, write
from cli.session import session
from functions.predict.bundle import MANIFEST, read_manifest


def bundle(
    action: Literal["get"],  # noqa: ARG001 - the parser sees to it
    /,
    *,
    env: str | None = None,
    workload: str | None = None,
    to: Path | None = None,
) -> None:
    """Fetch the bundle of the model that serves, once every file is what its manifest promises.

    What is written is all that a server needs: millrace serve FOLDER.

    :param action: get
    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param to: the folder to write; bundle-WORKLOAD, if not given
    """
    here, voice = session(env, workload), Voice()
    folder = to or Path(f"bundle-{here.workload}")
    with voice.busy("fetching the champion's bundle"):
        place, files = champions_files(here)
        write(files, folder)
    manifest = read_manifest(place, files[MANIFEST])
    size = sum(map(len, files.values())) / 1000
    voice.say(f"{manifest.workload}, version {manifest.version}, data of {manifest.made_at}: from {place}")
    voice.say(f"{len(files)} files, {size:.0f} kB, each with the hash that its manifest promises")
    result(str(folder))
    voice.say(f"run it: millrace serve {folder}")
