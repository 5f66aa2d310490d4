"""Templates of the viewer's pages, and what their expressions may call."""

from functools import cache
from importlib import resources
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from whorl.report import text as words
from whorl.report.plots import accuracy_plot, curve_plot
from whorl.report.templates import environment
from whorl.view.mathematics import text


def read(name: str) -> str:
    """A file of `view/pages`."""
    return resources.files("whorl.view").joinpath("pages", name).read_text("utf-8")


def quoted(value: object) -> str:
    """A name as a part of an address."""
    return quote(str(value), safe="")


@cache
def templates() -> Environment:
    """The templates, compiled when they are first asked for."""
    made = environment(read)
    made.filters |= {
        "mathematics": text,
        "quoted": quoted,
        "accuracy_plot": lambda rows: Markup(accuracy_plot(rows)),
        "curve_plot": lambda chart: Markup(curve_plot(chart)),
        "clock": words.clock,
        "brief": lambda value, limit: words.clip(" ".join(str(value).split()), limit),
    }
    return made


def page(name: str, **content: object) -> str:
    """A page as HTML."""
    return templates().get_template(name).render(**content)
