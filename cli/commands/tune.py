"""`millrace tune`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cli import experiments, sdk, search, search_report
from cli.commands.train import hyperparameters
from cli.console import Voice, duration, result, show_table
from cli.errors import CliError
from cli.session import session

if TYPE_CHECKING:
    from cli.search import Search, Trial
    from cli.session import Session
    from contract.schema import Tuning

STOP = "stop_hyper_parameter_tuning_job"
"""SageMaker's operation that ends a search and its trials."""
REPORTS = sdk.REPOSITORY / ".millrace" / "tuning"


def tune(
    *,
    env: str | None = None,
    workload: str | None = None,
    trials: int | None = None,
    parallel: int | None = None,
    set_: list[str] | None = None,
    run: str | None = None,
    attach: str | None = None,
    report: Path | None = None,
    follow: bool = True,
) -> None:
    """Search the ranges of the contract's [model.tuning] for better hyperparameters.

    Each trial is the pipeline's training job with other hyperparameters; nothing is registered or released.
    Prints every trial and the best one's lines to paste, and writes a page with a plot. Ctrl-C stops the
    search. Needs `make setup-tuning`.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param trials: how many training jobs; the contract's number, if not given
    :param parallel: how many of them at a time; the contract's number, if not given
    :param set: a hyperparameter that is not searched, such as epochs=3; may be given several times
    :param run: the run whose examples are used; the published one, if not given
    :param attach: follow this search, which was started before
    :param report: the page to write; .millrace/tuning/<search>.html, if not given
    :param follow: start the search and leave it
    """
    here, voice = session(env, workload), Voice()
    fixed = hyperparameters(here.contract.model.training, set_ or [])
    name = attach or started(here, voice, asked(here, trials, parallel), fixed, run)
    if not follow:
        voice.say(f"it goes on by itself; follow it with millrace tune --attach {name}{here.flags}")
        return
    show(here, voice, watch(here, voice, name), report or REPORTS / f"{name}.html")


def asked(here: Session, trials: int | None, parallel: int | None) -> Tuning:
    """Give the contract's search with what the command line changes of it.

    Raises `CliError` for a number below one.
    """
    for flag, number in (("--trials", trials), ("--parallel", parallel)):
        if number is not None and number < 1:
            raise CliError(f"{number} is too few", flag, "give a number from 1 on")
    tuning = here.contract.model.tuning
    return replace(tuning, trials=trials or tuning.trials, parallel=parallel or tuning.parallel)


def started(here: Session, voice: Voice, tuning: Tuning, fixed: dict[str, str], run: str | None) -> str:
    """Start a search; give its name."""
    sdk.python()
    wanted = search.request(tuning, here.contract.model.training.seed, fixed)
    found = experiments.place(here, run)
    name = experiments.stamped(here.workload, experiments.LONGEST_SEARCH)
    voice.say(f"search {name}: {tuning.trials} trials on the examples of run {found.run}")
    if here.local:
        say_what_differs(voice, wanted["parallel"], wanted["seed"])
    plan = {**experiments.plan(here, found, name, fixed), "search": wanted}
    experiments.begin(here, voice, plan, STOP, HyperParameterTuningJobName=name)
    return name


def say_what_differs(voice: Voice, parallel: int, seed: int) -> None:
    """Say what the laptop does otherwise than AWS."""
    cores = os.cpu_count() or 1
    voice.say("AWS searches by Bayesian optimisation; this machine draws at random, from the same ranges")
    voice.say(f"(seed {seed}), {min(parallel, cores)} at a time on {cores} processors")


def watch(here: Session, voice: Voice, name: str) -> Search:
    """Say how a search goes until it ends; Ctrl-C stops it, after asking where there is somebody to ask."""
    try:
        return followed(here, voice, name)
    except KeyboardInterrupt:
        if goes_on(name):
            voice.say(f"left. It goes on; follow it again with millrace tune --attach {name}{here.flags}")
            raise
        stop(here, voice, name)
    show_stopped(here, voice, name)
    raise KeyboardInterrupt


def followed(here: Session, voice: Voice, name: str) -> Search:
    """Say which trials begin and end until the search ends."""
    told: dict[str, str] = {}
    with voice.busy(name) as activity:
        while True:
            now = search.look(here, name)
            for each in now.trials:
                if told.get(each.name) != each.status:
                    told[each.name] = each.status
                    voice.say(spoken(now, each))
            if now.status in experiments.ENDED:
                return now
            activity.text = f"{name}: {now.summary()}"
            experiments.pause(here)


def spoken(now: Search, trial: Trial) -> str:
    """Say what became of a trial, in a line."""
    head = f"trial {trial.number}/{now.asked}"
    if trial.objective is not None:
        mark = " (best so far)" if now.best is trial else ""
        return f"{head} ended after {duration(trial.seconds)}: {now.metric} {trial.objective:.5f}{mark}"
    if trial.status == "InProgress":
        return f"{head} started: {trial.line()}"
    reason = f": {trial.reason.splitlines()[0]}" if trial.reason else ""
    return f"{head} {trial.status.lower()}{reason}"


def goes_on(name: str) -> bool:
    """Ask whether the search should go on without anybody watching; nobody there means that it should not."""
    if not sys.stdin.isatty():
        return False
    try:
        return input(f"\nstop the search {name}? [Y/n] ").strip().lower() in ("n", "no")
    except (KeyboardInterrupt, EOFError):
        return False


def stop(here: Session, voice: Voice, name: str) -> None:
    """Stop a search and its trials."""
    voice.say(f"stopping {name}")
    experiments.stop(here, STOP, HyperParameterTuningJobName=name)


def show_stopped(here: Session, voice: Voice, name: str) -> None:
    """Wait for a search that was stopped, and print what was tried by then."""
    ended = followed(here, voice, name)
    if ended.trials:
        show_table(search.rows(ended))


def show(here: Session, voice: Voice, ended: Search, page: Path) -> None:
    """Print the trials and the best one's lines to paste, and write the page.

    Raises `CliError` with the first trial's reason where none completed.
    """
    show_table(search.rows(ended))
    if ended.best is None:
        reasons = [each.reason for each in ended.trials if each.reason]
        problem = (reasons or [ended.reason or f"it was {ended.status.lower()}"])[0]
        remedy = f"see what the trials logged in {experiments.GROUP}; correct the cause, and search again"
        raise CliError(problem, f"tuning job {ended.name}: no trial completed", remedy)
    result("")
    result("\n".join(search.pasted(here, ended, ended.best)))
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(search_report.page(here.workload, ended), encoding="utf-8")
    voice.say(f"plot: {page}")
