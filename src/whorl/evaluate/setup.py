"""Protocols of evaluation: the words of the question, the decoding, and the rule for the answer."""

from dataclasses import dataclass, field

from whorl import prompts
from whorl.ask import Prompt
from whorl.errors import UserError
from whorl.prompts.families import FAMILIES
from whorl.prompts.wording import WHORL, Wording


@dataclass(frozen=True, slots=True)
class Decoding:
    """Settings of sampling attempts. The defaults are greedy decoding as in SIGMA's evaluation.

    n: attempts at each problem.
    temperature, top_p, max_tokens: as in `Ask`.
    thought_tokens: as in `Sampling`: tokens of a thought before the solution, which `max_tokens`
        does not count; None: there they count too.
    """

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 2048  # DART-Math's scripts, which SIGMA follows
    thought_tokens: int | None = field(default=None, metadata={"quiet": True})

    def __post_init__(self) -> None:
        if self.n < 1 or self.max_tokens < 1:
            raise UserError("n and max_tokens must be at least 1")
        if self.thought_tokens is not None and self.thought_tokens < 0:
            raise UserError("thought_tokens must not be negative")
        if not 0 <= self.temperature < float("inf") or not 0 < self.top_p <= 1:
            raise UserError("temperature must be a number from 0 on, and top_p must be in (0, 1]")
        if self.n > 1 and self.temperature == 0:
            raise UserError("several attempts at temperature 0 are all the same; raise it")


@dataclass(frozen=True, slots=True)
class Setup:
    """An evaluation's setup.

    template: the words, one of `prompts.TEMPLATES`.
    words: in which `whorl` asks, those that a model was trained under.
    guess: where no answer is stated, take the last formula or number; for models that were never
        told how to state one.
    """

    template: str = "whorl"
    decoding: Decoding = field(default_factory=Decoding)
    guess: bool = False
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if self.template not in prompts.TEMPLATES:
            known = ", ".join(prompts.TEMPLATES)
            raise UserError(f"there is no prompt template {self.template!r}; there are {known}")

    def ask(self, question: str) -> Prompt:
        """The prompt that asks a question."""
        if self.template == "whorl":
            return prompts.solve(question, self.words)
        return prompts.TEMPLATES[self.template].ask(question)


PRESETS = {
    "whorl": Setup(),
    "dart": Setup("dart"),
    "qwen": Setup("qwen", guess=True),
    **{
        name: Setup("qwen", Decoding(1, f.temperature, f.top_p, thought_tokens=f.thought_tokens))
        for name, f in FAMILIES.items()
    },
}
"""Protocols by name. `dart` is DART-Math's, which SIGMA follows; `qwen` is Qwen2.5-Math's, which
MARGE's authors point to, and which is ours for SPHERE (docs/papers.md, "Evaluation"). Both are
greedy, with one attempt of 2,048 tokens at most; DART takes stated answers only, Qwen's falls back
to the last number. Those of models that think sample as their makers do, in Qwen's words, which
DeepSeek-R1's card has too."""
