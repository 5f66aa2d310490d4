"""Shards of a round of a run: growing one, for jobs that share the run folder."""

from dataclasses import replace
from functools import partial

from whorl import __version__
from whorl.data.shard import Shard
from whorl.errors import UserError
from whorl.loop.grow import Grown, GrowPlan, grow, ready
from whorl.loop.manifest import learned_from
from whorl.loop.plan import RoundPlan, plan_of
from whorl.loop.rounds import round_settings
from whorl.loop.run import Run
from whorl.loop.shards import joined, open_part
from whorl.loop.split import problems_of, tell_bad
from whorl.watch import Watch
from whorl.watch.events import recorded


def begun_round(run: Run) -> RoundPlan:
    """The plan of the round of `run` whose trees are to be grown: the first one that has not grown
    them. Raises `UserError` if there is none, or the model that it starts from is not trained."""
    plans = (plan_of(run, number) for number in range(1, run.rounds + 1))
    plan = next((each for each in plans if not (each.folder / "grown.json").exists()), None)
    if plan is None:
        raise UserError(f"the trees of all {run.rounds:,} rounds of {run.folder} are grown")
    if plan.last and not (checkpoint := plan.last.with_name("checkpoint")).exists():
        raise UserError(
            f"round {plan.number} searches with the model that the round before it trains, and "
            f"{checkpoint} is not there: the same command without --shard, and with "
            f"--set rounds={plan.number - 1}, trains it"
        )
    return plan


def grow_shard(
    run: Run, plan: RoundPlan, shard: Shard, watch: Watch, *, repair: bool = False
) -> Grown:
    """Grow a shard of the trees of a round. repair: damaged journals, before they are opened.
    Raises `UserError` as `loop.shards.open_part` does."""
    tell = watch.say if repair else None
    read = partial(problems_of, run, plan.number)
    with (
        ready(replace(run, engines=plan.engines)) as prepared,
        joined(run.folder, learned_from(run), __version__, tell) as whole,
        open_part(
            plan.folder,
            round_settings(whole, plan),
            shard,
            read,
            version=__version__,
            repair=tell,
        ) as part,
        recorded(watch, part.folder.events, part.folder.settings["engines"]) as told,
    ):
        tell_bad(prepared.found, run, watch)
        own = replace(GrowPlan.of(run), seed=plan.seed, last=plan.last, others=part.others)
        expected = part.problems or 0
        return grow(part.folder, part.of(read()), own, prepared.crew, watch=told, expected=expected)
