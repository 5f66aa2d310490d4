from itertools import pairwise
from xml.etree import ElementTree as Xml

from hypothesis import given
from hypothesis import strategies as st

from whorl.report import Chart, Curve, Interval, Level, ResultRow
from whorl.report.plots import LEFT, RIGHT, WIDTH, accuracy_plot, curve_plot, level_plot

shares = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(
    lambda ends: Interval(sorted(ends)[1], sorted(ends)[0], sorted(ends)[2])
)


def _inside(svg: Xml.Element) -> bool:
    xs = [float(e.attrib[a]) for e in svg.iter() for a in ("x1", "x2", "cx") if a in e.attrib]
    return all(LEFT - 0.1 <= x <= RIGHT + 0.1 for x in xs)


@given(st.lists(shares, min_size=1, max_size=6))
def test_every_interval_lies_on_the_axis(measured: list[Interval]) -> None:
    svg = Xml.fromstring(accuracy_plot([ResultRow(f"m{i}", s, 9) for i, s in enumerate(measured)]))
    assert _inside(svg)
    assert len(list(svg.iter("circle"))) == len(measured)
    ticks = [int(e.text or "") for e in svg.iter("text") if e.get("class") == "tick"]
    assert 2 <= len(ticks) <= 11
    assert ticks[0] <= 100 * min(s.low for s in measured)
    assert ticks[-1] >= 100 * max(s.high for s in measured)
    steps = {b - a for a, b in pairwise(ticks)}
    assert len(steps) == 1


@given(shares, shares)
def test_before_stands_above_after(before: Interval, after: Interval) -> None:
    svg = Xml.fromstring(level_plot([Level("1", 9, before, after)]))
    above, below = svg.findall("g")
    assert (above.get("class"), below.get("class")) == ("before", "after")
    assert _inside(svg)
    ys = [float(g.find("circle").attrib["cy"]) for g in (above, below)]  # type: ignore[union-attr]
    assert ys[0] < ys[1]


def test_more_accurate_is_further_right() -> None:
    rows = [
        ResultRow(str(k), Interval(k / 10, k / 10 - 0.05, k / 10 + 0.05), 9) for k in range(1, 10)
    ]
    xs = [float(c.attrib["cx"]) for c in Xml.fromstring(accuracy_plot(rows)).iter("circle")]
    assert xs == sorted(xs) and len(set(xs)) == 9


def test_long_name_is_cut_and_whole_in_its_tooltip() -> None:
    name = "a method with a very long name indeed"
    svg = Xml.fromstring(accuracy_plot([ResultRow(name, Interval(0.5, 0.4, 0.6), 9)]))
    label = next(e for e in svg.iter("text") if e.get("class") == "label")
    assert (label.text or "").endswith("…") and name.startswith((label.text or "")[:-1])
    assert label.findtext("title") == name


@given(st.lists(st.tuples(st.integers(0, 10**7), shares), min_size=1, max_size=5), shares)
def test_more_tokens_are_further_right_and_more_accurate_is_higher(
    points: list[tuple[int, Interval]], base: Interval
) -> None:
    points.sort(key=lambda point: point[0])
    curve = Curve("one <curve>", tuple(points))
    svg = Xml.fromstring(curve_plot(Chart("a title", base, (curve, curve), curve)))
    assert svg.find("title").text == "a title"  # type: ignore[union-attr]
    dots = [(float(c.get("cx", "")), float(c.get("cy", ""))) for c in svg.iter("circle")]
    assert len(dots) == 2 * len(points)
    assert all(0 <= x <= WIDTH for x, _ in dots)
    for (x, _), (later, _) in pairwise(dots[: len(points)]):
        assert x <= later
    by_share = sorted(zip((share.value for _, share in points), dots, strict=False))
    assert all(low[1][1] >= high[1][1] for low, high in pairwise(by_share))
