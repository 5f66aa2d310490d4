"""Searches that failed in the rounds of a run, and trying them again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from whorl.budget import Budget, Purse
from whorl.cli.plan import tell_missing
from whorl.data.forest import key_of, read_trees
from whorl.engines.journal import Journal
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Ready, grow_run
from whorl.loop.rounds import Round, place, trees_before
from whorl.loop.run import Run
from whorl.watch import Watch


def retry(
    folder: RunFolder, run: Run, prepared: Ready, rounds: Sequence[Round], watch: Watch
) -> None:
    """Grow the trees that rounds lack, each in the round's folder and with its policy. What was
    learned stays as it is."""
    places = [place(folder, played.number) for played in rounds]
    policies = [run.engines.policy, *(played.model for played in rounds)]
    for path, played, policy in zip(places, rounds, policies, strict=False):
        if not left_out(path, played):
            continue
        engines = replace(run.engines, policy=policy)
        then = replace(run, seed=run.seed + played.number - 1, engines=engines)
        last = trees_before(folder, played.number)
        purse = _purse(run.budget, [other for other in places if other != path])
        watch.say(f"round {played.number}: the policy is {engines.policy}")
        settings = RunFolder.read(path).settings
        prepared.opened.engines = engines
        with RunFolder.open(path, settings, version=folder.version) as inner:
            tell_missing(grow_run(inner, then, prepared, watch, last=last, purse=purse))


def left_out(path: Path, played: Round) -> dict[str, str]:
    """The round's searches that failed and have no tree since, and why they failed last."""
    failed = dict(played.grown.failures)
    if failed:
        lines = (path / "failures.jsonl").read_text(encoding="utf-8").splitlines()
        failed |= {said["search"]: said["error"] for said in map(json.loads, lines)}
        for tree in read_trees(path / "trees.jsonl"):
            failed.pop("#".join(key_of(tree)), None)
    return failed


def _purse(budget: Budget, others: Sequence[Path]) -> Purse:
    """What the other rounds have left; growing counts its own."""
    purse = Purse(budget)
    for path in others if budget != Budget() else ():
        with Journal(path / "journal.db") as journal:
            purse.count(journal.usage())
    return purse
