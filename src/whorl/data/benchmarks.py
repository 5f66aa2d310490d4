"""The data sets of problems that the papers name: where each is, and how its rows read.

One row of `BENCHMARKS` per data set. Answers are what the benchmark itself compares with: GSM8K's
number after `####` without thousands commas, MATH's last box, MetaMath's text after its last "The
answer is:". AQuA's is the letter of the right option, which is what its accuracy counts, so the
question ends with the options. A row that has no such answer is no problem: a proof in NuminaMath,
a question about a picture in TheoremQA.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from whorl.data.problems import checked
from whorl.data.rows import BadRow, Row, cell, columns
from whorl.errors import UserError
from whorl.problem import Problem

Read = Callable[[Row, str], str]
"""What a column of a row says. Raises `BadRow`."""


def plain(row: Row, column: str) -> str:
    """The column as it is."""
    return cell(row, column)


def undollared(row: Row, column: str) -> str:
    """Without the dollar signs round the whole, where they are one pair."""
    text = cell(row, column)
    inside = re.fullmatch(r"\$((?:\\.|[^$\\])+)\$", text, re.DOTALL)
    return inside[1].strip() if inside else text


def hashed(row: Row, column: str) -> str:
    """What stands after the last `####`, without thousands commas."""
    _, mark, answer = cell(row, column).rpartition("####")
    if not mark:
        raise BadRow(f"no #### in {column!r}")
    return answer.strip().replace(",", "")


def boxed(row: Row, column: str) -> str:
    """What the last box of a solution holds, as MATH's own grader takes it: of several boxes only
    the last, and `\\boxed 9` is one too."""
    _, mark, inner = cell(row, column).replace(r"\fbox", r"\boxed").rpartition(r"\boxed")
    if not mark:
        raise BadRow(f"no box in {column!r}")
    if not inner.lstrip().startswith("{"):
        return inner.partition("$")[0].strip()
    depth = 0
    for brace in re.finditer(r"\\.|[{}]", inner, re.DOTALL):
        depth += (brace[0] == "{") - (brace[0] == "}")
        if depth == 0 and brace[0] == "}":
            return inner[inner.index("{") + 1 : brace.start()].strip()
    raise BadRow(f"the last box in {column!r} is not closed")


def stated(row: Row, column: str) -> str:
    """What stands after the last "The answer is:"."""
    _, mark, answer = cell(row, column).rpartition("The answer is:")
    if not mark:
        raise BadRow(f'no "The answer is:" in {column!r}')
    return answer.strip()


def listed(row: Row, column: str) -> str:
    """A list of one or several answers, as a list within one text."""
    answers = row[column]
    if not isinstance(answers, list):
        return undollared(row, column)
    return ", ".join(undollared({column: answer}, column) for answer in answers)


def numina(row: Row, column: str) -> str:
    """Leaves out proofs, and what the authors found to be no valid problem."""
    answer = cell(row, column)
    if answer in ("proof", "notfound") or row.get("question_type") == "proof":
        raise BadRow("a proof, or no answer was found")
    if row.get("problem_is_valid") not in (None, "Yes"):
        raise BadRow("marked as no valid problem")
    return answer


def pictured(row: Row, column: str) -> str:
    """Leaves out questions about a picture."""
    if row.get("Picture") is not None:
        raise BadRow("it needs its picture")
    return cell(row, column)


def optioned(row: Row, column: str) -> str:
    """A question with its options: `A)51` becomes `(A) 51`."""
    options = (re.sub(r"^\s*([A-E])\s*\)\s*", r"(\1) ", option) for option in row["options"])
    return f"{cell(row, column)}\nAnswer choices: {' '.join(options)}"


def bodied(row: Row, column: str) -> str:
    """SVAMP tells the story in `Body`, whose last period is missing."""
    body = cell(row, "Body")
    return f"{body}{'' if body.endswith(('.', '?', '!', ',')) else '.'} {cell(row, column)}"


def undone(row: Row, column: str) -> str:
    """Text that was written down as Python writes bytes: `b'Solve 0 = x.\\\\n'`."""
    text = cell(row, column)
    written = re.fullmatch(r"b(['\"])(.*?)(?:\\n)?\1", text, re.DOTALL)
    return written[2].replace("\\'", "'") if written else text


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A data set of problems.

    name: what we call it, and the folder it has in a local collection.
    hub, revision: its repository on the Hugging Face Hub.
    configs: the parts that make it up, in this order.
    splits: our name of a split -> the hub's.
    question, answer: columns, and how they read.
    level, subject, id: columns, empty if there are none; the subject may be another source.
    """

    name: str
    hub: str
    splits: dict[str, str]
    question: str = "problem"
    answer: str = "answer"
    reads_question: Read = plain
    reads_answer: Read = plain
    level: str = ""
    subject: str = ""
    id: str = ""
    configs: tuple[str, ...] = ("default",)
    revision: str = "main"

    def problem(self, row: Row, split: str, config: str, index: int) -> Problem:
        """The problem of a row. Its id is the data set's own where there is one, else the row's
        place, counted from 0. Raises `BadRow`; `UserError` if the columns are not those expected.
        """
        if missing := {self.question, self.answer} - row.keys():
            raise UserError(
                f"{self.hub} has no column {min(missing)!r} any more; there are {columns(row)}. "
                "Save it as a file and name its columns with --map"
            )
        part = f"/{config}" if len(self.configs) > 1 else ""
        own = cell(row, self.id).removesuffix(".json").removeprefix(f"{split}/")
        subject = _first(row, self.subject) or part[1:]
        question = self.reads_question(row, self.question)
        answer = self.reads_answer(row, self.answer)
        if not question or not answer:
            raise BadRow("no answer" if question else "no question")
        return Problem(
            id=f"{self.name}/{split}{part}/{own or index}",
            question=question,
            answer=checked(answer),
            source=f"{self.name}/{subject}" if subject else self.name,
            split=split,
            level=_first(row, self.level).removeprefix("Level "),
            subject=subject,
        )


def _first(row: Row, column: str) -> str:
    """A cell that may be a list, of which the first counts."""
    value = row.get(column)
    return cell({column: value[0] if value else None} if isinstance(value, list) else row, column)


_SUBJECTS = (
    *("algebra", "counting_and_probability", "geometry", "intermediate_algebra"),
    *("number_theory", "prealgebra", "precalculus"),
)

_MODULES = {
    "algebra": "linear_1d linear_1d_composed linear_2d linear_2d_composed polynomial_roots "
    "polynomial_roots_composed sequence_next_term sequence_nth_term",
    "arithmetic": "add_or_sub add_or_sub_in_base add_sub_multiple div mixed mul mul_div_multiple "
    "nearest_integer_root simplify_surd",
    "calculus": "differentiate differentiate_composed",
    "comparison": "closest closest_composed kth_biggest kth_biggest_composed pair pair_composed "
    "sort sort_composed",
    "measurement": "conversion time",
    "numbers": "base_conversion div_remainder div_remainder_composed gcd gcd_composed is_factor "
    "is_factor_composed is_prime is_prime_composed lcm lcm_composed list_prime_factors "
    "list_prime_factors_composed place_value place_value_composed round_number "
    "round_number_composed",
    "polynomials": "add coefficient_named collect compose evaluate evaluate_composed expand "
    "simplify_power",
    "probability": "swr_p_level_set swr_p_sequence",
}

_TRAIN, _TEST = {"train": "train"}, {"test": "test"}
_DEV = {"dev": "validation"}

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            *("gsm8k", "openai/gsm8k", _TRAIN | _TEST),
            question="question",
            reads_answer=hashed,
            configs=("main",),
        ),
        Benchmark(
            *("math", "EleutherAI/hendrycks_math", _TRAIN | _TEST),
            answer="solution",
            reads_answer=boxed,
            level="level",
            subject="type",
            configs=_SUBJECTS,
        ),
        Benchmark(
            *("math500", "HuggingFaceH4/MATH-500", _TEST),
            level="level",
            subject="subject",
            id="unique_id",
        ),
        Benchmark(
            *("collegemath", "di-zhang-fdu/College_Math_Test", _TEST),
            question="question",
            reads_answer=undollared,
            subject="data_topic",
        ),
        Benchmark(
            *("deepmind_mathematics", "deepmind/math_dataset", _TRAIN | _TEST),
            question="question",
            reads_question=undone,
            reads_answer=undone,
            configs=tuple(
                f"{area}__{module}" for area, names in _MODULES.items() for module in names.split()
            ),
            revision="refs/pr/7",  # all modules as Parquet; main has a script for most of them
        ),
        Benchmark(
            *("olympiadbench_math", "Hothan/OlympiadBench", {"test": "train"}),
            question="question",
            answer="final_answer",
            reads_answer=listed,
            subject="subfield",
            id="id",
            configs=("OE_TO_maths_en_COMP",),
        ),
        Benchmark(
            *("theoremqa", "TIGER-Lab/TheoremQA", _TEST),
            question="Question",
            answer="Answer",
            reads_answer=pictured,
            subject="Answer_type",
        ),
        Benchmark(
            *("aime", "gneubig/aime-1983-2024", _TRAIN),
            question="Question",
            answer="Answer",
            level="Problem Number",
            subject="Year",
            id="ID",
        ),
        Benchmark(*("aime24", "HuggingFaceH4/aime_2024", {"test": "train"}), id="id"),
        Benchmark(*("aime25", "math-ai/aime25", _TEST), id="id"),
        Benchmark(*("amc", "AI-MO/aimo-validation-amc", {"test": "train"}), id="id"),
        Benchmark(*("amc23", "math-ai/amc23", _TEST), question="question", id="id"),
        Benchmark(
            *("svamp", "ChilleD/SVAMP", _TRAIN | _TEST),
            question="Question",
            answer="Answer",
            reads_question=bodied,
            subject="Type",
            id="ID",
        ),
        Benchmark(
            *("mawps", "MU-NLPC/Calc-mawps", _TRAIN | _DEV | _TEST),
            question="question",
            answer="result",
            id="id",
            configs=("original-splits",),
        ),
        Benchmark(
            *("aqua", "deepmind/aqua_rat", _TRAIN | _DEV | _TEST),
            question="question",
            answer="correct",
            reads_question=optioned,
            configs=("raw",),
        ),
        Benchmark(
            *("numinamath", "AI-MO/NuminaMath-1.5", _TRAIN), reads_answer=numina, subject="source"
        ),
        Benchmark(
            *("metamath", "meta-math/MetaMathQA", _TRAIN),
            question="query",
            answer="response",
            reads_answer=stated,
            subject="type",
        ),
        Benchmark(
            *("omnimath", "KbsdJames/Omni-MATH", _TEST),
            level="difficulty",
            subject="domain",
        ),
        Benchmark(
            *("bigmath", "SynthLabsAI/Big-Math-RL-Verified", _TRAIN),
            subject="source",
        ),
    )
}


def find(name: str) -> Benchmark:
    """The data set of this name. Raises `UserError` that names the nearest."""
    if name not in BENCHMARKS:
        near = get_close_matches(name.lower().replace("-", ""), BENCHMARKS, n=1)
        meant = f"; did you mean {near[0]}?" if near else "."
        raise UserError(f"no data set {name!r}{meant} There are: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]
