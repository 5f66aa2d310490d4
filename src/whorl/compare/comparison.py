"""The order of a comparison: methods, engines, problems and tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from whorl.compare.methods import Method
from whorl.data.contamination import check_apart
from whorl.data.problems import problem_ids
from whorl.data.shown import check_examples
from whorl.engines.roles import Engines
from whorl.errors import UserError
from whorl.evaluate import PRESETS, Decoding, Setup
from whorl.evaluate.exam import Exam
from whorl.learn.training import check_trackers, check_whole
from whorl.loop.run import check_student
from whorl.loop.trial import check_teacher
from whorl.recipe import asked_roles, unsound, words_of


@dataclass(frozen=True, slots=True)
class Comparison:
    """Settings of a comparison.

    tokens: sampled tokens that each method may spend, per seed.
    protocol: how a student of its own is asked, where it learns and where it is measured; see
        `loop.run.Run`.
    often: problems to attempt several times, for pass@k; None: those of `test`.
    seeds: how many; each draws other samples and another order of training.
    evaluate: the attempts for pass@k; accuracy is that of one greedy attempt.
    width: searches in flight. jobs: methods at work at once, each in a process of its own.
    """

    problems: Path
    test: Path
    engines: Engines
    methods: tuple[Method, ...]
    tokens: int
    often: Path | None = None
    seeds: int = 3
    protocol: str = "whorl"
    evaluate: Decoding = Decoding(n=8, temperature=0.8, top_p=0.95)  # noqa: RUF009 (frozen)
    width: int = 256
    jobs: int = 1

    def __post_init__(self) -> None:
        for name in ("tokens", "seeds", "width", "jobs"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} should be at least 1, not {getattr(self, name)}")
        if not self.methods:
            raise UserError("there is no recipe to compare")
        if self.protocol not in PRESETS:
            known = ", ".join(PRESETS)
            raise UserError(f"there is no protocol {self.protocol!r}; there are {known}")

    @property
    def setup(self) -> Setup:
        """The protocol by which every model that learns is asked, in the words of the recipes."""
        own = PRESETS[self.protocol if self.engines.student else "whorl"]
        return replace(own, words=words_of(self.methods[0].grow))

    def exams(self) -> Mapping[str, Exam]:
        """The exams that every model takes: one greedy attempt per problem, then several sampled
        ones."""
        one = replace(self.evaluate, n=1, temperature=0.0, top_p=1.0)
        greedy = replace(self.setup, decoding=one)
        sampled = replace(self.setup, decoding=self.evaluate)
        return {
            "greedy": Exam(self.test, greedy, title="evaluate, greedy"),
            "sampled": Exam(self.often or self.test, sampled, title="evaluate, sampled"),
        }


def check_comparison(comparison: Comparison) -> None:
    """Raises `UserError` unless every role that a method asks has an engine, there are problems to
    train on and others to measure on, which no method is shown, all methods ask for a solution in
    the same words, and a student of its own can learn from every method."""
    _check_words(comparison)
    for method in comparison.methods:
        if fault := unsound(method.grow):
            raise UserError(f"{method.name} is no recipe: {fault}")
        check_whole(method.train)
        check_trackers(method.train.trackers)
        if comparison.engines.student:
            check_student(method.harvest)
        for role in asked_roles(method.grow):
            if not getattr(comparison.engines, role):
                raise UserError(f"{method.name} asks a {role}: name one, --{role} local:FOLDER")
        check_teacher(method.grow, comparison.engines.policy, comparison.engines.teacher)
    problem_ids(comparison.problems)  # to their end, before a model is measured
    for test in filter(None, (comparison.test, comparison.often)):
        check_apart(comparison.problems, test)
        for words in dict.fromkeys(words_of(method.grow) for method in comparison.methods):
            check_examples(words, test)


def _check_words(comparison: Comparison) -> None:
    """Raises `UserError` if methods ask for a solution in different words, where students are
    measured in the words that they learned: no two could be told apart from their words."""
    first, *others = comparison.methods
    words = words_of(first.grow)
    for method in others if comparison.setup.template == "whorl" else ():
        own = words_of(method.grow)
        if (own.solve, own.examples) != (words.solve, words.examples):
            raise UserError(
                f"{first.name} and {method.name} ask for a solution in different words, and all "
                "are measured alike; set the same recipe.words for every recipe"
            )
