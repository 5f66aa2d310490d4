"""Overview of a run: its rounds, what refinement did, what was left out, its settings."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whorl.data.rows import count_lines
from whorl.errors import UserError
from whorl.evaluate import Score, pass_rate, read_scores
from whorl.loop.harvest import Harvested
from whorl.recipes import RECIPES, find_recipe
from whorl.report import Bars, Chart, Curve, Figure, FigureTable, Report, ResultRow
from whorl.report.rows import cells, figures, interval, levels, reference, row
from whorl.settings import as_table, flat_items
from whorl.settings.presets import presets_of
from whorl.view.facts import BINS
from whorl.view.index import Index
from whorl.view.shelf import Shown


@dataclass(slots=True)
class _Counts:
    """Counts over the files of a run. trees: that were harvested; unharvested: the others; cost:
    sampled tokens by role, of all."""

    trees: int = 0
    unharvested: int = 0
    examples: int = 0
    tally: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    cost: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)


def overview(shown: Shown) -> Report:
    """The overview of what is shown, from its files and the indices of its trees."""
    counts = _counted(shown)
    rounds = tuple(_rounds(shown.path))
    scores = list(_scores(shown))
    rows = tuple(
        row(f"after round {k}", scores[0], own) if k else reference("before", own)
        for k, own in enumerate(scores)
    )
    chart = _chart(rounds, scores)
    grown = counts.trees + counts.unharvested
    return Report(
        title=f"whorl: {shown.settings.get('recipe', {}).get('name', shown.name)}",
        lead=_lead(counts, rows),
        figures=figures({"trees": grown, "examples": counts.examples} if grown else {})
        + figures({f"tokens, {role}": count for role, count in sorted(counts.cost.items())}),
        rows=rows,
        charts=(chart,) if chart else (),
        rounds=rounds,
        remarks=tuple(dict.fromkeys(counts.remarks)),
        levels=tuple(levels(scores[0], scores[-1])) if len(scores) > 1 else (),
        cells=cells(counts.tally),
        bars=tuple(_bars(list(shown.forests.values()))),
        counters=(
            FigureTable("Counted in the trees", figures(counts.tally)),
            FigureTable("Left out of the examples", figures(counts.dropped)),
        ),
        settings=tuple(_settings(shown)),
    )


def differing_settings(a: Report, b: Report) -> list[tuple[str, str, str]]:
    """Settings in which two runs differ: the name, and the value in each."""
    one, two = (
        {line.label: str(line.value) for group in each.settings for line in group.lines}
        for each in (a, b)
    )
    names = [name for name in {**one, **two} if one.get(name) != two.get(name)]
    return [(name, one.get(name, "–"), two.get(name, "–")) for name in names]


def _counted(shown: Shown) -> _Counts:
    """Counts of all harvests, and of the trees that no harvest has seen. What examples there are is
    counted in their files, which may have been harvested again."""
    counts = _Counts()
    for index in shown.forests.values():
        found = _harvested(index.trees.parent)
        trees = int(_number(index, "SELECT count(*) FROM trees"))
        counts.cost.update(dict(map(tuple, index.read(_COST))))
        known = found.examples if found else 0
        examples = index.trees.with_name("examples.jsonl")
        counts.examples += count_lines(examples) if examples.exists() else known
        if found is None:
            counts.unharvested += trees
            continue
        counts.trees += found.trees
        counts.unharvested += max(0, trees - found.trees)
        counts.tally.update(found.tally)
        counts.dropped.update(found.dropped)
        counts.remarks += found.remarks
    return counts


_COST = "SELECT role, sum(tokens) FROM cost GROUP BY role HAVING sum(tokens) > 0 ORDER BY role"


def _number(index: Index, query: str) -> int:
    rows = index.read(query)
    return int(rows[0][0] or 0) if rows else 0


def _harvested(folder: Path) -> Harvested | None:
    try:
        return Harvested.read(folder)
    except UserError:
        return None


def _lead(counts: _Counts, rows: Sequence[ResultRow]) -> str:
    """The outcome of the run in a sentence or two."""
    said = f"{_many(counts.trees, 'tree')} taught {_many(counts.examples, 'example')}"
    if rows and (gain := rows[-1].difference):
        before, after = (100 * each.accuracy.value for each in (rows[0], rows[-1]))
        said += f"; the policy went from {before:.1f} % to {after:.1f} % right answers"
        said += f" (95 %: {100 * gain.low:+.1f} to {100 * gain.high:+.1f} points)"
    late = counts.unharvested
    more = f"{_many(late, 'tree')} {'is' if late == 1 else 'are'} grown and not harvested yet"
    sentences = [*([said] if counts.trees else []), *([more] if late else [])]
    return " ".join(f"{sentence}." for sentence in sentences)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


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


def _chart(rounds: Sequence[Mapping[str, Any]], scores: Sequence[Sequence[Score]]) -> Chart | None:
    """Accuracy, and pass@k where more than one attempt was made, against sampled tokens."""
    if len(scores) < 2 or len(rounds) < len(scores) - 1:
        return None
    tokens, spent = [0], 0
    for line in rounds:
        spent += int(line.get("generated_tokens", 0))
        tokens.append(spent)
    most = max((len(score.right) for own in scores for score in own), default=1)
    curves = []
    for k in sorted({1, most or 1}):
        rates = [interval(pass_rate(own, k)) for own in scores]
        curves.append(Curve(f"pass@{k}", tuple(zip(tokens, rates, strict=False))))
    return Chart("Accuracy against sampled tokens", curves[0].points[0][1], tuple(curves))


def _bars(forests: Sequence[Index]) -> Iterator[Bars]:
    """Depth, length and values over all trees."""
    depths: Counter[int] = Counter()
    tokens: Counter[int] = Counter()
    for index in forests:
        depths.update(dict(map(tuple, index.read("SELECT depth, count(*) FROM trees GROUP BY 1"))))
        query = "SELECT max(0, length(tokens) - 1), count(*) FROM trees GROUP BY 1"
        tokens.update(dict(map(tuple, index.read(query))))
    if depths:
        yield Bars("Depth of the trees", tuple(_grouped(depths)))
        names = ("below 10", "10s", "100s", "1,000s", "10,000s", "100,000s", "1,000,000s")
        yield Bars(
            "Sampled tokens of a tree",
            tuple((names[min(k, 6)], tokens[k], None) for k in range(min(tokens), max(tokens) + 1)),
        )
    for title, kind, note in _CALIBRATIONS:
        if bars := _calibrated(forests, kind):
            yield Bars(title, bars, note)


_CALIBRATIONS = (
    (
        "Values of the reward model at ends",
        "end",
        "Share of right answers among ends that the process reward model gave such a value.",
    ),
    (
        "Values of the reward model at steps",
        "step",
        "Mean Monte Carlo value, the mean outcome of a step's visits, among steps that the process "
        "reward model gave such a value.",
    ),
    (
        "Monte Carlo values",
        "search",
        "Share of right answers among ends behind a step of such a Monte Carlo value: the mean "
        "outcome of its visits, without those of the end itself.",
    ),
)


def _calibrated(forests: Sequence[Index], kind: str) -> tuple[tuple[str, int, float | None], ...]:
    """Bars of values of a kind; empty if there are none."""
    bins = [(0, 0.0)] * BINS
    query = "SELECT bin, count(*), sum(came) FROM calibration WHERE kind=? GROUP BY bin"
    for index in forests:
        for at, count, came in index.read(query, kind):
            bins[at] = bins[at][0] + count, bins[at][1] + came
    if not any(count for count, _ in bins):
        return ()
    return tuple(
        (f"{k / BINS:.1f} to {(k + 1) / BINS:.1f}", count, came / count if count else None)
        for k, (count, came) in enumerate(bins)
    )


def _grouped(counts: Mapping[int, int], most: int = 12) -> Iterator[tuple[str, int, None]]:
    """Counts of numbers as at most so many bars of equal width."""
    low, high = min(counts), max(counts)
    wide = -(-(high - low + 1) // most)
    for start in range(low, high + 1, wide):
        end = min(high, start + wide - 1)
        name = f"{start}" if wide == 1 else f"{start} to {end}"
        yield name, sum(counts.get(d, 0) for d in range(start, end + 1)), None


def _settings(shown: Shown) -> Iterator[FigureTable]:
    """The settings of a run, those that differ from the defaults of its recipe apart. A recipe from
    elsewhere is not imported to look at a run."""
    said = shown.settings
    recipe = said.get("recipe")
    usual: dict[str, str] = {}
    if isinstance(recipe, Mapping) and recipe.get("name") in RECIPES:
        presets = presets_of(find_recipe(str(recipe["name"])))
        default = next(iter(presets.values()), None)
        if default is not None:
            usual = {f"recipe.{k}": v for k, v in flat_items(as_table(default.recipe))}
    changed, others = [], []
    for name, value in flat_items(said):
        if name in usual and usual[name] != value:
            changed.append(Figure(name, value, f"default: {usual[name]}"))
        else:
            others.append(Figure(name, value))
    if changed:
        yield FigureTable("Not as by default", tuple(changed))
    if others:
        yield FigureTable("others" if changed else "settings", tuple(others), folded=True)
