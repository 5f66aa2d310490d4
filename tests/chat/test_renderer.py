"""Rendering within limits: whatever a template does to one conversation, the next is rendered."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from whorl.chat.renderer import Renderer, renderer
from whorl.chat.template import Template

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
MEAN = (
    "{% set said = messages[0].content %}"
    "{% if said == 'loop' %}" + LOOP + "{% endif %}"
    "{% if said == 'eat' %}{{ said * 10000000000 }}{% endif %}"
    "{% if said == 'write' %}{{ said * 10000000 }}{% endif %}"
    "{% if said == 'fail' %}{{ messages[7].content }}{% endif %}"
    "you said {{ said }}"
)
"""A template that behaves until it is told a certain word."""


def said(words: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": words}]


def test_a_template_that_turns_mean_later_is_stopped_and_goes_on() -> None:
    mean = Renderer(MEAN)
    expected = {
        "loop": "it takes more than a second",
        "eat": "it takes more than 1,024 MiB of memory",
        "write": "it makes 50,000,014 characters",
        "fail": "has no element 7",
    }
    for words, why in expected.items():
        assert mean.render(said("hello"), opened=True).text == "you said hello"
        begun = time.monotonic()
        outcome = mean.render(said(words), opened=True)
        assert outcome.text == "" and why in outcome.error
        assert time.monotonic() - begun < 90
    assert mean.render(said("hello"), opened=True).text == "you said hello"


def test_what_is_rendered_is_what_the_template_renders() -> None:
    words = "half a pair \ud800, a null \x00, and \u2028 " * 1000
    told = renderer(MEAN).render(said(words), opened=False)
    assert told.text == Template(MEAN).render(said(words), opened=False)


def test_what_is_constant_in_a_template_is_computed_within_limits_too() -> None:
    found = Renderer("{{ 7 ** (7 ** 11) }}{{ other }}").variables()
    assert found.error == "it takes more than a second"
    assert Renderer("{% if a %}{{ b }}{% endif %}{{ messages }}").variables().text == "a\nb"


def test_a_renderer_that_is_killed_is_started_again() -> None:
    made = Renderer(MEAN)
    assert made.render(said("a"), opened=True).text
    for _ in range(4):
        assert made._child is not None
        os.kill(made._child.process.pid, signal.SIGKILL)
        assert made.render(said("b"), opened=True).text == "you said b"


def test_threads_and_forks_share_a_renderer() -> None:
    made = Renderer(MEAN)
    with ThreadPoolExecutor(8) as pool:
        texts = pool.map(lambda n: made.render(said(str(n)), opened=True).text, range(200))
        assert list(texts) == [f"you said {n}" for n in range(200)]
    child = os.fork()
    if not child:
        same = made.render(said("child"), opened=True).text == "you said child"
        assert made._child is not None
        made._child.end()
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert made.render(said("parent"), opened=True).text == "you said parent"


@pytest.mark.parametrize("end", ["pass", "import os; os.kill(os.getpid(), 9)"])
def test_the_process_goes_with_its_parent(end: str) -> None:
    program = (
        "from whorl.chat.renderer import renderer\n"
        "made = renderer('hello')\n"
        "made.render([], opened=True)\n"
        "print(made._child.process.pid, flush=True)\n" + end
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    until = time.monotonic() + 20
    while os.path.exists(f"/proc/{int(done.stdout)}") and time.monotonic() < until:
        with open(f"/proc/{int(done.stdout)}/status") as status:
            if "\nState:\tZ" in status.read():  # ended; whoever adopted it has not looked yet
                return
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{int(done.stdout)}")
