"""`whorl run`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whorl.cli import options

if TYPE_CHECKING:
    from whorl.engines.roles import Opener
    from whorl.loop.metrics import Round
    from whorl.loop.run import Run

EXAMPLES = (
    "whorl run run.toml --dry-run",
    "whorl run run.toml",
    "whorl run run.toml --set run=runs/quick --set recipe.samples=2 --set "
    "budget.tokens=1000000 --set budget.problem.requests=200",
)


def run(  # noqa: PLR0913 (each parameter is an option)
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Run file.", show_default=False)],
    overrides: options.Overrides = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try searches that failed again, in every round.")
    ] = False,
    cluster: options.Cluster = "",
    shard: options.Shard = "",
    repair: options.Repair = False,
    dry_run: options.DryRun = False,
    tries: options.Try = 0,
) -> None:
    """Play the whole loop of a run file: grow, harvest, train, evaluate.

    The least that a run file says:

        run = "runs/a"
        problems = "problems.jsonl"
        test = "test.jsonl"
        engines.policy = "local:models/small"
        engines.critic = "local:models/large"
        engines.reviser = "local:models/large"
        recipe.name = "sigma"

    A recipe's name stands for its whole preset: search, training, rounds and
    evaluation as its paper has them, and ours where the paper is silent.
    recipe.preset = "code" is another one, and what the file says is changed
    (docs/papers.md, "Presets", has them all, and whose each value is). A recipe
    of your own is recipe.name = "module:Class", imported from the current folder
    or installed, or "path/to/file.py:Class".

    Each of the `rounds` searches with the newest model. Training starts from
    it, as MARGE and MCTS process supervision do, or with start = "first" from
    the first model, on the examples of all rounds so far, which is the default
    for sigma and rft.

    patience = 2 stops after two rounds without a rise of accuracy on problems
    that are held out for it, one in twenty, each of which is attempted eight
    times before the first round and after every one. The presets `paper` of
    marge, grpo and process say so: the papers of MARGE and of MCTS process supervision stop
    when there is no more gain, that it takes two rounds is ours. The test file
    never decides.

    engines.student names a model that learns while the policy samples, where a
    recipe can teach another model (not marge, grpo and process, which are
    on-policy); the scores are its own. protocol says how it is asked, where it
    learns and where it is measured: for sigma dart, that is Alpaca, as in the
    evaluation that its paper follows.

    budget.tokens = 1000000 stops growing when so many tokens are sampled;
    there are requests, seconds and money as well, for all rounds together and,
    as in budget.problem.tokens, for each search. Money needs prices per
    million tokens, such as budget.prices.critic.sampled = 0.4. The same
    command with a larger budget goes on. --try and `whorl plan` search their
    problems without the budget of all rounds, and say where it would end.

    --shard 3/16 grows the third of sixteen equal parts of the trees of the round
    that is under way, in a folder of its own in the run folder, which other
    machines share, and ends. After all of them `whorl merge`, and the same command
    without --shard learns from the trees; with --set rounds=1 it stops after the
    first round, so that the next one can be grown in shards too.

    --cluster auto grows and evaluates on the Ray cluster that this machine belongs
    to, and trains here: docs/cluster.md.

    metrics.jsonl gets a line per round. --dry-run lists the settings; `whorl
    init` writes a file of all. What is complete is not done again: after a crash
    or Ctrl-C the same command goes on where it stopped. A search that fails is left out and listed
    at the end; --retry grows its tree after all, and what was learned stays as
    it is. If more than one in ten of a round fail, the run stops before it
    learns from the rest, and the same command tries them again; may_fail = 1
    goes on all the same. Paths are relative to the folder in which the command is given.
    """
    from whorl import settings
    from whorl.cli.machines import PATIENCE, opener
    from whorl.cli.plan import describe_run, downloads
    from whorl.loop.manifest import learned_from
    from whorl.loop.runfile import answered, read_run

    chosen = answered(read_run(file, overrides or ()))
    where = opener(cluster, chosen.folder.parent, shard=shard, patience=PATIENCE)
    if not (dry_run or tries) or not downloads(chosen):
        _ = chosen.weights  # what cannot be trained is not worth growing for
    if dry_run or tries:
        return describe_run(chosen, settings.as_table, where, bound=learned_from, tries=tries)
    if shard:
        return _grow_shard(chosen, shard, repair=repair)
    play(chosen, retry=retry, repair=repair, where=where)


def play(
    chosen: "Run", *, retry: bool = False, repair: bool = False, where: "Opener | None" = None
) -> None:
    """Play a run, tell how it goes, write its report, and leave with the code for its end. where:
    opens its engines; this process if not given."""
    from whorl import __version__
    from whorl.cli.display import Display
    from whorl.cli.guard import this_command, whorl
    from whorl.cli.plan import opening, tell_unfinished
    from whorl.cli.results import print_rounds
    from whorl.cli.retry import retry as try_again
    from whorl.engines.repair import mended
    from whorl.engines.roles import Opened
    from whorl.evaluate import read_scores
    from whorl.loop.folder import RunFolder
    from whorl.loop.grow import ready
    from whorl.loop.manifest import learned_from
    from whorl.loop.metrics import metrics
    from whorl.loop.rounds import Unfinished, play_rounds
    from whorl.view.report import write_report
    from whorl.view.shelf import Shown
    from whorl.view.summary import summary
    from whorl.watch.events import recorded

    display = Display()
    display.say(opening(chosen))
    said = learned_from(chosen)
    RunFolder.check(chosen.folder, said)
    with (
        ready(chosen, where or Opened) as prepared,  # before a folder is bound to what cannot work
        RunFolder.open(chosen.folder, said, version=__version__) as folder,
    ):
        display.say_all(mended(folder.path.rglob("*journal.db")) if repair else ())
        try:
            with recorded(
                display, folder.events, folder.settings["engines"], chosen.trackers
            ) as watch:
                rounds = play_rounds(folder, chosen, prepared, watch)
        except Unfinished as unfinished:
            tell_unfinished(unfinished.folder, unfinished.grown)
        display.wrote(folder.metrics, f"{len(rounds)} rounds")
        if retry:
            try_again(folder, chosen, prepared, rounds, display)
    page = folder.path / "report.html"
    write_report(page, summary(Shown(folder.path, folder.path.name)))
    display.wrote(page, "report; open it in a browser")
    first = chosen.folder / "scores-0.jsonl"
    before = read_scores(first) if chosen.test and first.exists() else []
    print_rounds([metrics(played) for played in rounds], before, rounds[-1].scores)
    _tell_left_out(chosen, rounds, this_command() if retry else f"{this_command()} --retry")
    display.next(whorl("view", chosen.folder), whorl("show", chosen.folder))


def _grow_shard(chosen: "Run", text: str, *, repair: bool) -> None:
    """Grow a shard of the round of a run that is under way, and say what comes next."""
    from whorl.cli.display import Display
    from whorl.cli.guard import FAILED, this_command
    from whorl.cli.plan import opening, tell_failures
    from whorl.loop.round_shards import begun_round, grow_shard
    from whorl.loop.shards import shard_of

    share = shard_of(chosen, text)
    assert share is not None
    display, plan = Display(), begun_round(chosen)
    display.say(f"round {plan.number} of {chosen.rounds}, shard {share}")
    display.say(opening(chosen))
    own = plan.folder / "shards" / share.name
    grown = grow_shard(chosen, plan, share, display, repair=repair)
    tell_failures(own / "failures.jsonl", grown.failures, f"Again: {this_command()}")
    display.say(
        f"shard {share} has come to its end; after all of them: whorl merge {chosen.folder}"
    )
    if grown.failures:
        raise typer.Exit(FAILED)


def _tell_left_out(chosen: "Run", rounds: Sequence["Round"], again: str) -> None:
    """List the searches that failed in each round, and leave with the code for it."""
    from whorl.cli.guard import FAILED
    from whorl.cli.plan import tell_failures
    from whorl.cli.retry import failed_searches
    from whorl.loop.plan import plan_of

    paths = [plan_of(chosen, played.number).folder for played in rounds]
    failed = {
        path: failed_searches(path, played) for path, played in zip(paths, rounds, strict=True)
    }
    for path, failures in failed.items():
        told = f"They were left out of {path.name}. To grow their trees after all: {again}"
        tell_failures(path / "failures.jsonl", failures, told)
    if any(failed.values()):
        raise typer.Exit(FAILED)
