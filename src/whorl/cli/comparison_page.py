"""The results of a comparison, as a report."""

from collections.abc import Iterator, Mapping

from whorl.compare.comparison import Comparison
from whorl.compare.findings import Findings, MethodFigures, figures_of_seed, figures_over_seeds
from whorl.compare.methods import Method
from whorl.evaluate import pass_rate, pass_rate_over
from whorl.report import Chart, Curve, Figure, FigureTable, Report, ResultRow
from whorl.report.rows import interval

METHOD = (
    "Over seeds: mean accuracy with a bootstrap over problems; differences by a paired t-test over "
    "problems, each with its mean over the seeds. By seed, of one seed, and where all seeds agree "
    "on every problem: Wilson intervals, exact McNemar test."
)


def page(findings: Findings, comparison: Comparison) -> Report:
    """The report of a comparison."""
    greedy, sampled = findings.base
    pooled = {name: figures_over_seeds(findings, own) for name, own in findings.by_method()}
    best = max(pooled, key=lambda name: pooled[name].accuracy.value)
    rate = pass_rate(greedy, 1)
    change = pooled[best].against_base.difference
    return Report(
        title="Recipes at equal cost",
        lead=(
            f"With {comparison.tokens:,} generated tokens each, the best of {len(pooled)} recipes, "
            f"{best}, changes the base model's {100 * rate.value:.1f} % by "
            f"{100 * change.value:+.1f} points (95 % interval {100 * change.low:+.1f} to "
            f"{100 * change.high:+.1f})."
        ),
        figures=(
            Figure("tokens per recipe and seed", comparison.tokens, "all that was sampled counts"),
            Figure("seeds", comparison.seeds),
            Figure("held-out problems", len(greedy)),
            Figure("of them for pass@k", len(sampled)),
        ),
        rows=(ResultRow("base", interval(rate), len(greedy)), *_rows(findings, pooled)),
        charts=tuple(_charts(findings)),
        remarks=(
            METHOD,
            "Examples and tokens in the table are those of the first seed; fixed and broken are "
            "counted over all seeds.",
            "An interval over problems says nothing about other training seeds; the gains by seed "
            "do.",
        ),
        settings=tuple(_settings(method) for method in comparison.methods),
    )


def _rows(findings: Findings, pooled: Mapping[str, MethodFigures]) -> Iterator[ResultRow]:
    for name, own in findings.by_method():
        change = pooled[name].against_base
        gains = (figures_of_seed(findings, r).against_base.difference.value for r in own)
        yield ResultRow(
            name,
            interval(pooled[name].accuracy),
            change.problems,
            fixed=change.fixed,
            broken=change.broken,
            difference=interval(change.difference),
            p_value=change.p_value,
            examples=own[0].examples,
            tokens=own[0].last.point.tokens,
            note="by seed " + ", ".join(f"{100 * gain:+.1f}" for gain in gains),
        )


def _settings(method: Method) -> FigureTable:
    return FigureTable(
        method.name,
        (
            Figure("epochs", method.train.epochs),
            Figure("learning rate", f"{method.train.lr:g}"),
            Figure("batch", method.train.batch),
            Figure("objective", repr(method.harvest.objective)),
        ),
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    """Greedy accuracy, and pass@k for the largest k, against generated tokens."""
    most = findings.ks()[-1]
    for title, part, k in (
        ("Accuracy against generated tokens", 0, 1),
        (f"Pass@{most} against generated tokens", 1, most),
    ):
        base = interval(pass_rate(findings.base[part], k))
        curves = []
        for name, own in findings.by_method():
            points = [(0, base)]
            for students in zip(*(result.students for result in own), strict=True):
                tokens = sum(student.point.tokens for student in students) // len(students)
                scores = [(s.greedy, s.sampled)[part] for s in students]
                points.append((tokens, interval(pass_rate_over(scores, k))))
            curves.append(Curve(name, tuple(points)))
        rft = next((curve for curve in curves if curve.name == "rft"), None)
        yield Chart(title, base, tuple(curves), rft)
