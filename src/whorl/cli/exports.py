"""Exports of files of examples and of trees, by the format that is asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

from whorl.cli.display import Display
from whorl.data.examples import read_examples
from whorl.data.export import Exported, Format, export_examples
from whorl.data.forest import read_trees
from whorl.data.parquet import round_of, write_parquet
from whorl.data.publish import Card, holds_dataset, push_to_hub, write_dataset
from whorl.data.purpose import read_purpose
from whorl.data.rollouts import about, export_groups, export_problems, export_traces, session
from whorl.data.rounds import number_of
from whorl.data.stepwise import export_steps
from whorl.errors import UserError
from whorl.example import Example, Likelihood
from whorl.loop.folder import RunFolder
from whorl.loop.harvest import Harvested, distinct_examples
from whorl.settings import flat_items
from whorl.tree import Tree

UNITS = {"prm": "solutions", "verl": "problems", "art": "groups", "traces": "sessions"}
UNITS |= {"trackio": "traces", "parquet": "trees"}


@dataclass(frozen=True, slots=True)
class Choice:
    """An export as it is asked for."""

    form: str
    out: Path
    drop_weights: bool = False
    end_turns: bool = False


def exported_examples(files: Sequence[Path], chosen: Choice) -> Exported:
    """Write the examples of these files."""
    return export_examples(
        _examples(files),
        chosen.out,
        cast(Format, chosen.form),
        drop_weights=chosen.drop_weights,
        end_turns=chosen.end_turns,
    )


def _examples(files: Sequence[Path]) -> Iterator[Example]:
    every = chain.from_iterable(map(read_examples, files))
    purpose = read_purpose(files[0])
    objective = purpose[1] if purpose else Likelihood()
    return iter(distinct_examples(every, objective)) if len(files) > 1 else every


def exported_trees(files: Sequence[Path], chosen: Choice, enough: float, marker: str) -> Exported:
    """Write the trees of these files. enough, marker: of step labels."""
    if chosen.form == "parquet":
        return Exported(write_parquet(_by_round(files), chosen.out), {}, {})
    trees = chain.from_iterable(map(read_trees, files))
    if chosen.form == "prm":
        return export_steps(trees, chosen.out, enough=enough, marker=marker)
    if chosen.form == "trackio":
        return _to_trackio(trees, str(chosen.out))
    write = {"verl": export_problems, "art": export_groups, "traces": export_traces}
    return write[chosen.form](trees, chosen.out)


def _by_round(files: Sequence[Path]) -> dict[int, Iterator[Tree]]:
    """The trees of those of the files that are there, by the round that each is of."""
    rounds: dict[int, list[Path]] = {}
    for file in files:
        if file.exists():
            rounds.setdefault(number_of(file.parent) or round_of(file), []).append(file)
    return {number: chain.from_iterable(map(read_trees, those)) for number, those in rounds.items()}


def _to_trackio(trees: Iterator[Tree], project: str) -> Exported:
    """Log a trace for each tree to a project of Trackio on this machine."""
    try:
        import trackio
    except ImportError as error:
        raise UserError("trackio is not installed: pip install trackio") from error
    count = 0
    trackio.init(project=project, name="trees")
    for tree in trees:
        messages = [
            {"role": str(one["role"]), "content": str(one["content"])} for one in session(tree)
        ]
        trackio.log({"tree": trackio.Trace(messages=messages, metadata=_flat(about(tree)))})
        count += 1
    trackio.finish()  # type: ignore[no-untyped-call]
    if not count:
        raise UserError("nothing to export: there are no trees")
    return Exported(count, {}, {})


def _flat(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if not isinstance(value, dict)}


def published(
    files: Sequence[Path], chosen: Choice, push: str, display: Display, *, public: bool
) -> Exported:
    """Write the examples of these files as a data set, and upload it to the repository `push`, if
    that is named. One that an upload that failed has left in the folder is uploaded as it is."""
    out, card = chosen.out, _card(files)
    rows = holds_dataset(_examples(files), out, card) if push else 0
    rows = rows or write_dataset(_examples(files), out, card)
    if push:
        try:
            display.say(f"pushed to {push_to_hub(out, push, public=public)}")
        except UserError as error:
            raise UserError(f"{error}; {out} is complete, the same command uploads it") from error
    return Exported(rows, {}, {})


def _card(files: Sequence[Path]) -> Card:
    """The card of the examples in these files, from what lies beside them."""
    found = [h for file in files if (h := Harvested.read(file.parent))]
    purpose = read_purpose(files[0])
    recipe, objective = purpose if purpose else ("unknown", Likelihood())
    settings: dict[str, str] = {}
    for folder in (files[0].parent, files[0].parent.parent):
        try:
            settings = dict(flat_items(RunFolder.read(folder).settings))
            break
        except UserError:
            continue
    counts = {
        title: _sum([dict(getattr(one, name)) for one in found])
        for title, name in (
            ("Left out", "dropped"),
            ("Counted in the trees", "tally"),
            ("Sampled tokens", "cost"),
        )
    }
    trees = sum(one.trees for one in found)
    made = f"Made of {trees:,} search trees." if trees else ""
    remarks = tuple(dict.fromkeys(remark for one in found for remark in one.remarks))
    return Card(recipe, repr(objective), made, settings, counts, remarks)


def _sum(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total
