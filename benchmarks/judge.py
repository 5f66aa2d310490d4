"""Verdicts: how often they are right, how fast they come, and what hostile answers do to them.

Accuracy is measured on the equivalence pairs of the shared data, which other projects' test suites
and graders label. Its core leaves out pairs whose label depends on a convention, is disputed, or
that are hostile. Free text is read twice: with `--guess`, as the graders that made the labels read
it, and without, as rewards are given. math-verify is called plainly on the same pairs.

`--recorded` replays recorded solutions and prints every grade that differs from the recorded one.

The last line is one JSON object:

core_accuracy: agreement with the labels of the core; at least 0.99.
false_positives: pairs judged right against their label, outside the conventions of `EXPLAINED`.
fast_per_s: verdicts per CPU-second that arithmetic settles, on answers of real models.
pool_vs_sequential: verdicts per wall second of two judges over those of math-verify in sequence,
    sympy loaded, on distinct answers of real models; `algebra_pool_vs_sequential` is the same for
    those that take algebra alone, loading sympy included on both sides.
hostile_ok: whether each hostile answer was not right, came in time, ran nothing, and left the
    memory of this process and its judges as it was.
lost_workers: judges that died over 10,000 fuzzed answers.
perturbed_pairs, perturbed_false_positives: golds of the shared sets with one character changed, and
    how many of these were judged right that are not the same by a second way (`otherwise.py`).
cases_right: verdicts as expected, of all pairs in the file of cases.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from otherwise import explained
from perturbed import perturbed
from whorl.answer import compare, extract, read
from whorl.ask import Ask, Prompt
from whorl.engines.judge import Judgement, Judges

DEADLINE = 2.0
SLACK = 0.5  # seconds in which a kill must have been noticed on a loaded machine
EXPLAINED = {
    "ordered-list": "lists are unordered unless `lists` says otherwise",
    "unreduced-fraction": "2/4 is 1/2",
    "relation-vs-set": "a relation stands for its set unless `intervals` says otherwise",
    "strict-parse": "a formula is a formula in $...$ and in \\(...\\)",
    "disputed": "the values are equal",
}
Pair = tuple[str, str | None]
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--recorded", action="store_true", help="replay recorded grades, no more")
    parser.add_argument("--perturbed", type=int, default=50_000, help="golds changed at least")
    parser.add_argument("--fuzz", type=int, default=10_000, help="fuzzed answers")
    options = parser.parse_args()
    if options.recorded:
        print(json.dumps(replay(options.data / "recorded")))
        return
    found = accuracy(options.data / "equivalence/test.jsonl")
    found |= speed(options.data / "recorded")
    found |= hostility()
    found |= hanging()
    found |= fuzzed(options.fuzz)
    found |= cases(options.data.parent / "cases" / "pairs.jsonl")
    found |= perturbation(options.data, options.perturbed)
    print(json.dumps(found))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def judged(pairs: Iterable[Pair], workers: int = 2) -> list[Judgement]:
    judges = started(workers)
    try:
        return list(judges.judge(pairs))
    finally:
        judges.close()


def started(workers: int, deadline: float = DEADLINE) -> Judges:
    """Judges that have loaded sympy, as this process will have when math-verify is timed in it."""
    judges = Judges(workers, deadline)
    list(judges.judge([(f"\\sqrt{{{4 * k}}}", f"2\\sqrt{{{k}}}") for k in range(2, 2 + workers)]))
    return judges


# Accuracy


def accuracy(path: Path) -> dict[str, Any]:
    pairs = lines(path)
    core = [not (pair["policy"] or pair["hostile"] or pair["disputed"]) for pair in pairs]
    found: dict[str, Any] = {"core": sum(core)}
    false_positives = 0
    for name, guess in (("core_accuracy", True), ("core_accuracy_stated_only", False)):
        verdicts = judged(given_as(pair, guess) for pair in pairs)
        agree = [v.value == 1.0 for v in verdicts]
        right = [a == pair["expected"] for a, pair in zip(agree, pairs, strict=True)]
        found[name] = round(share(right, core), 4)
        for pair, verdict, ok, is_core in zip(pairs, verdicts, right, core, strict=True):
            wrongly_right = not ok and verdict.value == 1.0
            conventions = pair["policy"] + (["disputed"] if pair["disputed"] else [])
            explained = [EXPLAINED[c] for c in conventions if c in EXPLAINED]
            false_positives += wrongly_right and not explained
            if wrongly_right or (guess and is_core and not ok):
                why = "; ".join(explained) or verdict.reason
                print(
                    f"{name}: {pair['id']}: label {pair['expected']}, judged {verdict.value}: {why}"
                )
        undecided = sum(v.value is None and c for v, c in zip(verdicts, core, strict=True))
        found[f"undecided_{'guessed' if guess else 'stated_only'}"] = undecided
        if guess:
            outside = Counter(
                (policy, ok)
                for pair, ok, is_core in zip(pairs, right, core, strict=True)
                for policy in (() if is_core else pair["policy"] or ["disputed or hostile"])
            )
            for policy in sorted({policy for policy, _ in outside}):
                total = outside[policy, True] + outside[policy, False]
                print(f"{policy}: {outside[policy, True]} of {total} labels agree")
    found["false_positives"] = false_positives
    for name, wrap in (("math_verify", False), ("math_verify_in_dollars", True)):
        right = [
            plainly(pair["gold"], pair["prediction"], wrap and pair["kind"] == "answer")
            == pair["expected"]
            for pair in pairs
        ]
        found[name] = round(share(right, core), 4)
    return found


def given_as(pair: dict[str, Any], guess: bool) -> Pair:
    gold, answer = pair["gold"], pair["prediction"]
    if pair["kind"] == "answer":
        return gold, answer
    return extract(gold) or gold, read(answer, gold, guess=guess)


def share(right: Sequence[bool], of: Sequence[bool]) -> float:
    return sum(r and o for r, o in zip(right, of, strict=True)) / sum(of)


def plainly(gold: str, answer: str, wrap: bool = False) -> bool:
    """math-verify as its documentation calls it; what it raises is not right."""
    from math_verify import parse, verify

    if wrap and "$" not in gold + answer:
        gold, answer = f"${gold}$", f"${answer}$"
    try:
        return bool(verify(parse(gold), parse(answer)))
    except Exception:
        return False


# Speed


def speed(recorded: Path) -> dict[str, Any]:
    pairs = real_answers(recorded)
    settled = [pair for pair in pairs if compare(*pair).right is not None]
    rewritten = [pair for pair in settled if not all(side.isdigit() for side in pair)]
    distinct = list(dict.fromkeys(pairs))
    algebra = [pair for pair in distinct if compare(*pair).right is None]
    starting, judges = timed(lambda: started(2))
    pooled, verdicts = timed(lambda: list(judges.judge(distinct)))
    judges.close()
    ours = [verdict.value == 1.0 for verdict in verdicts]
    plainly("1", "2")
    plain, theirs = timed(lambda: [plainly(gold, answer, True) for gold, answer in distinct])
    pooled_algebra, _ = timed(lambda: judged(algebra))
    plain_algebra, _ = timed(lambda: in_a_new_process(algebra))
    return {
        "fast_share": round(len(settled) / len(pairs), 4),
        "fast_per_s": round(per_second(settled)),
        "fast_rewritten_per_s": round(per_second(rewritten)),
        "batch": len(distinct),
        "judges_start_s": round(starting, 2),
        "pool_per_s": round(len(distinct) / pooled, 1),
        "sequential_per_s": round(len(distinct) / plain, 1),
        "pool_vs_sequential": round(plain / pooled, 2),
        "verdicts_that_differ": sum(o != t for o, t in zip(ours, theirs, strict=True)),
        "algebra": len(algebra),
        "algebra_per_s": round(len(algebra) / pooled_algebra, 1),
        "algebra_pool_vs_sequential": round(plain_algebra / pooled_algebra, 2),
    }


def timed(run: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    found = run()
    return time.perf_counter() - started, found


def in_a_new_process(pairs: Sequence[tuple[str, str]]) -> None:
    """math-verify in sequence, loaded anew, as the judges are: it remembers what it has parsed."""
    code = (
        "import json, sys; from math_verify import parse, verify\n"
        "for gold, answer in json.load(sys.stdin):\n"
        "    try: verify(parse(f'${gold}$'), parse(f'${answer}$'))\n"
        "    except Exception: pass\n"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, input=json.dumps(pairs), text=True, check=True, capture_output=True)


def real_answers(recorded: Path) -> list[tuple[str, str]]:
    """Gold answers and what models answered, from every recorded file that has both."""
    pairs = []
    for path in sorted(recorded.glob("*.jsonl")):
        for line in lines(path):
            text = "\n\n".join(s for s in line.get("steps") or () if isinstance(s, str))
            answer = extract(text)
            if line.get("answer") and answer:
                pairs.append((line["answer"], answer))
    return pairs


def per_second(pairs: Sequence[tuple[str, str]]) -> float:
    """Best of five passes, in CPU time."""
    best = float("inf")
    for _ in range(5):
        begun = time.process_time()
        for pair in pairs:
            compare(*pair)
        best = min(best, time.process_time() - begun)
    return len(pairs) / best


# Hostile answers

INJECTED = (
    "__import__('os').system('touch marker')",
    "open('marker', 'w')",
    "(lambda: open('marker', 'w'))()",
    r"\input{/etc/passwd}",
    r"\immediate\write18{touch marker}",
    r"\openout1=marker \write1{x}",
)
ENDLESS = r"\sum_{k=1}^{3000}\sum_{j=1}^{3000} \sin(k j)"
BOMBS = (
    ENDLESS,
    "10**10**10",
    "10^{10^{10}}",
    "9^{9^{9^9}}",
    "(10^9)!",
    r"\binom{10^6}{5 \cdot 10^5}",
    r"7^{10^9} \bmod 13",
    r"\sum_{k=1}^{1000000} \frac{1}{k^2+\sin k}",
    r"\int_0^\infty \frac{\sin(x^x)}{x^{\ln x}} dx",
    "(x+1)^{100000}",
    "(" * 900 + "x" + ")" * 900,
    r"\sqrt{" * 280 + "2" + "}" * 280,
    r"\frac{1}{" * 200 + "2" + "}" * 200,
    "{" * 10_000 + "5" + "}" * 10_000,
    r"\boxed{" * 10_000 + "5" + "}" * 10_000,
    "9" * 1_000_000,
    "x" * 1_000_000,
    "$" * 1_000_000,
    "1," * 500_000,
    r"answer is \[" * 80_000,
    "\udcff\udcfe\x00\ud800",
    b"\xff\xfe\x00\x80 5".decode("utf-8", "surrogateescape"),
    "",
    "\x00" * 1_900,
)


def hostility() -> dict[str, Any]:
    """Each as an answer to a gold answer that takes algebra, so that it reaches a judge."""
    ok, slowest = True, 0.0
    with tempfile.TemporaryDirectory() as folder, in_folder(folder):
        judges = started(1, 1.0)
        before = memory(judges)
        for hostile in INJECTED + BOMBS:
            begun = time.process_time()
            read(hostile, guess=True)
            reading = time.process_time() - begun
            texts = [hostile, f"The answer is {hostile}", f"\\boxed{{{hostile}}}"]
            found = list(judges.judge([(r"\frac{\pi}{7}", extract(t) or t) for t in texts]))
            slowest = max(slowest, *(judgement.seconds for judgement in found))
            fine = all(j.value != 1.0 and j.seconds < 1.0 + SLACK for j in found) and reading < 1.0
            if not fine:
                print(f"hostile: {hostile[:40]!r}: {found}, {reading:.1f} s to read")
            ok &= fine
        (last,) = judges.judge([(r"\sqrt{12}", r"2\sqrt{3}")])
        grown = [after - earlier for after, earlier in zip(memory(judges), before, strict=True)]
        ok &= last.value == 1.0 and not os.listdir(folder) and max(grown) < 100 << 20
        judges.close()
    return {
        "hostile_ok": ok,
        "hostile": len(INJECTED + BOMBS),
        "hostile_slowest_s": round(slowest, 2),
        "grown_mb": [round(bytes / (1 << 20), 1) for bytes in grown],
    }


@contextmanager
def in_folder(folder: str) -> Iterator[None]:
    """Where a marker would be written."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def memory(judges: Judges) -> tuple[int, int]:
    """Bytes resident: this process, and the judges with what they were forked from."""
    family = [worker.process for worker in judges._workers if worker.process]
    if judges._nursery:
        family.append(judges._nursery.process.pid)
    return resident(os.getpid()), sum(map(resident, family))


def resident(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def hanging() -> dict[str, Any]:
    """When a batch's answers come from one judge, with and without one among them that hangs."""
    good = [(f"\\sqrt{{{4 * k}}}", f"2\\sqrt{{{k}}}") for k in range(2, 42)]
    bomb = (r"\frac{\pi}{7}", ENDLESS)
    judges = started(1)
    calm = arrivals(judges, good)
    judges.close()
    judges = started(1)
    hung = arrivals(judges, [*good[:1], bomb, *good[1:]])
    judges.close()
    delay = max(hung[pair] - calm[pair] for pair in good)
    return {"hang_delays_others_s": round(delay, 2), "deadline_s": DEADLINE}


def arrivals(judges: Judges, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
    begun = time.perf_counter()
    for ticket, (gold, answer) in enumerate(pairs):
        judges.submit(ticket, Ask(Prompt("", gold, answer), role="judge"))
    found: dict[tuple[str, str], float] = {}
    while len(found) < len(pairs):
        answered = judges.poll(1.0)
        found |= {pairs[ticket]: time.perf_counter() - begun for ticket, _ in answered}
    return found


# Fuzz

PIECES = st.sampled_from(
    [
        *"0123456789abcxyzeijkn+-*/^_=<>(){}[]|&,.;:!?%$'\"\\ \n~#@",
        *(
            "\\frac",
            "\\sqrt",
            "\\pi",
            "\\infty",
            "\\sum",
            "\\int",
            "\\lim",
            "\\log",
            "\\sin",
            "\\text",
        ),
        *(
            "\\left",
            "\\right",
            "\\begin{pmatrix}",
            "\\end{pmatrix}",
            "\\cup",
            "\\in",
            "\\le",
            "\\boxed",
        ),
        *("^{", "_{", "}{", "10", "100", "1/2", "0.5", "x=", "cm", "and", "answer is ", "\\\\"),
    ]
)
ANSWERS = st.one_of(
    st.lists(PIECES, max_size=16).map("".join),
    st.text(max_size=60),
    st.text(st.characters(codec="ascii"), max_size=40),
    st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)
GOLDS = (r"\frac{\pi}{7}", r"x^2+1", r"(1, \sqrt{2})", r"[0, \infty)", "a=\\sqrt{3}", "7")


def fuzzed(count: int) -> dict[str, Any]:
    answers: list[str] = []

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(ANSWERS)
    def draw(answer: str) -> None:
        answers.append(answer)

    draw()
    begun = time.perf_counter()
    judges = Judges(2, DEADLINE)
    pairs = [(GOLDS[i % len(GOLDS)], answer) for i, answer in enumerate(answers)]
    found = list(judges.judge(pairs))
    grown = memory(judges)[1]
    judges.close()
    reasons = Counter(judgement.reason for judgement in found)
    for reason, times in reasons.most_common(12):
        print(f"fuzz: {times} x {reason}")
    return {
        "fuzzed": len(found),
        "lost_workers": reasons["the judge died of it"],
        "fuzz_over_deadline": sum(n for r, n in reasons.items() if r.startswith("took longer")),
        "fuzz_seconds": round(time.perf_counter() - begun, 1),
        "judges_mb": round(grown / (1 << 20)),
    }


# Pairs that look the same


def cases(path: Path) -> dict[str, Any]:
    pairs = lines(path)
    verdicts = judged((pair["gold"], read(pair["prediction"], pair["gold"])) for pair in pairs)
    right = 0
    for pair, verdict in zip(pairs, verdicts, strict=True):
        fine = (verdict.value == 1.0) == (pair["expected"] == "right")
        right += fine
        if not fine:
            print(f"case {pair['id']}: expected {pair['expected']}: {verdict.reason}")
    return {"cases": len(pairs), "cases_right": right}


def perturbation(data: Path, least: int) -> dict[str, Any]:
    pairs = perturbed(data, least)
    begun = time.perf_counter()
    verdicts = judged(pairs)
    taken = time.perf_counter() - begun
    right = [pair for pair, v in zip(pairs, verdicts, strict=True) if v.value == 1.0]
    reasons = Counter(explained(*pair) for pair in right)
    for gold, other in right:
        if not explained(gold, other):
            print(f"perturbed: {gold!r} and {other!r} are judged right")
    return {
        "perturbed_pairs": len(pairs),
        "perturbed_right": len(right),
        "perturbed_false_positives": reasons.pop("", 0),
        "perturbed_explained": dict(reasons),
        "perturbed_undecided": sum(verdict.value is None for verdict in verdicts),
        "perturbed_per_s": round(len(pairs) / taken, 1),
    }


# Recorded grades


def replay(recorded: Path) -> dict[str, Any]:
    """Extraction and judging against the grades that came with recorded solutions."""
    found: dict[str, Any] = {}
    for path in sorted(recorded.glob("*.jsonl")):
        graded = [
            line
            for line in lines(path)
            if isinstance(line.get("correct"), bool) and line["answer"] is not None
        ]
        if not graded:
            continue
        texts = ["\n\n".join(line["steps"]) for line in graded]
        answers = [extract(text) for text in texts]
        verdicts = judged((line["answer"], a) for line, a in zip(graded, answers, strict=True))
        agree = 0
        for line, answer, verdict in zip(graded, answers, verdicts, strict=True):
            same = (verdict.value == 1.0) == line["correct"]
            agree += same
            if not same:
                print(
                    f"{path.name} {line['id']}: gold {line['answer']!r}, answer {answer!r}, "
                    f"recorded {line['correct']}, judged {verdict.value} ({verdict.reason})"
                )
        found[path.stem] = {
            "graded": len(graded),
            "agreement": round(agree / len(graded), 4),
            "undecided": sum(verdict.value is None for verdict in verdicts),
            "no_answer": answers.count(None),
        }
    return found


if __name__ == "__main__":
    main()
