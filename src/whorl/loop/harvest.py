"""Harvesting a file of trees into a file of examples, with counts of both."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, groupby
from pathlib import Path

from whorl import prompts
from whorl.answer.thoughts import thinks
from whorl.data.atomic import replacing
from whorl.data.examples import write_examples
from whorl.data.forest import key_of, read_trees
from whorl.data.purpose import write_purpose
from whorl.data.rounds import number_of
from whorl.errors import UserError
from whorl.evaluate import Setup
from whorl.example import Example, Objective
from whorl.loop.folder import RunFolder
from whorl.loop.thoughts import AS_SAMPLED, Taught, taught
from whorl.loop.variety import Solutions, Variety
from whorl.recipe import Harvest, Recipe, remarks_of
from whorl.recipes import name_of
from whorl.tree import Tree


@dataclass(frozen=True, slots=True)
class Harvested:
    """Counts of a harvest, kept beside its examples as `harvested.json`.

    trees: harvested; examples: written; dropped: examples left out, by reason.
    tally: the recipe's own counts; cost: sampled tokens by role. Both are of all the trees.
    variety: of the trees, in which those of one problem should stand together.
    remarks: what the recipe says of the run by its tally.
    """

    trees: int
    examples: int
    dropped: Mapping[str, int]
    tally: Mapping[str, int]
    cost: Mapping[str, int]
    variety: Variety
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        left_out = "".join(f"; left out: {why}: {n:,}" for why, n in sorted(self.dropped.items()))
        return f"{self.examples:,} examples of {self.trees:,} trees{left_out}"

    @classmethod
    def read(cls, folder: Path) -> "Harvested | None":
        """Read the counts in a run folder; None if its trees were not harvested. Raises `UserError`
        if the file is damaged."""
        record = folder / "harvested.json"
        if not record.exists():
            return None
        try:
            said = json.loads(record.read_bytes())
            if "variety" not in said:  # it was a file of its own once
                apart = folder / "variety.json"
                if not apart.exists():
                    return None
                said["variety"] = json.loads(apart.read_bytes())
            said |= {"variety": Variety(**said["variety"])}
            return cls(**said | {"remarks": tuple(said.get("remarks", ()))})
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{record} cannot be read: {error}; delete it and harvest again"
            ) from error

    def write(self, folder: Path) -> None:
        """Write the counts into a run folder, where `read` finds them."""
        with replacing(folder / "harvested.json") as file:
            file.write(json.dumps(asdict(self), indent=2).encode() + b"\n")


def harvest(
    trees: Path | Sequence[Path],
    recipe: Recipe,
    out: Path,
    *,
    setup: Setup | None = None,
    how: Taught = AS_SAMPLED,
) -> Harvested:
    """Harvest files of trees, in one pass, into a file of examples; equal examples are written
    once, unless the recipe's objective counts samples. Beside it stands the recipe's objective, and
    `NAME.dropped.jsonl` says what was left out of which tree, and why.

    setup: how the model that is to learn from them is asked for a solution, if not as the policy
    was: examples after the plain question are then examples after its words, and others are left
    out.
    how: what examples keep of thoughts.
    """
    dropped: Counter[str] = Counter()
    tally: Counter[str] = Counter()
    cost: Counter[str] = Counter()
    solutions = Solutions()
    every = chain.from_iterable(map(read_trees, [trees] if isinstance(trees, Path) else trees))
    found = 0
    ends: Counter[str] = Counter()
    lacking: list[bytes] = []

    def examples() -> Iterator[Example]:
        nonlocal found
        for _, trees_of_problem in groupby(every, key=lambda tree: tree.problem.id):
            own = list(trees_of_problem)
            solutions.add(own)
            for tree in own:
                ends[_ending(tree)] += 1
                counts, crop = _harvested(recipe, tree)
                tally.update(counts)
                cost.update(tree.cost)
                dropped.update(crop.dropped)
                if crop.dropped:
                    lacking.append(_dropped_line(tree, crop.dropped))
                asked = list(_asked(tree, crop.examples, setup or Setup()))
                dropped["not after the plain question"] += len(crop.examples) - len(asked)
                kept = [one for one in taught(asked, how) if one is not None]
                dropped["steps of a thought"] += len(asked) - len(kept)
                found += len(kept)
                yield from kept

    written = write_examples(out, distinct_examples(examples(), recipe.objective))
    write_purpose(out, name_of(recipe), recipe.objective)
    with replacing(out.with_suffix(".dropped.jsonl")) as file:
        file.writelines(lacking)
    dropped = +dropped  # without what counts nothing
    if found > written:
        dropped["equal to another example"] = found - written
    remarks = (*remarks_of(recipe, tally), *_of_endless(ends))
    return Harvested(
        ends.total(), written, dict(dropped), dict(tally), dict(cost), solutions.variety, remarks
    )


def usual_out(folder: RunFolder, number: int = 0) -> Path:
    """The file that examples of a run folder are written to if no other is named: of all its trees,
    or of those of one round."""
    return (folder.parts(number)[0] if number else folder.path) / "examples.jsonl"


def harvest_folder(
    folder: RunFolder,
    recipe: Recipe,
    out: Path,
    *,
    number: int = 0,
    setup: Setup | None = None,
    how: Taught = AS_SAMPLED,
) -> Harvested:
    """Harvest all trees of a run folder together, or those of one round; see `harvest`. Beside the
    folder's own examples the counts are kept, so that whatever shows the folder tells theirs.
    Raises `UserError` if there is no such round, or if `out` holds what a run learns from in it."""
    trees = [part / "trees.jsonl" for part in folder.parts(number)]
    if _learned_by_a_run(out.resolve()):
        raise UserError(f"{out} is what the run learns from in that round; name another --out")
    harvested = harvest(trees, recipe, out, setup=setup, how=how)
    if out.resolve() == usual_out(folder, number).resolve():
        harvested.write(out.parent)
    return harvested


def _learned_by_a_run(out: Path) -> bool:
    """Whether a file is that of the examples of a round of `whorl run`."""
    in_round = number_of(out.parent) > 0 and (out.parent.parent / "manifest.json").exists()
    return in_round and out.name == "examples.jsonl"


def _ending(tree: Tree) -> str:
    """How far a search came: to the end of a solution, or only into a thought, which is open."""
    if tree.cut_short or any(tree.leaves()):
        return "solution"
    ends = (i for i, node in enumerate(tree.nodes) if i and not node.children)
    return "thought" if any(thinks(tree.text(end)) for end in ends) else "none"


def _of_endless(ends: Counter[str]) -> Iterator[str]:
    grown, endless = ends.total(), ends["thought"] + ends["none"]
    if 2 * endless <= grown:
        return
    why = "the steps may be too many, or too long for their tokens, or the policy states no answer"
    if 2 * ends["thought"] > endless:
        why = "thoughts do not close within their tokens; sampling.thought_tokens closes them"
    yield f"{endless:,} of {grown:,} searches came to no end of a solution: {why}"


def _dropped_line(tree: Tree, dropped: Mapping[str, int]) -> bytes:
    problem, arm = key_of(tree)
    said = {"problem": problem, "arm": arm, "dropped": dict(dropped)}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _harvested(recipe: Recipe, tree: Tree) -> tuple[Mapping[str, int], Harvest]:
    """Tally and harvest of one tree. Raises `UserError` if a recipe from outside the package fails
    at it: that is no fault of whorl's."""
    try:
        counts, crop = recipe.tally(tree), recipe.harvest(tree)
        if not isinstance(counts, Mapping) or not isinstance(crop, Harvest):
            raise TypeError("tally returns a mapping, and harvest a Harvest")
    except Exception as error:
        name = name_of(recipe)
        if isinstance(error, UserError) or ":" not in name:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{name} fails at the tree of {tree.problem.id}: {what}") from error
    return counts, crop


def _asked(tree: Tree, examples: Iterable[Example], setup: Setup) -> Iterator[Example]:
    """Examples of a tree, as of a model that is asked by the template of `setup`."""
    if setup.template == "whorl":  # as the policy was
        yield from examples
        return
    plain, own = prompts.plain(tree), setup.ask(tree.problem.question)
    for example in examples:
        before = example.prompt.prefix
        if replace(plain, prefix=before) == example.prompt and before.startswith(plain.prefix):
            prompt = replace(own, prefix=own.prefix + before.removeprefix(plain.prefix))
            yield replace(example, prompt=prompt)


def distinct_examples(examples: Iterable[Example], objective: Objective) -> Iterator[Example]:
    """The examples without repetitions; equal are those that teach the same, from whatever node.
    Where the objective counts samples, all of them."""
    if objective.per_sample:
        yield from examples
        return
    seen: set[bytes] = set()
    for example in examples:
        text = repr(replace(example, origin=""))
        name = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if name not in seen:
            seen.add(name)
            yield example
