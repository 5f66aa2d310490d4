"""The settings of a whole run."""

from dataclasses import dataclass, field
from pathlib import Path

from whorl.budget import Budget
from whorl.engines.roles import Engines, trainable
from whorl.errors import UserError
from whorl.evaluate import Decoding
from whorl.learn.training import Training
from whorl.recipe import Recipe, Start


@dataclass(frozen=True, slots=True)
class Run:
    """The settings of a whole run, as a run file says them.

    folder: the run folder; settings call it `run`.
    problems: file to grow trees for.
    test: file to measure on; without it nothing is measured.
    base: model with the policy's weights, where it is behind a server; what is trained from them is
        searched with on this machine. None: the folder of `engines.policy`.
    rounds: times round the loop at most.
    start: where each round's training starts; None is where the recipe says. The policy that
        searches is always the newest.
    patience: stop after so many rounds in which accuracy on held-out training problems did not rise
        above its best so far; 0 plays every round and holds nothing out. MARGE stops early and MCTS
        process supervision goes on until there is no more gain: 2 is our value for both.
    holdout: share of the problems, in (0, 1), that is held out for `patience`
        (docs/papers.md, "Rounds").
    width: searches in flight.
    limit: only the first so many problems.
    skip_bad: pass over bad lines of problems.
    may_fail: share of a round's searches, in [0, 1], that may fail. If more did, nothing is learned
        from the others, and the same command tries them again; 1 goes on whatever fails. A tenth is
        our value: so much is lost now and then, more has a cause.
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
    width: int = 256
    limit: int | None = None
    skip_bad: bool = False
    may_fail: float = 0.1
    train: Training = Training()  # noqa: RUF009 (frozen)
    evaluate: Decoding = Decoding()  # noqa: RUF009 (frozen)
    budget: Budget = Budget()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        for name in ("rounds", "width", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} should be at least 1, not {value}")
        if self.patience < 0 or not 0 < self.holdout < 1:
            raise UserError("patience should be at least 0, and holdout above 0 and below 1")
        if not 0 <= self.may_fail <= 1:
            raise UserError(f"may_fail should be a share from 0 to 1, not {self.may_fail}")

    @property
    def weights(self) -> Path:
        """The model folder from which the first round trains. Raises `UserError` if none is
        known."""
        return trainable(str(self.base) if self.base else self.engines.policy)

    @property
    def starts(self) -> Start:
        """The model from which later rounds train: the `first` or the `last`."""
        return self.start or self.recipe.starts
