"""Overview of a run: its rounds, what refinement did, what was left out, its settings."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whorl.errors import UserError
from whorl.evaluate import Score, pass_rate, read_scores
from whorl.loop.harvest import Harvested
from whorl.recipes import RECIPES, find_recipe
from whorl.report import Cells, Chart, Curve, ResultRow
from whorl.report.rows import cells, interval, reference, row
from whorl.settings import as_table, flat_items
from whorl.settings.presets import presets_of
from whorl.view.facts import BINS
from whorl.view.index import Index
from whorl.view.shelf import Shown


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram: a label and a count for each bar, and perhaps a share in [0, 1] of each."""

    title: str
    bars: tuple[tuple[str, int, float | None], ...]
    note: str = ""

    @property
    def most(self) -> int:
        return max((count for _, count, _ in self.bars), default=0)

    @property
    def shares(self) -> bool:
        return any(share is not None for _, _, share in self.bars)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a run; default: None where it is at its default, or none is known."""

    name: str
    value: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """Content of the page of a run, beside its status."""

    rounds: tuple[Mapping[str, Any], ...]
    rows: tuple[ResultRow, ...]
    chart: Chart | None
    cells: Cells | None
    counters: tuple[tuple[str, Mapping[str, int]], ...]
    remarks: tuple[str, ...]
    bars: tuple[Bars, ...]
    changed: tuple[Setting, ...]
    usual: tuple[Setting, ...]


def overview(shown: Shown) -> Overview:
    """The overview of what is shown, from its files."""
    rounds = tuple(_rounds(shown.path))
    scores = list(_scores(shown))
    harvests = [h for folder in shown.rounds if (h := _harvested(folder))]
    tally: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    cost: Counter[str] = Counter()
    for harvest in harvests:
        tally.update(harvest.tally)
        dropped.update(harvest.dropped)
        cost.update(harvest.cost)
    settings = list(_settings(shown))
    groups = (
        ("Counted in the trees", tally),
        ("Left out of the examples", dropped),
        ("Sampled tokens", cost),
    )
    return Overview(
        rounds,
        tuple(
            row(f"after round {k}", scores[0], own) if k else reference("before", own)
            for k, own in enumerate(scores)
        ),
        _chart(rounds, scores),
        cells(tally),
        tuple((title, counts) for title, counts in groups if counts),
        tuple(dict.fromkeys(remark for harvest in harvests for remark in harvest.remarks)),
        tuple(_bars(list(shown.forests.values()))),
        tuple(s for s in settings if s.default is not None),
        tuple(s for s in settings if s.default is None),
    )


def differing_settings(a: Overview, b: Overview) -> list[tuple[str, str, str]]:
    """Settings in which two runs differ: the name, and the value in each."""
    one, two = ({s.name: s.value for s in (*each.changed, *each.usual)} for each in (a, b))
    names = [name for name in {**one, **two} if one.get(name) != two.get(name)]
    return [(name, one.get(name, "–"), two.get(name, "–")) for name in names]


def _rounds(path: Path) -> Iterator[Mapping[str, Any]]:
    with suppress(OSError):
        for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                yield json.loads(line)


def _scores(shown: Shown) -> Iterator[list[Score]]:
    """Scores on the test problems: before the first round, after it, and so on."""
    number = 0
    while (file := shown.path / f"scores-{number}.jsonl").exists():
        try:
            yield read_scores(file)
        except UserError:
            return
        number += 1


def _harvested(folder: Path) -> Harvested | None:
    try:
        return Harvested.read(folder)
    except UserError:
        return None


def _chart(rounds: Sequence[Mapping[str, Any]], scores: Sequence[Sequence[Score]]) -> Chart | None:
    """Accuracy, and pass@k where more than one attempt was made, against sampled tokens."""
    if len(scores) < 2 or len(rounds) < len(scores) - 1:
        return None
    tokens, spent = [0], 0
    for line in rounds:
        spent += int(line.get("generated_tokens", 0))
        tokens.append(spent)
    most = max(len(score.right) for score in scores[0])
    curves = []
    for k in sorted({1, most}):
        rates = [interval(pass_rate(own, k)) for own in scores]
        curves.append(Curve(f"pass@{k}", tuple(zip(tokens, rates, strict=False))))
    return Chart("Accuracy against sampled tokens", curves[0].points[0][1], tuple(curves))


def _bars(forests: Sequence[Index]) -> Iterator[Bars]:
    """Depth, length and values over all trees."""
    depths: Counter[int] = Counter()
    tokens: Counter[int] = Counter()
    bins = [(0, 0)] * BINS
    for index in forests:
        depths.update(dict(map(tuple, index.read("SELECT depth, count(*) FROM trees GROUP BY 1"))))
        query = "SELECT max(0, length(tokens) - 1), count(*) FROM trees GROUP BY 1"
        tokens.update(dict(map(tuple, index.read(query))))
        for at, count, right in index.read(
            "SELECT bin, count(*), sum(right) FROM calibration GROUP BY bin"
        ):
            bins[at] = bins[at][0] + count, bins[at][1] + right
    if depths:
        yield Bars("Depth of the trees", tuple(_grouped(depths)))
        names = ("below 10", "10s", "100s", "1,000s", "10,000s", "100,000s", "1,000,000s")
        yield Bars(
            "Sampled tokens of a tree",
            tuple((names[min(k, 6)], tokens[k], None) for k in range(min(tokens), max(tokens) + 1)),
        )
    if any(count for count, _ in bins):
        yield Bars(
            "Calibration of the values",
            tuple(
                (f"{k / BINS:.1f} to {(k + 1) / BINS:.1f}", count, right / count if count else None)
                for k, (count, right) in enumerate(bins)
            ),
            "Share of right answers among ends that the process reward model gave such a value.",
        )


def _grouped(counts: Mapping[int, int], most: int = 12) -> Iterator[tuple[str, int, None]]:
    """Counts of numbers as at most so many bars of equal width."""
    low, high = min(counts), max(counts)
    wide = -(-(high - low + 1) // most)
    for start in range(low, high + 1, wide):
        end = min(high, start + wide - 1)
        name = f"{start}" if wide == 1 else f"{start} to {end}"
        yield name, sum(counts.get(d, 0) for d in range(start, end + 1)), None


def _settings(shown: Shown) -> Iterator[Setting]:
    """The settings of a run, with the defaults of its recipe where it is one of the package: a
    recipe from elsewhere is not imported to look at a run."""
    said = shown.settings
    recipe = said.get("recipe")
    usual: dict[str, str] = {}
    if isinstance(recipe, Mapping) and recipe.get("name") in RECIPES:
        presets = presets_of(find_recipe(str(recipe["name"])))
        default = next(iter(presets.values()), None)
        if default is not None:
            usual = {f"recipe.{k}": v for k, v in flat_items(as_table(default.recipe))}
    for name, value in flat_items(said):
        differs = name in usual and usual[name] != value
        yield Setting(name, value, usual[name] if differs else None)
