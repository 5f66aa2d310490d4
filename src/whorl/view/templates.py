"""Templates of pages, in which text of models is text, whoever wrote it."""

from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from whorl.errors import visible
from whorl.evaluate.scores import verdict
from whorl.report import text as words
from whorl.report.plots import accuracy_plot, curve_plot, level_plot
from whorl.view.address import quoted
from whorl.view.mathematics import text
from whorl.watch.line import clock


def read(name: str) -> str:
    """A file of `view/pages`."""
    return resources.files("whorl.view").joinpath("pages", name).read_text("utf-8")


@cache
def templates() -> Environment:
    """The templates, compiled when they are first asked for. Every expression is made visible, then
    escaped, unless it is markup of our own."""
    made = Environment(
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else visible(str(value)),
        loader=FunctionLoader(read),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters |= {
        "mathematics": text,
        "quoted": quoted,
        "outcome": verdict,
        "accuracy_plot": lambda rows: Markup(accuracy_plot(rows)),
        "curve_plot": lambda chart: Markup(curve_plot(chart)),
        "level_plot": lambda levels: Markup(level_plot(levels)),
        "clip": words.clip,
        "brief": lambda value, limit: words.clip(" ".join(str(value).split()), limit),
        "clock": clock,
        "number": words.number,
        "percent": words.percent,
        "points": words.points,
        "probability": words.probability,
    }
    return made


def page(name: str, **content: object) -> str:
    """A page as HTML."""
    return templates().get_template(name).render(**content)
