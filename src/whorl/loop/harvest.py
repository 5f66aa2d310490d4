"""Harvesting a file of trees into a file of examples."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from whorl.data.examples import write_examples
from whorl.data.forest import read_trees
from whorl.example import Example
from whorl.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Harvested:
    """What `harvest` found.

    examples: written; dropped: left out, by reason; tally: the recipe's own counts; cost: sampled
    tokens by role, of all the trees.
    """

    trees: int
    examples: int
    dropped: Mapping[str, int]
    tally: Mapping[str, int]
    cost: Mapping[str, int]


def harvest(trees: Path, recipe: Recipe, out: Path) -> Harvested:
    """Harvest a file of trees into a file of examples; equal examples are written once."""
    dropped: Counter[str] = Counter()
    tally: Counter[str] = Counter()
    cost: Counter[str] = Counter()
    grown = found = 0

    def examples() -> Iterator[Example]:
        nonlocal grown, found
        for tree in read_trees(trees):
            grown += 1
            tally.update(recipe.tally(tree))
            cost.update(tree.cost)
            crop = recipe.harvest(tree)
            dropped.update(crop.dropped)
            found += len(crop.examples)
            yield from crop.examples

    written = write_examples(out, distinct(examples()))
    if found > written:
        dropped["equal to another example"] = found - written
    return Harvested(grown, written, dict(dropped), dict(tally), dict(cost))


def distinct(examples: Iterable[Example]) -> Iterator[Example]:
    """Each example once; equal are those that teach the same, wherever they come from."""
    seen: set[bytes] = set()
    for example in examples:
        text = repr(replace(example, origin=""))
        name = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if name not in seen:
            seen.add(name)
            yield example
