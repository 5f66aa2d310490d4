"""Selection of problems, by pass rate or by lot, and a record of what was dropped and why."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from heapq import heappush, heappushpop
from pathlib import Path
from random import Random

from whorl.data.atomic import replacing
from whorl.problem import Problem


@dataclass(frozen=True, slots=True)
class Dropped:
    """A problem that was left out, and the reason.

    why: in a few words, the same for all that were dropped for one reason.
    of: the problem because of which it was dropped, empty if there is none.
    share: how much of it that one shares, or how often the policy solves it; None if unknown.
    words: some that both have.
    """

    id: str
    why: str
    of: str = ""
    share: float | None = None
    words: str = ""


OnDrop = Callable[[Dropped], None]


def solved_sometimes(
    problems: Iterable[Problem],
    rates: Mapping[str, float],
    low: float,
    high: float,
    *,
    on_drop: OnDrop,
) -> Iterator[Problem]:
    """The problems whose pass rate, in `rates` by id, is within [low, high]."""
    for problem in problems:
        rate = rates.get(problem.id)
        if rate is None:
            on_drop(Dropped(problem.id, "no score"))
        elif not low <= rate <= high:
            side = "below" if rate < low else "above"
            on_drop(Dropped(problem.id, f"pass rate {side} {low:g}:{high:g}", share=rate))
        else:
            yield problem


def random_problems(problems: Iterable[Problem], n: int, *, seed: int) -> list[Problem]:
    """`n` random problems, all if there are fewer, in their order. Memory: n problems.

    The lot of a problem is drawn from the seed and its id: one that is added or left out changes
    at most one other, and a larger sample holds the smaller one.
    """
    drawn: list[tuple[float, int, Problem]] = []
    for place, problem in enumerate(problems):
        lot = (-Random(f"{seed}:{problem.id}").random(), -place, problem)
        heappush(drawn, lot) if len(drawn) < n else heappushpop(drawn, lot)
    return [problem for _, _, problem in sorted(drawn, key=lambda lot: -lot[1])]


def write_dropped(path: Path, dropped: Iterable[Dropped]) -> int:
    """Write one line of JSON for each dropped problem; returns their number. The file appears when
    it is complete."""
    count = 0
    with replacing(path) as file:
        for each in dropped:
            said = {name: value for name, value in asdict(each).items() if value not in ("", None)}
            file.write(json.dumps(said, ensure_ascii=False).encode() + b"\n")
            count += 1
    return count
