"""A world without a model: adding numbers, with a policy that slips and a critic that may see it.

Everything is answered from the ask alone, seed included, so a search over it can be repeated. A
policy that is to think first adds in its thought too.
For tests, benchmarks and first steps: `Function(answer)` is an engine for every role but `judge`.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from whorl.answer.thoughts import CLOSE, inside, thinks, without_thoughts
from whorl.ask import Ask, Replies, Reply
from whorl.problem import Problem
from whorl.prompts import CORRECTED
from whorl.prompts.critique import Critique, write_critique, write_critiques
from whorl.prompts.thinking import STOP

SLIP = 0.25  # of the policy, per step
SMALL_SLIP = 0.4  # of the small policy
OVERSIGHT = 0.1  # of the critic, of the reviser and of the process reward model, per reply


def problems(count: int, *, terms: int = 4, seed: int = 0) -> Iterator[Problem]:
    """`count` problems, each to add `terms` numbers below 50."""
    for number in range(count):
        rng = Random(f"{seed}/{number}")
        numbers = [rng.randrange(1, 50) for _ in range(terms)]
        question = f"Add {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}."
        yield Problem(f"toy/{seed}/{number}", question, str(sum(numbers)), source="toy")


def answer(ask: Ask) -> Replies:
    """Replies of the role asked. Raises ValueError for a prompt that is none of `prompts`."""
    if ask.given:
        return (_read(ask),)
    samples = (Random(f"{ask.seed}/{sample}") for sample in range(ask.n))
    if thinks(ask.prompt.prefix):
        return tuple(_think(ask, rng) for rng in samples)
    if ask.role == "critic":
        return tuple(_reply(_criticise(ask.prompt.user, rng)) for rng in samples)
    if ask.prompt.user.endswith(("Rewrite the next step.", "Rewrite the solution.")):
        return tuple(_reply(_revise(ask.prompt.user, rng)) for rng in samples)
    if ask.role == "prm":
        return tuple(_score(ask.prompt.prefix, rng) for rng in samples)
    if CORRECTED in ask.stop:
        return tuple(_reply(_reflect(ask.prompt.user), "stop") for _ in samples)
    return tuple(_solve(ask, rng) for rng in samples)


def _read(ask: Ask) -> Reply:
    """How likely the words of a text are, and its end: those of a step that is right likely, those
    of another not."""
    assert ask.given is not None
    numbers = _numbers(ask.prompt.user)
    written = [step for step in ask.prompt.prefix.split("\n\n") if step]
    logprobs: list[float] = []
    for step in filter(None, ask.given.text.split("\n\n")):
        right = step == _next_step(numbers, written, Random(0), 0.0)
        logprobs += [-0.1 if right else -2.0] * len(step.split())
        written.append(step)
    logprobs += [-0.1] * ask.given.ended
    total = round(sum(logprobs), 6)
    return Reply("", "stop", len(logprobs), logprob=total, logprobs=tuple(logprobs))


def _solve(ask: Ask, rng: Random) -> Reply:
    """Continue the solution by one step if asked to stop at one, else to its end."""
    numbers = _numbers(ask.prompt.user)
    solution = without_thoughts(ask.prompt.prefix).rpartition(CORRECTED)[2]
    written = [step for step in solution.split("\n\n") if step]
    slip = SMALL_SLIP if ask.role == "small" else SLIP
    steps: list[str] = []
    while True:
        steps.append(_next_step(numbers, written + steps, rng, slip))
        ended = "boxed" in steps[-1]
        if ended or ask.stop:
            return _reply("\n\n".join(steps), "eos" if ended else "stop")


def _think(ask: Ask, rng: Random) -> Reply:
    """Go on within a thought: a sum a paragraph, then its end, and the solution unless the ask
    stops there."""
    numbers = _numbers(ask.prompt.user)
    *written, begun = ("\n\n" + inside(ask.prompt.prefix)).split("\n\n")
    if begun.endswith("."):
        written, begun = [*written, begun], ""
    written = [paragraph for paragraph in written if paragraph]
    parts: list[str] = []
    while len(written) + len(parts) + 1 < len(numbers):
        paragraph = f"Hm, {_next_step(numbers, written + parts, rng, SLIP)}"
        parts.append(paragraph if parts else paragraph.removeprefix(begun))
        if "\n\n" in ask.stop:
            return _cut(ask, "\n\n".join(parts), "stop")
    text = "\n\n".join(parts)
    if STOP in ask.stop:
        return _cut(ask, text, "stop")
    if "\n\n" in ask.stop:
        return _cut(ask, STOP, "stop")
    solved = _solve(replace(ask, prompt=replace(ask.prompt, prefix="")), rng)
    return _cut(ask, f"{text}{CLOSE}{solved.text}", solved.finished)


def _cut(ask: Ask, text: str, finished: str) -> Reply:
    """A reply, of so many words at most as the ask wants tokens; each is as unlikely as it is
    long."""
    words = re.findall(r"\s*\S+", text)
    whole = len(words) <= ask.max_tokens
    kept = "".join(words[: ask.max_tokens])
    reply = _reply(text if whole else kept, finished)
    logprob = -sum(len(word.strip()) for word in words[: ask.max_tokens]) / 10
    return replace(reply, finished=reply.finished if whole else "length", logprob=logprob)


def _criticise(user: str, rng: Random) -> str:
    numbers = _numbers(user)
    if user.endswith("Review every step."):
        steps = re.findall(r"^Step \d+: (.*?)(?: \[Q .*)?$", user, re.MULTILINE)
        right: list[str] = []
        for _ in steps:
            right.append(_next_step(numbers, right, rng, 0.0))
        return write_critiques([_compare(s, r) for s, r in zip(steps, right, strict=True)])
    if rng.random() < OVERSIGHT:
        return "A very good step!"
    before, step = _between(user, "Solution so far:\n", "\n\nNext step: ", "\n\nAlternatives:")
    return write_critique(_compare(step.partition(" [Q")[0], _next_step(numbers, before, rng, 0.0)))


def _compare(step: str, right: str) -> Critique:
    if step == right:
        return Critique(expected=right, verdict="keep")
    return Critique(expected=right, errors=(step,), suggestion=f"write {right}", verdict="edit")


def _revise(user: str, rng: Random) -> str:
    numbers = _numbers(user)
    slip = OVERSIGHT if rng.random() < OVERSIGHT else 0.0
    if user.endswith("Rewrite the solution."):
        steps: list[str] = []
        while not (steps and "boxed" in steps[-1]):
            steps.append(_next_step(numbers, steps, rng, slip))
        return "\n\n".join(steps)
    before, step = _between(user, "Solution so far:\n", "\n\nNext step: ", "\n\nCritique:")
    return step if slip else _next_step(numbers, before, rng, 0.0)


def _score(solution: str, rng: Random) -> Reply:
    """High if every sum so far is right and low if not, or the other way round by oversight."""
    sound = _first_error(solution) is None
    if rng.random() < OVERSIGHT:
        sound = not sound
    return Reply(value=round(rng.uniform(0.6, 1.0) if sound else rng.uniform(0.0, 0.4), 3))


def _reflect(user: str) -> str:
    return f"The first error is {_first_error(user) or 'not a sum'}.\n\n"


def _first_error(solution: str) -> str | None:
    sums = re.finditer(r"(\d+) \+ (\d+) = (\d+)", solution)
    return next((s[0] for s in sums if int(s[1]) + int(s[2]) != int(s[3])), None)


def _next_step(numbers: list[int], written: list[str], rng: Random, slip: float) -> str:
    """The step after `written`; with probability `slip` its sum is off by one."""
    sums = [int(value) for step in written for value in re.findall(r"= (-?\d+)", step)]
    total = sums[-1] if sums else numbers[0]
    if len(sums) + 1 >= len(numbers):
        return f"The answer is \\boxed{{{total}}}."
    term = numbers[len(sums) + 1]
    off = rng.choice((-1, 1)) if rng.random() < slip else 0
    return f"Adding {term} to {total} gives {total} + {term} = {total + term + off}."


def _between(user: str, first: str, second: str, third: str) -> tuple[list[str], str]:
    match = re.search(f"{first}(.*){second}(.*?){re.escape(third)}", user, re.DOTALL)
    if match is None:
        raise ValueError(f"not a prompt of ours: {user!r}")
    before = [] if match[1] == "none" else [step for step in match[1].split("\n\n") if step]
    return before, match[2]


def _numbers(user: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", user.splitlines()[0])]


def _reply(text: str, finished: str = "eos") -> Reply:
    return Reply(text, "stop" if finished == "stop" else "eos", tokens=len(text.split()))
