"""Failed searches of a run's rounds, and growing their trees after all."""

import json
from collections.abc import Sequence
from pathlib import Path

from whorl.cli.plan import tell_missing
from whorl.data.forest import read_keys
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Ready
from whorl.loop.metrics import Round
from whorl.loop.plan import plan_of
from whorl.loop.rounds import grow_round, open_round, purse_of
from whorl.loop.run import Run
from whorl.watch import Watch


def retry(
    folder: RunFolder, run: Run, prepared: Ready, rounds: Sequence[Round], watch: Watch
) -> None:
    """Grow the trees that rounds lack, each in the round's folder and with its policy. Trained
    models stay as they are."""
    purse = purse_of(run)
    for played in rounds:
        plan = plan_of(run, played.number)
        if failed_searches(plan.folder, played):
            watch.say(f"round {plan.number}: the policy is {plan.engines.policy}")
            with open_round(folder, plan) as inner:
                tell_missing(grow_round(inner, run, plan, prepared, purse, watch))


def failed_searches(path: Path, played: Round) -> dict[str, str]:
    """The searches of a round that failed and have no tree since: key -> last error."""
    failed = dict(played.grown.failures)
    if failed:
        lines = (path / "failures.jsonl").read_text(encoding="utf-8").splitlines()
        failed |= {said["search"]: said["error"] for said in map(json.loads, lines)}
        for key in read_keys(path / "trees.jsonl"):
            failed.pop("#".join(key), None)
    return failed
