"""The settings of a whole run."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from whorl.budget import Budget
from whorl.engines.roles import Engines, trainable
from whorl.errors import UserError
from whorl.evaluate import PRESETS, Decoding, Setup
from whorl.example import Distillation, Likelihood
from whorl.learn.training import Training, check_whole
from whorl.loop.thoughts import Taught
from whorl.recipe import Recipe, Start, words_of
from whorl.recipes import name_of


@dataclass(frozen=True, slots=True)
class Run:
    """The settings of a whole run, as a run file says them. What it leaves out of training, rounds
    and evaluation is as the preset of its recipe says; the defaults here are for scripts.

    folder: the run folder; settings call it `run`.
    problems: file to grow trees for.
    test: file to measure on; without it nothing is measured.
    seed: of what is sampled, and of the problems that are drawn. Which samples a recipe goes on
        from, where it chooses by lot, follows from the problem alone.
    base: model with the policy's weights, where it is behind a server; what is trained from them is
        searched with on this machine. None: the folder of `engines.policy`, or of
        `engines.student`, which learns from the policy's searches and never searches itself.
    rounds: times round the loop at most.
    start: where each round's training starts; None is where the recipe says. The policy that
        searches is always the newest.
    patience: stop after so many rounds in which accuracy on held-out training problems did not rise
        above its best so far; 0 plays every round and holds nothing out.
    holdout: share of the problems, in (0, 1), that is held out for `patience`
        (docs/papers.md, "Rounds").
    questions: problems of a round, drawn by lot anew for each; None: all of them.
    protocol: how a student of its own is asked, where it learns and where it is measured: one of
        `evaluate.PRESETS`. A policy that learns is asked as in its searches.
    evaluate: the attempts at each test problem.
    width: searches in flight.
    limit: only the first so many problems; a round that is complete keeps those it had.
    skip_bad: pass over bad lines of problems.
    harvest: what examples keep of thoughts.
    may_fail: share of a round's searches, in [0, 1], that may fail. If more did, nothing is learned
        from the others, and the same command tries them again; 1 goes on whatever fails. A tenth is
        our value: so much is lost now and then, more has a cause.
    report_to: a tracker that is told the figures of growing and measuring, for example
        `tensorboard`, `wandb`, `trackio` or `mlflow`, or a list of them; `train.report_to` is that
        of training.
    budget: what growing may spend, over all rounds; measuring is not counted.
    """

    folder: Path = field(metadata={"key": "run"})
    problems: Path
    engines: Engines
    recipe: Recipe
    test: Path | None = None
    base: Path | None = None
    seed: int = 0
    rounds: int = 1
    start: Start | None = None
    patience: int = 0
    holdout: float = 0.05
    questions: int | None = None
    width: int = 256
    limit: int | None = None
    skip_bad: bool = False
    harvest: Taught = Taught()  # noqa: RUF009 (frozen)
    may_fail: float = 0.1
    train: Training = Training()  # noqa: RUF009 (frozen)
    evaluate: Decoding = Decoding()  # noqa: RUF009 (frozen)
    protocol: str = "whorl"
    report_to: str | tuple[str, ...] = ()
    budget: Budget = Budget()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        for name in ("rounds", "width", "limit", "questions"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} should be at least 1, not {value}")
        if self.patience < 0 or not 0 < self.holdout < 1:
            raise UserError("patience should be at least 0, and holdout above 0 and below 1")
        if self.protocol not in PRESETS:
            known = ", ".join(PRESETS)
            raise UserError(f"there is no protocol {self.protocol!r}; there are {known}")
        if self.engines.student:
            check_student(self.recipe)
            if self.base:
                raise UserError("base is for a policy that learns; leave it out with a student")
        if self.train.carry and self.starts == "first":
            raise UserError(
                "train.carry goes on with the optimizer of the round before, and these rounds all "
                "start from the first model; set start=last"
            )
        check_whole(self.train)
        if not 0 <= self.may_fail <= 1:
            raise UserError(f"may_fail should be a share from 0 to 1, not {self.may_fail}")

    @property
    def trackers(self) -> tuple[str, ...]:
        """The names in `report_to`."""
        return (self.report_to,) if isinstance(self.report_to, str) else self.report_to

    @property
    def weights(self) -> Path:
        """The model folder from which the first round trains. Raises `UserError` if none is
        known."""
        return trainable(str(self.base) if self.base else self.engines.learner)

    @property
    def asked(self) -> str:
        """The protocol by which the model that learns is asked."""
        return self.protocol if self.engines.student else "whorl"

    @property
    def setup(self) -> Setup:
        """Setup of its evaluation: the protocol, the run's attempts, the recipe's words."""
        own = PRESETS[self.asked]
        return replace(own, decoding=self.evaluate, words=words_of(self.recipe))

    @property
    def starts(self) -> Start:
        """The model from which later rounds train: the `first` or the `last`."""
        return self.start or self.recipe.starts


def check_student(recipe: Recipe) -> None:
    """Raises `UserError` if a recipe's examples can only teach the policy that sampled them."""
    if on_policy(recipe):
        raise UserError(
            f"{name_of(recipe)} learns on-policy: its weights say how much likelier the model that "
            "sampled should make a text, so a student of its own cannot learn from them. Leave the "
            "student out, or take a recipe that teaches solutions or preferences"
        )


def on_policy(recipe: Recipe) -> bool:
    """Whether a recipe weighs what the policy sampled for that policy: distillation, and any
    likelihood but the plain one."""
    plain = recipe.objective == Likelihood()
    return isinstance(recipe.objective, Likelihood | Distillation) and not plain
