"""What a comparison found: as JSON, as tables, as a page."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from whorl.compare.play import Comparison
from whorl.compare.verdict import Finding, Outcome, Result, Student, pool, weigh
from whorl.data.atomic import replacing
from whorl.evaluate import Paired, Rate, pass_rate, pass_rate_over
from whorl.report import Chart, Curve, Figure, Report, Row, write_report
from whorl.report import Table as Counters
from whorl.report.rows import interval

METHOD = (
    "Over seeds: mean accuracy with a bootstrap over problems; differences by a paired t-test over "
    "problems, each with its mean over the seeds. By seed: Wilson intervals, exact McNemar test."
)


FILES = ("compare.json", "compare.md", "compare.html")


def write(folder: Path, outcome: Outcome, comparison: Comparison) -> None:
    """Write `FILES`."""
    texts = (json.dumps(as_mapping(outcome), indent=2), markdown(outcome))
    for name, text in zip(FILES, texts, strict=False):
        with replacing(folder / name) as file:
            file.write(text.encode() + b"\n")
    write_report(folder / FILES[-1], page(outcome, comparison))


def by_method(outcome: Outcome) -> Iterator[tuple[str, list[Result]]]:
    """The results of each method, by seed."""
    for name in dict.fromkeys(result.entry.name for result in outcome.results):
        yield name, [result for result in outcome.results if result.entry.name == name]


def as_list(outcome: Outcome) -> list[dict[str, Any]]:
    """An object per method and seed, as JSON can hold it."""
    return [_as_mapping(outcome, result) for result in outcome.results]


def as_mapping(outcome: Outcome) -> dict[str, Any]:
    """`as_list`, with the base model and each method over its seeds."""
    base, sampled = outcome.base
    rate = pass_rate(base, 1)
    return {
        "problems": len(base),
        "problems_for_pass_at_k": len(sampled),
        "base": {
            "accuracy": rate.value,
            "low": rate.low,
            "high": rate.high,
            "pass_at_k": {k: pass_rate(sampled, k).value for k in outcome.ks()},
        },
        "method": METHOD,
        "results": as_list(outcome),
        "over_seeds": [
            {"recipe": name, "seeds": len(own)} | _said(pool(outcome, own))
            for name, own in by_method(outcome)
        ],
    }


def _as_mapping(outcome: Outcome, result: Result) -> dict[str, Any]:
    point = result.last.point
    return {
        "recipe": result.entry.name,
        "seed": result.seed,
        "tokens": point.tokens,
        **_said(weigh(outcome, result)),
        "left_out_tokens": sum(student.point.left_out for student in _counted(result)),
        "problems": point.problems,
        "passes": point.passes,
        "trees": sum(student.point.trees for student in _counted(result)),
        "failed": point.failed,
        "examples": point.examples,
        "trained_tokens": point.trained_tokens,
        "cpu_minutes": round(sum(s.point.cpu for s in result.students) / 60, 2),
        "wall_minutes": round(sum(s.point.wall for s in result.students) / 60, 2),
        "curve": [
            {
                "tokens": student.point.tokens,
                "accuracy": pass_rate(student.greedy, 1).value,
                "pass_at_k": {k: pass_rate(student.sampled, k).value for k in outcome.ks()},
            }
            for student in result.students
        ],
    }


def _said(verdict: Finding) -> dict[str, Any]:
    base, rft = verdict.against_base, verdict.against_rft
    return {
        "accuracy": verdict.accuracy.value,
        "low": verdict.accuracy.low,
        "high": verdict.accuracy.high,
        "pass_at_k": {k: rate.value for k, rate in verdict.passed.items()},
        "pass_at_k_low": {k: rate.low for k, rate in verdict.passed.items()},
        "pass_at_k_high": {k: rate.high for k, rate in verdict.passed.items()},
        "gain": base.difference.value,
        "gain_low": base.difference.low,
        "gain_high": base.difference.high,
        "p_vs_base": base.p_value,
        "minus_rft": rft.difference.value if rft else None,
        "p_vs_rft": rft.p_value if rft else None,
    }


def _counted(result: Result) -> Sequence[Student]:
    """The students with trees of their own; without rounds the last one's are all there are."""
    return result.students if result.entry.rounds else result.students[-1:]


HEAD = (
    *("recipe", "right %", "95 %", "gain", "95 %", "p", "minus RFT", "p", "pass@k %"),
    *("tokens", "problems", "passes", "trees", "examples", "trained", "CPU min"),
)


def table(outcome: Outcome) -> list[tuple[str, ...]]:
    """A row per method, over its seeds; counts are means."""
    base, sampled = outcome.base
    ks = "/".join(f"{100 * pass_rate(sampled, k).value:.1f}" for k in outcome.ks())
    rate = pass_rate(base, 1)
    first = ("base", f"{100 * rate.value:.1f}", _interval(rate), *[""] * 5, ks, *[""] * 7)
    rows = [first]
    for name, own in by_method(outcome):
        verdict = pool(outcome, own)
        rows.append((name, *_words(verdict), *_counts(own)))
    return rows


def by_seed(outcome: Outcome) -> list[tuple[str, ...]]:
    """A row per method and seed."""
    return [
        (f"{r.entry.name}, {r.seed}", *_words(weigh(outcome, r)), *_counts([r]))
        for r in outcome.results
    ]


def _words(verdict: Finding) -> tuple[str, ...]:
    base, rft = verdict.against_base, verdict.against_rft
    return (
        f"{100 * verdict.accuracy.value:.1f}",
        _interval(verdict.accuracy),
        _points(base),
        _interval(base.difference, sign="+"),
        f"{base.p_value:.2g}",
        _points(rft) if rft else "",
        f"{rft.p_value:.2g}" if rft else "",
        "/".join(f"{100 * rate.value:.1f}" for rate in verdict.passed.values()),
    )


def _counts(results: Sequence[Result]) -> tuple[str, ...]:
    found = [_figures(result) for result in results]
    means = [sum(column) / len(found) for column in zip(*found, strict=True)]
    return (*(f"{mean:,.0f}" for mean in means[:-1]), f"{means[-1]:.1f}")


def _figures(result: Result) -> tuple[float, ...]:
    point = result.last.point
    trees = sum(student.point.trees for student in _counted(result))
    examples = sum(student.point.examples for student in _counted(result))
    trained = sum(student.point.trained_tokens for student in _counted(result))
    cpu = sum(student.point.cpu for student in result.students) / 60
    return point.tokens, point.problems, point.passes, trees, examples, trained, cpu


def _points(change: Paired) -> str:
    return f"{100 * change.difference.value:+.1f}"


def _interval(rate: Rate, sign: str = "") -> str:
    return f"{100 * rate.low:{sign}.1f} to {100 * rate.high:{sign}.1f}"


def print_comparison(outcome: Outcome) -> None:
    """The methods over their seeds."""
    shown = Table(box=None, pad_edge=False)
    for name in HEAD:
        shown.add_column(name, justify="left" if name == "recipe" else "right", no_wrap=True)
    for row in table(outcome):
        shown.add_row(*row)
    # as wide as the table: a line that is too long for the terminal is wrapped by it
    console = Console(highlight=False, soft_wrap=True, width=250)
    console.print(shown)
    console.print(_legend(outcome))


def _legend(outcome: Outcome) -> str:
    seeds = len({result.seed for result in outcome.results})
    ks = ", ".join(map(str, outcome.ks()))
    return (
        f"{len(outcome.base[0]):,} problems greedily, {len(outcome.base[1]):,} several times for "
        f"pass@k (k = {ks}); {seeds} seeds, counts are means; trained: completion tokens times "
        f"epochs. {METHOD}"
    )


def markdown(outcome: Outcome) -> str:
    """Both tables."""
    lines = [_markdown(HEAD, table(outcome)), _legend(outcome), ""]
    lines += [_markdown(("recipe, seed", *HEAD[1:]), by_seed(outcome))]
    return "\n".join(lines)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    lines = [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]
    return "\n".join(lines) + "\n"


def page(outcome: Outcome, comparison: Comparison) -> Report:
    """The outcome as a report."""
    base = outcome.base
    verdicts = {name: (own, pool(outcome, own)) for name, own in by_method(outcome)}
    best = max(verdicts, key=lambda name: verdicts[name][1].accuracy.value)
    rate = pass_rate(base[0], 1)
    change = verdicts[best][1].against_base.difference
    seeds = comparison.seeds
    rows = [Row("base", interval(rate), len(base[0]))]
    for name, (own, verdict) in verdicts.items():
        figures = _figures(own[0])
        gains = (weigh(outcome, r).against_base.difference.value for r in own)
        rows.append(
            Row(
                name,
                interval(verdict.accuracy),
                verdict.against_base.problems,
                fixed=verdict.against_base.fixed,
                broken=verdict.against_base.broken,
                difference=interval(verdict.against_base.difference),
                p_value=verdict.against_base.p_value,
                examples=int(figures[4]),
                tokens=int(figures[0]),
                note="by seed " + ", ".join(f"{100 * gain:+.1f}" for gain in gains),
            )
        )
    return Report(
        title="Recipes at equal cost",
        lead=(
            f"With {comparison.tokens:,} generated tokens each, {len(verdicts)} recipes change the "
            f"base model's {100 * rate.value:.1f} % by up to {100 * change.value:+.1f} points "
            f"({best}, 95 % interval {100 * change.low:+.1f} to {100 * change.high:+.1f})."
        ),
        figures=(
            Figure("tokens per recipe and seed", comparison.tokens, "all that was sampled counts"),
            Figure("seeds", seeds),
            Figure("held-out problems", len(base[0])),
            Figure("of them for pass@k", len(base[1])),
        ),
        rows=tuple(rows),
        charts=tuple(_charts(outcome)),
        remarks=(
            METHOD,
            "Examples and tokens in the table are those of the first seed; fixed and broken are "
            "counted over all seeds.",
            "An interval over problems says nothing about other training seeds; the gains by seed "
            "do.",
        ),
        settings=tuple(
            Counters(
                result.entry.name,
                (
                    Figure("epochs", result.entry.train.epochs),
                    Figure("learning rate", f"{result.entry.train.lr:g}"),
                    Figure("batch", result.entry.train.batch),
                    Figure("objective", repr(result.entry.harvest.objective)),
                ),
            )
            for result in outcome.results
            if result.seed == 0
        ),
    )


def _charts(outcome: Outcome) -> Iterator[Chart]:
    """Greedy accuracy, and pass@k for the largest k, against generated tokens."""
    most = outcome.ks()[-1]
    for title, part, k in (
        ("Accuracy against generated tokens", 0, 1),
        (f"Pass@{most} against generated tokens", 1, most),
    ):
        base = interval(pass_rate(outcome.base[part], k))
        curves = []
        for name, own in by_method(outcome):
            points = [(0, base)]
            for students in zip(*(result.students for result in own), strict=True):
                tokens = sum(student.point.tokens for student in students) // len(students)
                scores = [(s.greedy, s.sampled)[part] for s in students]
                points.append((tokens, interval(pass_rate_over(scores, k))))
            curves.append(Curve(name, tuple(points)))
        rft = next((curve for curve in curves if curve.name == "rft"), None)
        yield Chart(title, base, tuple(curves), rft)
