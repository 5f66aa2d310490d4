"""`whorl merge`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whorl.cli import options

if TYPE_CHECKING:
    from whorl.cli.display import Display
    from whorl.engines.repair import Tell

EXAMPLES = ("whorl merge runs/d",)


def merge(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|SCORES", help="Run folder, or file of scores.", show_default=False
        ),
    ],
    repair: options.Repair = False,
) -> None:
    """Make one run folder of the shards that were grown in it.

    The shards of `whorl grow --shard` and `whorl run --shard` become the folder
    that one process would have made, trees and order alike, and are removed. It
    may be done before all have ended: what they have is kept, and the same command
    without --shard, or any other number of shards, goes on from there. Not while
    one of them is growing.

    Given a file of scores, it merges the shards of `whorl evaluate --shard`, once
    all problems have been attempted.
    """
    from whorl.cli.display import Display
    from whorl.cli.guard import FAILED, whorl
    from whorl.cli.plan import tell_failures
    from whorl.errors import UserError
    from whorl.loop.exam_shards import home_of
    from whorl.loop.merge import merge_run, sharded

    display = Display()
    tell = display.say if repair else None
    if home_of(path).is_dir():
        return _merge_scores(path, display, tell)
    if not sharded(path):
        raise UserError(f"{path} has no shards; `whorl grow --shard` makes them")
    missing = failed = 0
    for merged in merge_run(path, tell):
        display.wrote(
            merged.folder / "trees.jsonl", f"{merged.trees:,} trees of {merged.shards:,} shards"
        )
        tell_failures(merged.folder / "failures.jsonl", merged.failures, "They are tried again.")
        if merged.missing:
            of = f", of the shards {', '.join(merged.unfinished)}" if merged.unfinished else ""
            display.say(f"{merged.missing:,} searches have no tree yet{of}; {GO_ON}")
        missing, failed = missing + merged.missing, failed + len(merged.failures)
    if missing or failed:
        raise typer.Exit(FAILED)
    display.next(whorl("harvest", path), whorl("view", path))


GO_ON = "the command that grew them goes on, alone or in any number of shards"


def _merge_scores(path: Path, display: "Display", repair: "Tell | None") -> None:
    """Merge the shards of an evaluation, or say what it still lacks. repair: see `merge_exam`."""
    from whorl.cli.guard import FAILED, whorl
    from whorl.loop.exam_shards import merge_exam

    merged = merge_exam(path, repair)
    if merged.missing:
        of = f" Not at their end: {', '.join(merged.unfinished)}." if merged.unfinished else ""
        display.say(
            f"{merged.missing:,} problems are not attempted yet, nothing was merged.{of} The "
            "commands of the shards go on, or those of any other number of shards"
        )
        raise typer.Exit(FAILED)
    display.wrote(path, f"scores of {len(merged.scores):,} problems")
    if failed := sum(bool(score.error) for score in merged.scores):
        display.say(f"{failed:,} problems failed; whorl evaluate without --shard tries them again")
        raise typer.Exit(FAILED)
    display.next(whorl("show", path), whorl("table", path))
