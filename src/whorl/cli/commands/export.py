"""`whorl export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from whorl.cli import options
from whorl.data.stepwise import MARKER

EXAMPLES = (
    "whorl export --format trl runs/a --out sft.jsonl",
    "whorl export --format llama-factory runs/a/examples.jsonl --out data/mine.json",
    "whorl export --format prm runs/a --out steps.jsonl --enough 0.5",
)


def export(  # noqa: PLR0913 (each parameter is an option)
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FROM",
            help="Run folder, or a file of examples; for prm a file of trees.",
            show_default=False,
        ),
    ],
    form: Annotated[
        Literal["trl", "llama-factory", "openrlhf", "sharegpt", "alpaca", "prm"],
        typer.Option("--format", help="Who is to read it.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="File to write: .jsonl for lines, .json for one array.", show_default=False
        ),
    ],
    drop_weights: Annotated[
        bool,
        typer.Option("--drop-weights", help="Weights above 0 count as 1, others are left out."),
    ] = False,
    end_turns: Annotated[
        bool, typer.Option("--end-turns", help="End completions that go on, e.g. single steps.")
    ] = False,
    enough: Annotated[
        float | None,
        typer.Option(
            help="prm: a step is good if more than this share of what follows it is right.",
            show_default="0",
        ),
    ] = None,
    marker: Annotated[
        str | None,
        typer.Option(help="prm: what stands behind each step of input.", show_default=MARKER),
    ] = None,
    round: options.Round = 0,
) -> None:
    """Write examples, or step labels, for another trainer.

    prm labels the steps of grown trees for a process reward model: TRL's
    columns prompt, completions and labels, OpenRLHF's input, and values for
    soft labels. The other formats are for fine-tuning and preferences. What a
    format cannot say is left out, counted and shown. Of a run of rounds all
    are written, or those of --round N.
    """
    from itertools import chain

    from whorl.cli.display import Display
    from whorl.cli.guard import whorl
    from whorl.data.examples import read_examples
    from whorl.data.export import export_examples
    from whorl.data.forest import read_trees
    from whorl.data.purpose import read_purpose
    from whorl.data.stepwise import export_steps
    from whorl.errors import UserError
    from whorl.example import Likelihood, Preference
    from whorl.loop.harvest import distinct_examples

    files = _files(source, out, round, trees=form == "prm")
    purpose = read_purpose(files[0])
    objective = purpose[1] if purpose else Likelihood()
    if form == "prm":
        if drop_weights or end_turns:
            raise UserError("--drop-weights and --end-turns are not for prm, which reads trees")
        marker = MARKER if marker is None else marker
        trees = chain.from_iterable(map(read_trees, files))
        exported = export_steps(trees, out, enough=enough or 0.0, marker=marker)
    else:
        if enough is not None or marker is not None:
            raise UserError(f"--enough and --marker are for prm, not for {form}")
        every = chain.from_iterable(map(read_examples, files))
        rows = distinct_examples(every, objective) if len(files) > 1 else every
        exported = export_examples(rows, out, form, drop_weights=drop_weights, end_turns=end_turns)
    display = Display()
    for title, counts in (("changed", exported.changed), ("left out", exported.dropped)):
        for what, count in sorted(counts.items()):
            display.say(f"{title}: {what}: {count:,}")
    display.wrote(out, f"{exported.rows:,} {'solutions' if form == 'prm' else 'examples'}")
    if form != "prm" and not isinstance(objective, Preference) and objective != Likelihood():
        learned = source / "checkpoint" if source.is_dir() else Path("checkpoint")
        own = whorl("train", "--model", "MODEL", "--examples", files[0], "--out", learned)
        name = purpose[0] if purpose else "the recipe"
        display.say(f"{form} knows no weights and no penalty, as {name} has them; {own} reads both")
    if form == "llama-factory":
        display.wrote(out.with_name("dataset_info.json"), f"data set {out.stem}")


def _files(source: Path, out: Path, round: int, *, trees: bool) -> list[Path]:
    """The files to read: `source`, or the examples or trees of the run folder `source`."""
    from whorl.errors import UserError
    from whorl.loop.folder import RunFolder

    files = [source]
    if source.is_dir():
        folder = RunFolder.read(source)
        parts = folder.parts(round)
        name = "trees.jsonl" if trees else "examples.jsonl"
        if not trees and not round and folder.examples.exists():
            parts = [folder.path]  # of all rounds, harvested together
        files = [part / name for part in parts if trees or (part / name).exists()]
        if not files:
            raise UserError(f"{source} has no examples yet; `whorl harvest {source}` writes them")
    if out.resolve() in [file.resolve() for file in files]:
        raise UserError(f"{out} is what is read; export to another file")
    return files
