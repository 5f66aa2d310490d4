"""SIGMA: sibling-guided Monte Carlo augmentation (2506.06470).

Search a problem by MCTS and take the best path. A critic compares each step of it with the
siblings that were not taken; a reviser rewrites the step after that critique. The rewritten
solutions are the student's fine-tuning data.

Differences from the paper
1. The critic can be asked for fixed fields with a verdict (`critique.Critique`) instead of the
   paper's prose, by `words`. Whatever it says goes to the reviser as it is; `gates` leave steps as
   they are, none by default.
2. A revised solution is verified. If wrong, the reviser tries again (`retries`) and is told which
   answer missed; if still wrong, a right unrevised path is kept, else the problem is dropped. The
   authors' script stores whatever comes back, without an answer too: `check=False`. One that is
   right but speaks of what its student never sees, of a critique say, is no better than a wrong one
   here (`prompts.unseen`).
3. The gold answer is hidden from critic and reviser; the authors' script shows it: `show_gold`. The
   mean outcomes Q that the critic sees are its shadow: the script shows those of the path, the
   text names none; `show_q`. What no simulation went through has none.
4. The best path is the right one with the highest mean Q along it, or the highest if none is
   right. The paper says highest accumulated Q; a sum would favour long paths. The script takes the
   first right one that it finds: `best`.
5. Equal samples under one parent are one sibling. Pruned ones are siblings too, if they say
   anything. The script shows the last step of the best solution behind each: `shown`.
6. What the paper does not state is ours: 32 simulations, constant 2, rewards +1/-1, top-p 1, the
   tokens of a step, a solution, a critique and a revision; and that critic and reviser see the
   steps so far as they were revised, or later ones would not go on from them.
7. If every depth has been revised and there is still no answer, the policy completes the solution.
   Simulations run in waves of `uct.parallel`, kept apart by virtual loss.
8. A revised step is the reviser's whole reply without preamble and labels (`revision.read_step`).
9. `mode="afresh"` is ours: small chat models copy whatever solution they are shown, so the reviser
   is shown none, but the wrong answers of the tree (docs/real-critique.md). No critic is asked.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from whorl import prompts
from whorl.ask import Asking, Role
from whorl.credit import ended
from whorl.example import Likelihood, Objective, Weighted
from whorl.problem import Problem
from whorl.prompts.revision import made_of
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.recipes.refinement import (
    ASKED,
    HEARD,
    Refinement,
    best_own,
    ends_of_tries,
    if_right,
    tells,
)
from whorl.rollout import Sampling
from whorl.search import Uct, mcts, within_budget
from whorl.tree import ROOT, Tree

FEW = 0.2  # of the wrong paths: fewer revised ones are said to be few

Gate = Literal["keep", "unusable", "formatting"]
"""Why a step stays as it is: the critic's verdict is `keep`; it said nothing; the reviser changed
the formatting alone."""


@dataclass(frozen=True, slots=True)
class Sigma:
    """SIGMA's settings. The paper and its authors' script are presets (docs/papers.md, "Presets").

    uct, sampling: the search.
    temperatures: one search per temperature; their harvests are pooled.
    mode: `per_depth` asks critic and reviser for every step (the paper), `whole_path` asks each
        of them once (the code). `afresh` leaves right paths alone; otherwise, and where no
        solution came to its end, the reviser solves the problem anew, and sees of the tree nothing
        but its wrong answers (ours). No critic is asked then, and what is said below of siblings,
        of steps and of critic's and reviser's tokens is idle.
    best: the path to refine: the right one of highest `mean` Q, or the `first` right one that is
        found depth first, the last child before the others (the code).
    siblings: shown per depth, best Q first; 0 is the ablation without them.
    shown: of a sibling, its own `step`, or the step at the `end` of the best solution that goes
        through it (the code).
    show_gold: critic and reviser see the reference answer.
    show_q: whose mean outcome the critic sees: of the chosen `path`, of siblings too, or of `none`.
    gates: which steps stay as they are; the paper revises all.
    check: verify revised solutions; without it whatever was revised is harvested.
    retries: further tries of the reviser after a wrong answer.
    retry_temperature: of those tries.
    critic_tokens, reviser_tokens: sampled tokens at most, per step and, times 4, per whole path.
    helper_thought_tokens: as `sampling.thought_tokens`, of critic and reviser before each reply.
    take: harvest the `refined` solution or, for comparison, the `unrefined` best path if right.
    words: in which models are asked.
    """

    objective: ClassVar[Objective] = Likelihood()
    starts: ClassVar[Start] = "first"  # as RFT; the paper makes one pass

    uct: Uct = Uct()  # noqa: RUF009
    sampling: Sampling = Sampling()  # noqa: RUF009
    temperatures: tuple[float, ...] = (0.4, 0.7)
    mode: Literal["per_depth", "whole_path", "afresh"] = "per_depth"
    best: Literal["mean", "first"] = "mean"
    siblings: int = 2
    shown: Literal["step", "end"] = "step"
    show_gold: bool = False
    show_q: Literal["none", "path", "all"] = "all"
    gates: tuple[Gate, ...] = ()
    check: bool = True
    retries: int = 2
    retry_temperature: float = 0.7
    critic_tokens: int = 512
    reviser_tokens: int = 512
    helper_thought_tokens: int | None = field(default=None, metadata={"quiet": True})
    take: Literal["refined", "unrefined"] = "refined"
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if not self.temperatures or min(*self.temperatures, self.retry_temperature) < 0:
            raise ValueError("temperatures must hold at least one, and none may be negative")
        if self.sampling.inside:
            raise ValueError("steps of a solution are revised; leave sampling.inside out")
        if self.mode == "afresh" and self.show_gold:
            raise ValueError("show_gold: who solves afresh is shown wrong answers alone")
        if min(self.siblings, self.retries) < 0:
            raise ValueError("siblings and retries must not be negative")
        if min(self.critic_tokens, self.reviser_tokens) < 1:
            raise ValueError("critic_tokens and reviser_tokens must be at least 1")

    @property
    def roles(self) -> Sequence[Role]:
        """A critic is not asked where problems are solved afresh."""
        return ("policy", "reviser") if self.mode == "afresh" else ("policy", "critic", "reviser")

    @property
    def samples_at_most(self) -> int:
        """The samples if simulations expand to full depth and tries revise every step."""
        calls = {"per_depth": 2 * self.uct.depth + 1, "whole_path": 3, "afresh": 1}[self.mode]
        searched = self.uct.simulations * self.uct.depth * self.uct.children
        return searched + (self.retries + 1) * calls

    @property
    def tokens_at_most(self) -> int:
        """The tokens of so many samples: steps, a critique and a revision of each step or, four
        times as long, of the path, and a solution to its end."""
        searched = self.uct.simulations * self.uct.depth * self.uct.children
        step = self.sampling.step_tokens + (self.sampling.thought_tokens or 0)
        if self.mode == "afresh":
            solved = self.sampling.solution_tokens + (self.helper_thought_tokens or 0)
            return searched * step + (self.retries + 1) * solved
        calls, length = (self.uct.depth, 1) if self.mode == "per_depth" else (1, 4)
        helped = length * (self.critic_tokens + self.reviser_tokens)
        helped += 2 * (self.helper_thought_tokens or 0)
        ended = self.sampling.solution_tokens + (self.sampling.thought_tokens or 0)
        return searched * step + (self.retries + 1) * (calls * helped + ended)

    def arms(self) -> Mapping[str, "Sigma"]:
        """One search per temperature."""
        return {f"T={t:g}": replace(self, temperatures=(t,)) for t in self.temperatures}

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Search at the first temperature, then refine the best path."""
        tree = prompts.planted(Tree(problem), self.words)
        sampling = replace(self.sampling, temperature=self.temperatures[0])
        with within_budget(tree):
            yield from mcts(tree, sampling, self.uct)
            best = best_own(tree, self.best)
            if best != ROOT or self.mode == "afresh":
                tree.tip = yield from Refinement(self, tree, best).run()
        if tree.cut_short:
            tree.tip = if_right(tree, best_own(tree, self.best))
        return tree

    def choose(self, tree: Tree) -> int:
        """The first revised solution that is right and speaks of nothing its student will not see,
        else the best path if that is right."""
        if not self.check:
            return tree.tip
        sound = (end for end in _right_tries(tree) if not tells(tree, end))
        return next(sound, if_right(tree, best_own(tree, self.best)))

    @property
    def verified(self) -> bool:
        """Revised solutions that are not checked are harvested whatever they are."""
        return self.check or self.take == "unrefined"

    def harvest(self, tree: Tree) -> Harvest:
        """The chosen solution, after nothing but the plain question."""
        best, tip = best_own(tree, self.best), tree.tip
        if self.take == "unrefined":
            tip = if_right(tree, best) if self.check else best
        elif self.check and tells(tree, tip):
            tip = self.choose(tree)  # grown when nobody looked at that
        if tip == ROOT:
            return Harvest((), {self._lacking(tree, best): 1})
        prompt = prompts.plain(tree)
        text, end = tree.text(tip).rstrip(), tree.nodes[tip]
        whole = ended(end) or end.mark == "no answer"  # where nothing is checked
        return Harvest((Weighted(prompt, text, ended=whole, origin=tree.origin(tip)),), {})

    def _lacking(self, tree: Tree, best: int) -> str:
        """Why nothing is taken of a tree whose `best` path is not."""
        if self.take == "refined" and any(tells(tree, end) for end in _right_tries(tree)):
            return "revision speaks of what was shown for it"
        if best == ROOT:
            return "search found no solution"
        return "wrong after revision" if self.take == "refined" else "best path is wrong"

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts: outcome before and after refinement, tries, and how often each guard fired."""
        best, tries = best_own(tree, self.best), ends_of_tries(tree)
        counts: Counter[str] = Counter({"tries": len(tries)})
        if best == ROOT:
            if not tries:
                return {"no solution": 1}
            counts.update(["no solution", f"no solution, afresh {_word(tree, tries[-1])}"])
        else:
            counts.update(self._of_path(tree, best, tries))
        counts.update("speaks of what was shown" for end in tries if tells(tree, end))
        for end in tries:
            counts.update(made_of(tree, end))
            counts["completed by the policy"] += tree.nodes[end].author == "policy"
        return counts

    def _of_path(self, tree: Tree, best: int, tries: Sequence[int]) -> Counter[str]:
        """Counts of what became of the best path."""
        before = _word(tree, best)
        after = _word(tree, tries[-1]) if tries else before
        counts = Counter({f"{before} to {after}": 1})
        counts["drift"] = int(before == "right" and any(_word(tree, t) == "wrong" for t in tries))
        counts["fell back"] = int(bool(tries) and tree.tip == best)
        counts.update(tree.nodes[i].mark for i in tree.path(best) if tree.nodes[i].mark in HEARD)
        afresh = self.mode == "afresh" and bool(tries)
        revised = afresh or any("revised" in made_of(tree, end) for end in tries)
        counts[f"{before} path {'revised' if revised else 'left as it was'}"] = 1
        return counts

    def remarks(self, tally: Mapping[str, int]) -> Sequence[str]:
        """A line where hardly any wrong path was revised: there is no refinement to speak of."""
        revised, left = (
            tally.get("wrong path revised", 0),
            tally.get("wrong path left as it was", 0),
        )
        if revised >= FEW * (revised + left):
            return ()
        asked = sum(tally.get(mark, 0) for mark in ASKED)
        spared = {mark: tally.get(mark, 0) for mark in ("kept", "unusable critique")}
        why = ", ".join(f"{count:,} {mark}" for mark, count in spared.items() if count)
        return [
            f"sigma: {revised:,} of {revised + left:,} wrong paths were revised; of the steps the "
            f"reviser was asked for {asked:,}" + (f", others were left: {why}" if why else "")
        ]


def _word(tree: Tree, end: int) -> Literal["right", "wrong"]:
    return "right" if tree.nodes[end].reward == 1.0 else "wrong"


def _right_tries(tree: Tree) -> list[int]:
    return [end for end in ends_of_tries(tree) if tree.nodes[end].reward == 1.0]
