"""The same texts through the answer extraction of other programs: how often do verdicts differ?

    .venv/bin/python benchmarks/harnesses.py SCORES.jsonl...

SCORES.jsonl are files that `whorl evaluate` wrote on GSM8K; its texts lie beside them. Each text is
read by lm-evaluation-harness's GSM8K, strict-match and flexible-extract, and by math-verify; what
they take for right is compared with our verdict. Every disagreement is printed, except for
strict-match, which wants an answer behind "####". The last line is one JSON object, of all files:
[attempts, right, unanswered, cut_off], and for each reader [right, answered, only_ours,
only_theirs].
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from whorl.evaluate.attempts import Attempt
from whorl.evaluate.scores import read_records
from whorl.problem import Problem

Reader = Callable[[str, str], tuple[str | None, bool]]
"""Given the gold answer and a text: the answer that is found in it, and whether it is right."""

# lm_eval/tasks/gsm8k/gsm8k.yaml (version 3.0) and lm_eval/filters/extraction.py of
# EleutherAI/lm-evaluation-harness: the first match of the one, the last of the other; what is
# ignored on both sides before they are compared.
STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
IGNORED = (",", r"\$", "(?s).*#### ", r"\.$")


def strict(text: str) -> str | None:
    found = STRICT.findall(text)
    return found[0].strip() if found else None


def flexible(text: str) -> str | None:
    found = FLEXIBLE.findall(text)
    return next(filter(None, found[-1])).strip() if found else None


def same(gold: str, answer: str) -> bool:
    for pattern in IGNORED:
        gold, answer = re.sub(pattern, "", gold), re.sub(pattern, "", answer)
    return gold.lower() == answer.lower()


def verified(gold: str, text: str) -> tuple[str | None, bool]:
    """What math-verify takes for the answer, as its documentation calls it, and whether it is
    right."""
    from math_verify import parse, verify

    found = parse(text)
    return (str(found[-1]), bool(verify(parse(gold), found))) if found else (None, False)


def by_pattern(find: Callable[[str], str | None]) -> Reader:
    def read(gold: str, text: str) -> tuple[str | None, bool]:
        answer = find(text)
        return answer, answer is not None and same(gold, answer)

    return read


READERS = {
    "strict-match": by_pattern(strict),
    "flexible-extract": by_pattern(flexible),
    "math-verify": verified,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scores", type=Path, nargs="+")
    found: Counter[str] = Counter()
    readers = {name: Counter[str]() for name in READERS}
    for path in parser.parse_args().scores:
        for record in read_records(path.with_suffix(".attempts.jsonl")):
            for attempt in record.attempts:
                found["attempts"] += 1
                found["right"] += attempt.right == 1.0
                found["unanswered"] += attempt.answer is None
                found["cut_off"] += attempt.finished == "length"
                for name, read in READERS.items():
                    compare(name, read, record.problem, attempt, readers[name])
    print(json.dumps({**found, **readers}))


def compare(
    name: str, read: Reader, problem: Problem, attempt: Attempt, counts: Counter[str]
) -> None:
    answer, right = read(problem.answer, attempt.text)
    ours = attempt.right == 1.0
    counts["right"] += right
    counts["answered"] += answer is not None
    counts["only_ours"] += ours and not right
    counts["only_theirs"] += right and not ours
    if ours != right and name != "strict-match":
        print(
            f"{name}, {problem.id}, gold {problem.answer}: ours {attempt.answer!r} "
            f"({attempt.finished}), theirs {answer!r}; ends {attempt.text[-120:]!r}"
        )


if __name__ == "__main__":
    main()
