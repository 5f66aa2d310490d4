"""`whorl export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from whorl.cli import options
from whorl.cli.given import given
from whorl.data.stepwise import MARKER

if TYPE_CHECKING:
    from whorl.cli.display import Display

EXAMPLES = (
    "whorl export --format trl runs/a --out sft.jsonl",
    "whorl export --format llama-factory runs/a/examples.jsonl --out data/mine.json",
    "whorl export --format prm runs/a --out steps.jsonl --enough 0.5",
    "whorl export --format art runs/a --out groups.jsonl",
    "whorl export --format parquet runs/a --out trees",
    "whorl export --format dataset runs/a --out published",
)

TREES = ("prm", "verl", "art", "traces", "trackio", "parquet")
"""Formats that are made of trees."""


def export(  # noqa: PLR0913 (each parameter is an option)
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FROM",
            help="Run folder, or a file of examples; of trees, or a Parquet data set of them, for "
            "prm, verl, art, traces, trackio and parquet. A URL too.",
            show_default=False,
        ),
    ],
    form: Annotated[
        Literal[
            "trl",
            "llama-factory",
            "openrlhf",
            "sharegpt",
            "alpaca",
            "messages",
            "prm",
            "verl",
            "art",
            "traces",
            "trackio",
            "parquet",
            "dataset",
        ],
        typer.Option("--format", help="Who is to read it.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="File to write: .jsonl for lines, .json for one array, .parquet for a table; a "
            "new folder for traces, parquet and dataset; the name of a project for trackio. A URL "
            "too.",
            show_default=False,
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
    push: Annotated[
        str,
        typer.Option(
            metavar="OWNER/NAME",
            help="dataset: upload the folder to this repository of the Hugging Face Hub.",
            show_default=False,
        ),
    ] = "",
    public: Annotated[
        bool, typer.Option("--public", help="dataset: for all to see; private if not given.")
    ] = False,
    round: options.Round = 0,
) -> None:
    """Write examples, step labels or trees for other trainers and viewers.

    Of examples: trl, llama-factory, openrlhf, sharegpt, alpaca, and messages,
    which verl and ART fine-tune on; dataset is a folder for the Hugging Face
    Hub, with a card. Of trees: prm labels steps for a process reward model
    (TRL's columns prompt, completions and labels, OpenRLHF's input, and values
    for soft labels); verl has a row a problem, with its answer and what was
    found of it; art a group of scored solutions a tree; traces a session a
    tree, as the Hub shows them; trackio the same as traces of a project;
    parquet a data set with a row a tree, the whole tree in a column of it, and
    a folder a round, which DuckDB, `datasets` and whorl itself read. What
    a format cannot say is left out, counted and shown. Of a run of rounds all
    are written, or those of --round N.
    """
    from whorl.cli.display import Display
    from whorl.cli.exports import UNITS, Choice, exported_examples, exported_trees, published
    from whorl.errors import UserError

    files = _files(source, out, round, trees=form in TREES)
    chosen = Choice(form, out, drop_weights=drop_weights, end_turns=end_turns)
    if form in TREES and given("drop_weights", "end_turns"):
        raise UserError(f"--drop-weights and --end-turns are not for {form}, which reads trees")
    if form != "prm" and given("enough", "marker"):
        raise UserError(f"--enough and --marker are for prm, not for {form}")
    if form != "dataset" and given("push", "public"):
        raise UserError(f"--push and --public are for dataset, not for {form}")
    display = Display()
    if form == "dataset":
        exported = published(files, chosen, push, display, public=public)
    elif form in TREES:
        exported = exported_trees(files, chosen, enough or 0.0, marker or MARKER)
    else:
        exported = exported_examples(files, chosen)
    for title, counts in (("changed", exported.changed), ("left out", exported.dropped)):
        for what, count in sorted(counts.items()):
            display.say(f"{title}: {what}: {count:,}")
    display.wrote(out, f"{exported.rows:,} {UNITS.get(form, 'examples')}")
    if form not in TREES:
        _tell_what_is_lost(source, files[0], form, display)
    if form == "llama-factory":
        display.wrote(out.with_name("dataset_info.json"), f"data set {out.stem}")


def _tell_what_is_lost(source: Path, examples: Path, form: str, display: "Display") -> None:
    """Say that a format knows nothing of the weights that the examples' recipe has given them."""
    from whorl.cli.guard import whorl
    from whorl.data.purpose import read_purpose
    from whorl.example import Likelihood, Preference

    name, objective = read_purpose(examples) or ("the recipe", Likelihood())
    if isinstance(objective, Preference) or objective == Likelihood():
        return
    learned = source / "checkpoint" if source.is_dir() else Path("checkpoint")
    own = whorl("train", "--model", "MODEL", "--examples", examples, "--out", learned)
    display.say(f"{form} knows no weights and no penalty, as {name} has them; {own} reads both")


def _files(source: Path, out: Path, round: int, *, trees: bool) -> list[Path]:
    """The files to read: `source`, or the examples or trees of the folder `source`."""
    from whorl.cli.source import tree_files
    from whorl.errors import UserError

    files = tree_files(source, round) if trees else _example_files(source, round)
    if out.resolve() in [file.resolve() for file in files]:
        raise UserError(f"{out} is what is read; export to another file")
    return files


def _example_files(source: Path, round: int) -> list[Path]:
    """The file `source`, or the examples of the run folder `source`."""
    from whorl.cli.source import refuse_round
    from whorl.errors import UserError
    from whorl.loop.folder import RunFolder

    if not source.is_dir():
        refuse_round(source, round)
        return [source]
    folder = RunFolder.read(source)
    parts = folder.parts(round)
    if not round and folder.examples.exists():
        parts = [folder.path]  # of all rounds, harvested together
    files = [file for part in parts if (file := part / "examples.jsonl").exists()]
    if not files:
        raise UserError(f"{source} has no examples yet; `whorl harvest {source}` writes them")
    return files
