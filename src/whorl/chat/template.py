"""Chat templates: Jinja text that makes of a conversation what a model reads.

They come with models, from anywhere. They run in Jinja's sandbox, see plain strings and numbers
alone, and no clock: a date that they print is the one that `frozen` wrote into them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any, TypeAlias

from jinja2 import Template as Compiled
from jinja2 import TemplateError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

Message: TypeAlias = Mapping[str, object]
"""`role` and `content`: a string, or a list of parts for templates that take no string."""

DAY = date(2024, 7, 26)
"""What day a template is told that it is, unless another one is set: the one that Llama 3's own
templates fall back to. So a prompt is the same tomorrow."""

_CLOCK = re.compile(r"strftime_now\(\s*([\"'])(?P<form>(?:(?!\1).)*)\1\s*\)")
_GIVEN = {"messages", "tools", "documents", "add_generation_prompt"}


class Template:
    """A chat template.

    source: Jinja text.
    tokens: a model's special tokens by their names, as `bos_token`, which the text may use.
    """

    def __init__(self, source: str, tokens: Sequence[tuple[str, str]] = ()) -> None:
        self.source = source
        self.tokens = tokens

    @cached_property
    def _compiled(self) -> Compiled:
        # not before it is needed: compiling computes what is constant, however large
        return _environment().from_string(self.source)

    def render(self, messages: Sequence[Message], *, opened: bool) -> str:
        """The text of a conversation. opened: up to where the assistant begins to speak.

        Raises `jinja2.TemplateError`, or whatever else a faulty template comes to, and takes what
        time and memory it takes: see `renderer`.
        """
        return self._compiled.render(
            messages=[dict(message) for message in messages],
            tools=None,
            documents=None,
            add_generation_prompt=opened,
            **dict(self.tokens),
        )


def frozen(source: str, day: date = DAY) -> str:
    """The template with `day` written wherever it would look at the clock."""
    return _CLOCK.sub(lambda call: json.dumps(day.strftime(call["form"])), source)


def told(source: str, values: Mapping[str, object]) -> str:
    """The template with some of its `variables` set for good. Whoever uses it later, another
    program included, gets the same prompts."""
    lines = (f"{{% set {name} = {_literal(value)} %}}\n" for name, value in values.items())
    return "".join(lines) + source  # Jinja takes the line break after a statement away


def variables(source: str) -> frozenset[str]:
    """Names that a template looks at beside the conversation, such as `enable_thinking`. Raises
    `jinja2.TemplateError` if it cannot be read, and takes what it takes, as `Template.render`: what
    is constant in it is computed."""
    made = _environment()
    found = meta.find_undeclared_variables(made.parse(source)) - made.globals.keys() - _GIVEN
    return frozenset(name for name in found if not name.endswith("_token"))


def _literal(value: object) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


class _Generation(Extension):
    """`{% generation %}`, by which training frameworks mark what the assistant says."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's own way)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Dict:
    """`dict` as far as templates may have it: a type would lead out of the sandbox."""

    def __call__(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict(*args, **values)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(Namespace):
    """`namespace` without names that Python keeps for itself, for the same reason."""

    def __init__(*args: Any, **values: Any) -> None:
        self, *given = args
        Namespace.__init__(self, {})
        for name, value in dict(*given, **values).items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if str(name).startswith("_"):
            raise SecurityError(f"a namespace has no place for {name!r}")
        super().__setitem__(name, value)


def _environment() -> ImmutableSandboxedEnvironment:
    """As transformers has it."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    made.filters["tojson"] = _tojson
    made.globals |= {"dict": _Dict(), "namespace": _Namespace, "raise_exception": _refuse}
    made.globals["strftime_now"] = DAY.strftime  # where `frozen` did not recognise the call
    return made


def _tojson(value: object, **how: Any) -> str:
    """Jinja's own escapes what HTML gives a meaning."""
    return json.dumps(value, **{"ensure_ascii": False, **how})


def _refuse(message: str) -> str:
    raise TemplateError(message)
