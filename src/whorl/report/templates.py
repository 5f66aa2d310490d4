"""Templates of pages, in which text of models is text, whoever wrote it."""

from collections.abc import Callable

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from whorl.errors import visible
from whorl.report import text


def environment(read: Callable[[str], str]) -> Environment:
    """An environment of templates that `read` finds by name. Every expression is made visible, then
    escaped, unless it is markup of our own."""
    templates = Environment(
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else visible(str(value)),
        loader=FunctionLoader(read),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    templates.filters |= {
        "number": text.number,
        "percent": text.percent,
        "points": text.points,
        "probability": text.probability,
    }
    return templates
