"""Dot-and-interval charts as inline SVG; colours come from the page's style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from whorl.errors import visible
from whorl.report.content import Chart, Curve, Interval, Level, ResultRow
from whorl.report.text import percent

WIDTH = 870
LEFT, RIGHT = 250, 780  # the axis; labels stand left of it, values right
NAME = 25  # characters of a label that fit


def accuracy_plot(rows: Sequence[ResultRow]) -> str:
    """Accuracy per method; a dashed line marks the first, which the others are compared with."""
    pitch, top = 38, 16
    bottom = top + pitch * len(rows)
    axis = _axis([row.accuracy for row in rows])
    svg = _chart(
        bottom + 50,
        "Accuracy by method",
        "; ".join(f"{row.name}: {_said(row.accuracy)}" for row in rows),
    )
    _ticks(svg, axis, top, bottom)
    if rows and _finite(rows[0].accuracy):
        x = axis.x(rows[0].accuracy.value)
        _line(svg, "reference", x, top, x, bottom)
    for i, row in enumerate(rows):
        y = top + pitch * (i + 0.5)
        _label(svg, row.name, y)
        _dot(svg, axis, row.accuracy, y, "after" if i else "before")
        _text(svg, "value", RIGHT + 14, y + 5, percent(row.accuracy.value))
    return _markup(svg)


def level_plot(levels: Sequence[Level]) -> str:
    """Accuracy by level, before training above and after it below."""
    pitch, top = 52, 44
    bottom = top + pitch * len(levels)
    axis = _axis([share for level in levels for share in (level.before, level.after)])
    svg = _chart(
        bottom + 50,
        "Accuracy by level before and after training",
        "; ".join(
            f"{level.name}: before {_said(level.before)}, after {_said(level.after)}"
            for level in levels
        ),
    )
    _ticks(svg, axis, top, bottom)
    for x, name in ((LEFT, "before"), (LEFT + 90, "after")):
        Xml.SubElement(svg, "circle", {"class": name, "cx": _n(x + 6), "cy": "18", "r": "6"})
        _text(svg, "name", x + 18, 23, name)
    for i, level in enumerate(levels):
        y = top + pitch * (i + 0.5)
        _label(svg, level.name, y)
        for share, at, kind in ((level.before, y - 9, "before"), (level.after, y + 9, "after")):
            _dot(svg, axis, share, at, kind)
            _text(svg, "value", RIGHT + 14, at + 5, percent(share.value))
    return _markup(svg)


def curve_plot(chart: Chart) -> str:
    """Panels, one per curve, on one scale: shares against generated tokens. The reference curve is
    grey in every panel, a dashed line is the base."""
    across, wide, high = 4, 180, 150
    left, gap, pitch, top = 44, 27, high + 66, 26
    shares = [chart.base, *(share for curve in chart.curves for _, share in curve.points)]
    most = max([1, *(tokens for curve in chart.curves for tokens, _ in curve.points)])
    scale = _axis(shares)
    svg = _chart(
        top + pitch * math.ceil(len(chart.curves) / across) - 24,
        chart.title,
        "; ".join(
            f"{curve.name}: " + ", ".join(f"{n:,} tokens {_said(s)}" for n, s in curve.points)
            for curve in chart.curves
        ),
    )
    for number, curve in enumerate(chart.curves):
        x = left + number % across * (wide + gap)
        y = top + number // across * pitch
        panel = _Panel(svg, scale, most, (x, y, wide, high))
        panel.frame(curve.name, scale_shown=number % across == 0)
        panel.level(chart.base)
        if chart.reference and chart.reference != curve:
            panel.draw(chart.reference, "before")
        panel.draw(curve, "after")
    return _markup(svg)


@dataclass(frozen=True, slots=True)
class _Panel:
    """A small chart of shares against tokens. box: left, top, width, height."""

    svg: Xml.Element
    scale: "_Axis"
    most: int
    box: tuple[float, float, float, float]

    def x(self, tokens: int) -> float:
        return self.box[0] + tokens / self.most * (self.box[2] - 10)

    def y(self, share: float) -> float:
        low, high = self.scale.low, self.scale.high
        return self.box[1] + (high - share) / (high - low) * self.box[3]

    def frame(self, name: str, *, scale_shown: bool) -> None:
        x, y, wide, high = self.box
        text = _text(self.svg, "head", x, y - 9, name)
        text.set("dir", "auto")
        for k in range(round((self.scale.high - self.scale.low) / self.scale.step) + 1):
            share = self.scale.low + k * self.scale.step
            _line(self.svg, "grid", x, self.y(share), x + wide, self.y(share))
            if scale_shown:
                _text(self.svg, "scale", x - 7, self.y(share) + 4, f"{100 * share:.0f}")
        for tokens in (0, self.most):
            label = f"{tokens / 1000:,.0f}k" if tokens else "0"
            _text(self.svg, "foot", self.x(tokens), y + high + 18, label)

    def level(self, share: Interval) -> None:
        x, _, wide, _ = self.box
        _line(self.svg, "reference", x, self.y(share.value), x + wide, self.y(share.value))

    def draw(self, curve: Curve, kind: str) -> None:
        """The curve, and for the one that the panel is about its intervals."""
        points = [(self.x(tokens), share) for tokens, share in curve.points if _finite(share)]
        group = Xml.SubElement(self.svg, "g", {"class": kind})
        line = " ".join(f"{_n(x)},{_n(self.y(share.value))}" for x, share in points)
        Xml.SubElement(group, "polyline", {"class": "curve", "points": line})
        for x, share in points:
            if kind != "after":
                continue
            dot = Xml.SubElement(group, "g")
            Xml.SubElement(dot, "title").text = _said(share)
            _line(dot, "interval", x, self.y(share.low), x, self.y(share.high))
            place = {"cx": _n(x), "cy": _n(self.y(share.value)), "r": "4"}
            Xml.SubElement(dot, "circle", place)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Shares from `low` to `high`, a tick every `step`."""

    low: float
    high: float
    step: float

    def x(self, share: float) -> float:
        return LEFT + (share - self.low) / (self.high - self.low) * (RIGHT - LEFT)


def _axis(shares: Sequence[Interval]) -> _Axis:
    """The part of 0 to 100 % that holds every interval, at whole ticks."""
    ends = [end for s in shares if _finite(s) for end in (s.value, s.low, s.high)] or [0.0, 1.0]
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 1.0) if max(ends) - min(ends) <= 7 * s)
    low = max(0.0, math.floor(min(ends) / step - 0.2) * step)
    high = min(1.0, math.ceil(max(ends) / step + 0.2) * step)
    return _Axis(low, high, step)


def _ticks(svg: Xml.Element, axis: _Axis, top: float, bottom: float) -> None:
    for k in range(round((axis.high - axis.low) / axis.step) + 1):
        share = axis.low + k * axis.step
        x = axis.x(share)
        _line(svg, "grid", x, top, x, bottom + 6)
        _text(svg, "tick", x, bottom + 23, f"{100 * share:.0f}")
    title = "right answers, %, with 95 % interval"
    _text(svg, "axis", (LEFT + RIGHT) / 2, bottom + 43, title)


def _dot(svg: Xml.Element, axis: _Axis, share: Interval, y: float, kind: str) -> None:
    """The value as a dot on its interval, which a pointer can ask for its numbers."""
    if not _finite(share):
        return
    group = Xml.SubElement(svg, "g", {"class": kind})
    Xml.SubElement(group, "title").text = _said(share)
    low, high = axis.x(share.low), axis.x(share.high)
    _line(group, "interval", low, y, high, y)
    for x in (low, high):
        _line(group, "interval", x, y - 5, x, y + 5)
    Xml.SubElement(group, "circle", {"cx": _n(axis.x(share.value)), "cy": _n(y), "r": "6"})


def _label(svg: Xml.Element, name: str, y: float) -> None:
    """The row's name, right-aligned; a long one is cut and whole in its tooltip."""
    shown = name if len(name) <= NAME else name[: NAME - 1] + "…"
    text = _text(svg, "label", LEFT - 16, y + 5, shown)
    if shown != name:
        Xml.SubElement(text, "title").text = visible(name)


def _chart(height: float, title: str, description: str) -> Xml.Element:
    """An empty chart that says what it shows to those who cannot see it."""
    view = f"0 0 {WIDTH} {_n(height)}"
    svg = Xml.Element("svg", {"class": "plot", "role": "img", "viewBox": view})
    Xml.SubElement(svg, "title").text = title
    Xml.SubElement(svg, "desc").text = visible(description)
    return svg


def _line(parent: Xml.Element, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
    ends = {"x1": _n(x1), "y1": _n(y1), "x2": _n(x2), "y2": _n(y2)}
    Xml.SubElement(parent, "line", {"class": kind, **ends})


def _text(parent: Xml.Element, kind: str, x: float, y: float, text: str) -> Xml.Element:
    element = Xml.SubElement(parent, "text", {"class": kind, "x": _n(x), "y": _n(y)})
    element.text = visible(text)
    return element


def _said(share: Interval) -> str:
    return f"{percent(share.value)} ({percent(share.low)} to {percent(share.high)})"


def _finite(share: Interval) -> bool:
    return all(math.isfinite(end) for end in (share.value, share.low, share.high))


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _markup(svg: Xml.Element) -> str:
    return Xml.tostring(svg, encoding="unicode")
