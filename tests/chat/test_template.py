"""Rendering: as transformers does it, without a clock, with settings that last."""

from datetime import date

import pytest
from tests.chat.conftest import Make

from whorl.chat import Chat
from whorl.chat.template import Template, frozen, told, variables

SAID = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "<2>"}]
LOOP = "{% for m in messages %}"
DATED = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% else %}never{% endif %}"


@pytest.mark.parametrize(
    "source",
    [
        LOOP + "{{ m.content | tojson }}{% if loop.last %}{% break %}{% endif %}\n{% endfor %}",
        "{%- set n = namespace(i=0) %}" + LOOP + "{% set n.i = n.i + 1 %}{{ n.i }}{% endfor %}",
        LOOP + "\n  {% generation %}{{ m['content'] }}{% endgeneration %}\n{% endfor %}",
        "{{ tools is none }}{{ bos_token is defined }}{{ dict(a=1).a }}{{ messages | tojson }}",
        "{% if add_generation_prompt %}open{% endif %}{{ messages[0]['content'].split('+')[0] }}",
    ],
)
@pytest.mark.parametrize("opened", [False, True])
def test_as_transformers_renders_it(tokenizer: Make, source: str, opened: bool) -> None:
    theirs = tokenizer(source).apply_chat_template(
        SAID, tokenize=False, add_generation_prompt=opened
    )
    assert Template(source, (("eos_token", "</s>"),)).render(SAID, opened=opened) == theirs


def test_a_date_is_the_same_tomorrow() -> None:
    fixed = frozen(DATED)
    assert "strftime_now(" not in fixed
    assert Template(fixed).render(SAID, opened=True) == "26 Jul 2024"
    another = frozen(DATED, date(2026, 11, 28))
    assert Template(another).render(SAID, opened=True) == "28 Nov 2026"
    unseen = "{% set form = '%Y' %}{{ strftime_now(form) }}"  # not written out, and no clock either
    assert Template(frozen(unseen)).render(SAID, opened=True) == "2024"


def test_a_date_is_saved_with_the_template(tokenizer: Make) -> None:
    made = tokenizer(
        "{% for m in messages %}" + DATED + "{{ m.content }}{{ eos_token }}{% endfor %}"
    )
    assert "26 Jul 2024" in Chat(made).tokenizer.chat_template


def test_settings_last_and_change_nothing_else() -> None:
    source = "\n{% if think is defined and think is false %}quick{% endif %}{{ effort }}|"
    assert variables(source) == {"think", "effort"}
    settled = told(source, {"think": False, "effort": 'low"'})
    assert variables(settled) == frozenset()
    assert Template(settled).render(SAID, opened=True) == '\nquicklow"|'
    assert Template(told(source, {})).render(SAID, opened=True) == "\n|"


def test_what_a_template_looks_at() -> None:
    known = "{{ messages }}{{ tools }}{{ bos_token }}{{ strftime_now('') }}{{ raise_exception }}"
    assert variables(known + "{% if enable_thinking %}{% endif %}") == {"enable_thinking"}
