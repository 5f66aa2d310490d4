"""Two students of a comparison against each other, over its seeds.

    python benchmarks/against.py runs/compare sphere:dpo process/50000:rft/50000 process:base

Each pair names the students: a recipe, and the folder of its student (as in `process/50000/100000`)
if not that with the most tokens; `base` is the base model. Positive: the first one is better. A
paired t-test over problems, as in `whorl compare`: of the greedy attempt, or with --any of the
problems solved in any of the sampled attempts.
The last line is a JSON object.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from whorl.errors import UserError
from whorl.evaluate import Score, paired_over, read_scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a comparison")
    parser.add_argument("pairs", nargs="+", metavar="A:B")
    parser.add_argument("--any", action="store_true", help="pass@n instead of greedy accuracy")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    options = parser.parse_args()
    try:
        found = {
            pair: against(options.run, *pair.split(":"), options.any) for pair in options.pairs
        }
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    for pair, row in () if options.json else found.items():
        print(
            f"{pair}: {row['points']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f}), "
            f"p {row['p']:.2g}, by seed {', '.join(f'{own:+.1f}' for own in row['by_seed'])}"
        )
    print(json.dumps(found))


def against(run: Path, one: str, other: str, sampled: bool) -> dict[str, Any]:
    """How much better `one` is, in points."""
    seeds = sorted(run.glob("seed-*"))
    if not seeds:
        raise UserError(f"{run} is no folder of a comparison")
    pairs = [
        (scores(place(run, seed, other), sampled), scores(place(run, seed, one), sampled))
        for seed in seeds
    ]
    pooled = paired_over(pairs)
    return {
        "points": 100 * pooled.difference.value,
        "low": 100 * pooled.difference.low,
        "high": 100 * pooled.difference.high,
        "p": pooled.p_value,
        "by_seed": [100 * paired_over([pair]).difference.value for pair in pairs],
    }


def place(run: Path, seed: Path, student: str) -> Path:
    """Folder of `base`, `NAME` or `NAME/TOKENS`."""
    if student == "base":
        return run / "base"
    own = seed / student
    if (own / "point.json").exists():
        return own
    found = [point.parent for point in own.rglob("point.json")]
    if not found:
        raise UserError(f"there is no student {student} in {seed}")
    return max(found, key=lambda home: int(home.name))


def scores(folder: Path, sampled: bool) -> list[Score]:
    """By problem whether the greedy attempt is right, or any of the sampled ones."""
    if not sampled:
        return read_scores(folder / "greedy.jsonl")
    found = read_scores(folder / "sampled.jsonl")
    return [replace(score, right=(float(1.0 in score.right),)) for score in found]


if __name__ == "__main__":
    main()
