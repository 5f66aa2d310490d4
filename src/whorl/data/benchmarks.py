"""Data sets of problems that the papers name: where each is, and how its rows are read.

One row of `BENCHMARKS` per data set. Answers are what the benchmark itself compares with: GSM8K's
number after `####` without thousands commas, MATH's last box, MetaMath's text after its last "The
answer is:". AQuA's is the letter of the right option, which is what its accuracy counts, so the
question ends with the options. A row that has no such answer is no problem: a proof in NuminaMath,
a question about a picture in TheoremQA.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from whorl.data import cells
from whorl.data.cells import Read
from whorl.data.problems import comparable_answer
from whorl.data.rows import BadRow, Row, cell, columns
from whorl.errors import UserError
from whorl.problem import Problem


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
    reads_question: Read = cells.as_it_is
    reads_answer: Read = cells.as_it_is
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
        subject = cells.first(row, self.subject) or part[1:]
        question = self.reads_question(row, self.question)
        answer = self.reads_answer(row, self.answer)
        if not question or not answer:
            raise BadRow("no answer" if question else "no question")
        return Problem(
            id=f"{self.name}/{split}{part}/{own or index}",
            question=question,
            answer=comparable_answer(answer),
            source=f"{self.name}/{subject}" if subject else self.name,
            split=split,
            level=cells.first(row, self.level).removeprefix("Level "),
            subject=subject,
        )


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
            reads_answer=cells.after_hashes,
            configs=("main",),
        ),
        Benchmark(
            *("math", "EleutherAI/hendrycks_math", _TRAIN | _TEST),
            answer="solution",
            reads_answer=cells.last_box,
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
            reads_answer=cells.without_dollars,
            subject="data_topic",
        ),
        Benchmark(
            *("deepmind_mathematics", "deepmind/math_dataset", _TRAIN | _TEST),
            question="question",
            reads_question=cells.unquoted,
            reads_answer=cells.unquoted,
            configs=tuple(
                f"{area}__{module}" for area, names in _MODULES.items() for module in names.split()
            ),
            revision="refs/pr/7",  # all modules as Parquet; main has a script for most of them
        ),
        Benchmark(
            *("olympiadbench_math", "Hothan/OlympiadBench", {"test": "train"}),
            question="question",
            answer="final_answer",
            reads_answer=cells.answer_list,
            subject="subfield",
            id="id",
            configs=("OE_TO_maths_en_COMP",),
        ),
        Benchmark(
            *("theoremqa", "TIGER-Lab/TheoremQA", _TEST),
            question="Question",
            answer="Answer",
            reads_answer=cells.without_picture,
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
            reads_question=cells.with_body,
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
            reads_question=cells.with_options,
            configs=("raw",),
        ),
        Benchmark(
            *("numinamath", "AI-MO/NuminaMath-1.5", _TRAIN),
            reads_answer=cells.numina_answer,
            subject="source",
        ),
        Benchmark(
            *("metamath", "meta-math/MetaMathQA", _TRAIN),
            question="query",
            answer="response",
            reads_answer=cells.after_answer_is,
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


def find_benchmark(name: str) -> Benchmark:
    """The data set of this name. Raises `UserError` that names the nearest."""
    if name not in BENCHMARKS:
        near = get_close_matches(name.lower().replace("-", ""), BENCHMARKS, n=1)
        meant = f"; did you mean {near[0]}?" if near else "."
        raise UserError(f"no data set {name!r}{meant} There are: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]
