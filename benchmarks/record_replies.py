"""Record what chat models write as solvers, critics, revisers and reflectors, through the prompts
and engines of a run, for tests/prompts/recorded_replies.jsonl.gz.

    .venv/bin/python benchmarks/record_replies.py FOLDER --problems TRAIN... --out replies.jsonl

FOLDER holds the folders `smollm2-135m`, `qwen-0.5b` and `qwen-1.5b`; TRAIN are files of training
problems, GSM8K's and MATH's for the fixture. What critics are shown is qwen-0.5b's, every fourth
time SmolLM2's. Even numbers are asked greedily, odd ones at 0.7. Replies that are there already are
not asked for again. A row: [key, seed, model, kind, problem, temperature, max_tokens,
finished, text, step (what a critic, a reviser or a reflector was shown), prefix (a reviser, before
the step)].
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from whorl import prompts
from whorl.answer import compare, extract
from whorl.ask import Ask, Asking, Prompt, Reply
from whorl.data.problems import read_problems
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.problem import Problem
from whorl.prompts import Candidate
from whorl.prompts.wording import SETS
from whorl.steps import BlankLine

Row = dict[str, object]
MODELS = ("smollm2-135m", "qwen-0.5b", "qwen-1.5b")
SOLVED = {"smollm2-135m": 14, "qwen-0.5b": 24, "qwen-1.5b": 8}
"""Solutions of each model; there are fourteen problems."""
ASKED = {
    "smollm2-135m": {
        "step": 20,
        "step in prose": 16,
        "path": 10,
        "path in prose": 6,
        "reflect": 12,
    },
    "qwen-0.5b": {"step": 18, "step in prose": 12, "path": 6, "path in prose": 2, "reflect": 8},
    "qwen-1.5b": {"step": 2, "step in prose": 1},
}
"""Critiques, each with the revision that follows, and reflections of each model."""
TOKENS = {"solve": 320, "critique": 176, "revise": 176, "path": 288, "reflect": 240}


@dataclass(frozen=True)
class Shown:
    """A solution that is shown to critics, and another one of the same problem."""

    problem: Problem
    steps: tuple[str, ...]
    others: tuple[str, ...]
    q: float
    other_q: float


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--problems", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--engine", default="openvino:{}?weights=int8", help="{} is the folder")
    given = parser.parse_args()
    problems = [problem for path in given.problems for problem in chosen(path)]
    for ask in (solving, remarking):
        for model in given.models:
            rows = read(given.out)
            done = {row["key"] for row in rows}
            wanted = [(k, s) for k, s in ask(model, problems, rows) if k not in done]
            if not wanted:
                continue
            engine = open_engine(given.engine.format(given.folder / model), processes=0)
            roles = dict.fromkeys(("policy", "critic", "reviser"), engine)
            with given.out.open("a", encoding="utf-8") as out:
                for ended in drive(wanted, roles, seed=0):
                    if ended.error:
                        print(f"{ended.key}: {ended.error}")
                    for row in ended.result or ():
                        said = {"key": ended.key, "seed": 0, "model": model, **row}
                        print(json.dumps(said, ensure_ascii=False, sort_keys=True), file=out)
                    out.flush()
            engine.close()


def chosen(path: Path) -> list[Problem]:
    """Seven problems of a file, drawn with a fixed seed."""
    return Random(0).sample(list(read_problems(path)), 7)


def read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def solving(
    model: str, problems: Sequence[Problem], rows: Sequence[Row]
) -> Iterator[tuple[str, Asking[list[Row]]]]:
    """Solutions, under the words of the house and, every second time, under Qwen's."""
    for number in range(SOLVED[model]):
        problem = problems[number % len(problems)]
        words = SETS["whorl" if number // 2 % 2 else "qwen"]
        prompt = prompts.solve(problem.question, words)
        yield f"{model}/solve/{number}", solved(problem, prompt, number)


def solved(problem: Problem, prompt: Prompt, number: int) -> Asking[list[Row]]:
    ask = Ask(prompt, max_tokens=TOKENS["solve"], temperature=heat(number))
    ((reply,),) = yield [ask]
    return [row("solve", problem, ask, reply)]


def remarking(
    model: str, problems: Sequence[Problem], rows: Sequence[Row]
) -> Iterator[tuple[str, Asking[list[Row]]]]:
    """Critiques with the revisions that follow, and reflections."""
    for kind, count in ASKED[model].items():
        for number in range(count):
            shown = picked(problems, rows, number, wrong=kind == "reflect")
            asking = {"step": of_step, "path": of_path, "reflect": reflected}[kind.split()[0]]
            yield f"{model}/{kind}/{number}", asking(shown, number, kind)


def picked(problems: Sequence[Problem], rows: Sequence[Row], number: int, *, wrong: bool) -> Shown:
    """The solution shown under this number: every fourth time SmolLM2's; a `wrong` one."""
    author = "smollm2-135m" if number % 4 == 3 else "qwen-0.5b"
    found = [
        shown
        for problem in problems
        if (shown := of_problem(problem, rows, author)) is not None and (shown.q < 0 or not wrong)
    ]
    return found[(5 * number) % len(found)]


def of_problem(problem: Problem, rows: Sequence[Row], author: str) -> Shown | None:
    """Its first solution by `author` and, as its sibling, another one by the small models."""
    texts = {
        str(row["key"]): str(row["text"])
        for row in rows
        if row["kind"] == "solve" and row["problem"] == problem.id and row["model"] != MODELS[-1]
    }
    first = min((key for key in texts if key.startswith(author)), default="")
    if not texts.get(first, "").strip():
        return None
    rest = [texts[key] for key in sorted(texts) if texts[key] != texts[first]]
    steps, others = (tuple(BlankLine().split(text)) for text in (texts[first], *rest[:1], "")[:2])
    q, other_q = (outcome(problem, "".join(own)) for own in (steps, others))
    return Shown(problem, steps, others, q, other_q)


def outcome(problem: Problem, text: str) -> float:
    answer = extract(text)
    return 1.0 if answer is not None and compare(problem.answer, answer).right else -1.0


def of_step(shown: Shown, number: int, kind: str) -> Asking[list[Row]]:
    """One step, criticised and then revised, as SIGMA does."""
    problem, words = shown.problem, SETS["prose" if "prose" in kind else "whorl"]
    at = number % len(shown.steps)
    step, prefix = shown.steps[at], "".join(shown.steps[:at])
    siblings = [Candidate(shown.others[at], shown.other_q)] if at < len(shown.others) else []
    own = Candidate(step, shown.q)
    prompt = prompts.critique_step(problem.question, prefix, own, siblings, words=words)
    ask = Ask(prompt, "critic", max_tokens=TOKENS["critique"], temperature=heat(number))
    ((said,),) = yield [ask]
    prompt = prompts.revise_step(problem.question, prefix, step, said.text, words=words)
    again = Ask(prompt, "reviser", max_tokens=TOKENS["revise"], temperature=heat(number))
    ((revised,),) = yield [again]
    critique = "critique-prose" if "prose" in kind else "critique"
    return [
        row(critique, problem, ask, said, step=step),
        row("revise", problem, again, revised, step=step) | {"prefix": prefix},
    ]


def of_path(shown: Shown, number: int, kind: str) -> Asking[list[Row]]:
    """A whole path, criticised and then revised, as SIGMA's released script does."""
    problem, words = shown.problem, SETS["prose" if "prose" in kind else "whorl"]
    steps = [Candidate(step, shown.q) for step in shown.steps]
    siblings = [[Candidate(other)] for other in shown.others[: len(steps)]]
    siblings += [[] for _ in steps[len(siblings) :]]
    prompt = prompts.critique_path(problem.question, steps, siblings, words=words)
    ask = Ask(prompt, "critic", max_tokens=TOKENS["path"], temperature=heat(number))
    ((said,),) = yield [ask]
    prompt = prompts.revise_path(problem.question, shown.steps, said.text, words=words)
    again = Ask(prompt, "reviser", max_tokens=TOKENS["path"], temperature=heat(number))
    ((revised,),) = yield [again]
    critique = "critique-path-prose" if "prose" in kind else "critique-path"
    path = "".join(shown.steps)
    return [
        row(critique, problem, ask, said, step=path),
        row("revise-path", problem, again, revised, step=path),
    ]


def reflected(shown: Shown, number: int, kind: str) -> Asking[list[Row]]:
    """A wrong solution, reflected on and solved again, as SPHERE's second stage does."""
    text = "".join(shown.steps)
    prompt = prompts.reflect(shown.problem.question, text)
    ask = Ask(prompt, max_tokens=TOKENS["reflect"], temperature=heat(number))
    ((reply,),) = yield [ask]
    return [row("reflect", shown.problem, ask, reply, step=text)]


def heat(number: int) -> float:
    return 0.7 if number % 2 else 0.0


def row(kind: str, problem: Problem, ask: Ask, reply: Reply, *, step: str = "") -> Row:
    shown = {"step": step} if step else {}
    return {
        "kind": kind,
        "problem": problem.id,
        "temperature": ask.temperature,
        "max_tokens": ask.max_tokens,
        "finished": reply.finished,
        "text": reply.text,
        **shown,
    }


if __name__ == "__main__":
    main()
