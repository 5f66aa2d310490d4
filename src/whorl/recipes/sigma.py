"""SIGMA: sibling-guided Monte Carlo augmentation (2506.06470).

Search a problem by MCTS and take the best path. A critic compares each step of it with the
siblings that were not taken; a reviser rewrites the step after that critique. The rewritten
solutions are the student's fine-tuning data.

Differences from the paper
1. The critic answers in fixed fields with a verdict (`prompts.Critique`); where it says `keep` the
   reviser is not asked. The paper's critique is free prose.
2. A revised solution is verified. If wrong, the reviser tries again (`retries`) and is told which
   answer missed; if still wrong, a right unrevised path is kept, else the problem is dropped. The
   authors' script stores whatever comes back: `check=False`.
3. The gold answer is hidden from critic and reviser. The authors' script shows it: `show_gold`.
4. The best path is the right one with the highest mean Q along it, or the highest if none is
   right. The paper says highest accumulated Q; a sum would favour long paths.
5. Equal samples under one parent are one sibling.
6. Search constants the paper does not state are ours: 32 simulations, constant 2, rewards +1/-1.
7. If every depth has been revised and there is still no answer, the policy completes the solution.
8. A revision that differs from its original in formatting only is not taken over.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from whorl import prompts
from whorl.answer import extract
from whorl.ask import Ask, Moves, Reply, Role
from whorl.credit import best_path, ended, siblings
from whorl.example import Likelihood, Objective, Weighted
from whorl.problem import Problem
from whorl.prompts import Candidate
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling, add_solution, judge_ends, sample, step_node
from whorl.search import Uct, mcts, within_budget
from whorl.steps import unformatted
from whorl.tree import ROOT, Mark, Tree

ASKED: tuple[Mark, ...] = ("ignored critique", "formatting only", "revised", "cut off")
"""Marks of steps that the reviser was asked to rewrite; only its own text can be cut off."""


@dataclass(frozen=True, slots=True)
class Sigma:
    """SIGMA's settings. Presets: `Sigma()` is the paper, `CODE` the authors' script.

    uct, sampling: the search.
    temperatures: one search per temperature; their harvests are pooled.
    mode: `per_depth` asks critic and reviser for every step (the paper), `whole_path` asks each
        of them once (the code).
    siblings: shown per depth, best Q first; 0 is the ablation without them.
    show_gold: critic and reviser see the reference answer.
    check: verify revised solutions; without it whatever was revised is harvested.
    retries: further tries of the reviser after a wrong answer, at `retry_temperature`.
    critic_tokens, reviser_tokens: sampled tokens at most, per step and, times 4, per whole path.
    take: harvest the `refined` solution or, for comparison, the `unrefined` best path if right.
    """

    roles: ClassVar[Sequence[Role]] = ("policy", "critic", "reviser")
    objective: ClassVar[Objective] = Likelihood()
    starts: ClassVar[Start] = "first"  # as RFT; the paper makes one pass

    uct: Uct = Uct()  # noqa: RUF009
    sampling: Sampling = Sampling()  # noqa: RUF009
    temperatures: tuple[float, ...] = (0.4, 0.7)
    mode: Literal["per_depth", "whole_path"] = "per_depth"
    siblings: int = 2
    show_gold: bool = False
    check: bool = True
    retries: int = 2
    retry_temperature: float = 0.7
    critic_tokens: int = 512
    reviser_tokens: int = 512
    take: Literal["refined", "unrefined"] = "refined"

    def __post_init__(self) -> None:
        if not self.temperatures or min(*self.temperatures, self.retry_temperature) < 0:
            raise ValueError("temperatures must hold at least one, and none may be negative")
        if min(self.siblings, self.retries) < 0:
            raise ValueError("siblings and retries must not be negative")
        if min(self.critic_tokens, self.reviser_tokens) < 1:
            raise ValueError("critic_tokens and reviser_tokens must be at least 1")

    @property
    def samples_at_most(self) -> int:
        """The samples if simulations expand to full depth and tries revise every step."""
        calls = 2 * self.uct.depth if self.mode == "per_depth" else 2
        searched = self.uct.simulations * self.uct.depth * self.uct.children
        return searched + (self.retries + 1) * (calls + 1)

    @classmethod
    def presets(cls) -> Mapping[str, "Sigma"]:
        """`paper`, and `code`, the authors' script."""
        return {"paper": cls(), "code": CODE}

    def arms(self) -> Mapping[str, "Sigma"]:
        """One search per temperature."""
        return {f"T={t:g}": replace(self, temperatures=(t,)) for t in self.temperatures}

    def grow(self, problem: Problem, last: Tree | None = None) -> Moves[Tree]:
        """Search at the first temperature, then refine the best path."""
        tree = Tree(problem)
        sampling = replace(self.sampling, temperature=self.temperatures[0])
        with within_budget(tree):
            yield from mcts(tree, sampling, self.uct)
            best = best_own(tree)
            if best != ROOT:
                tree.tip = yield from _Refinement(self, tree, best).run()
        if tree.cut_short:
            tree.tip = unrevised_if_right(tree)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """The chosen solution, after nothing but the plain question."""
        best = best_own(tree)
        if best == ROOT:
            return Harvest((), {"search found no solution": 1})
        tip = tree.tip
        if self.take == "unrefined":
            tip = unrevised_if_right(tree) if self.check else best
        if tip == ROOT:
            reason = "wrong after revision" if self.take == "refined" else "best path is wrong"
            return Harvest((), {reason: 1})
        prompt = prompts.solve(tree.problem.question)
        text, whole = tree.text(tip).rstrip(), ended(tree.nodes[tip])
        return Harvest((Weighted(prompt, text, ended=whole, origin=tree.origin(tip)),), {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts: outcome before and after refinement, tries, and how often each guard fired."""
        best = best_own(tree)
        if best == ROOT:
            return {"no solution": 1}
        tries = ends_of_tries(tree)
        before = _word(tree, best)
        after = _word(tree, tries[-1]) if tries else before
        counts = Counter({f"{before} to {after}": 1, "tries": len(tries)})
        counts["drift"] = int(before == "right" and any(_word(tree, t) == "wrong" for t in tries))
        counts["fell back"] = int(tree.tip == best and after == "wrong")
        for end in tries:
            steps = [tree.nodes[i] for i in tree.path(end)]
            counts.update(
                "revised" if s.mark == "cut off" else s.mark
                for s in steps
                if s.author == "reviser" and s.mark
            )
            counts["completed by the policy"] += steps[-1].author == "policy"
        return counts


CODE = Sigma(mode="whole_path", show_gold=True, check=False, retries=0)
"""What the authors' released script does, as far as it differs from the paper's text."""


def best_own(tree: Tree) -> int:
    """The end of the best path among the policy's own solutions; the root if there is none."""
    return best_path(tree, (leaf for leaf in tree.leaves() if tree.first_hand(leaf)))


def unrevised_if_right(tree: Tree) -> int:
    """The end of the best path if it is right, else the root."""
    best = best_own(tree)
    return best if tree.nodes[best].reward == 1.0 else ROOT


def ends_of_tries(tree: Tree) -> list[int]:
    """Last nodes of the refinement's tries, in order, without tries that were cut short."""
    nodes = tree.nodes
    ends = (i for i, n in enumerate(nodes) if (n.terminal or n.pruned) and not n.children)
    return [i for i in ends if any(nodes[step].author == "reviser" for step in tree.path(i))]


@dataclass(frozen=True, slots=True)
class _Refinement:
    """The refinement of one best path by critic and reviser. Critiques are asked for once."""

    recipe: Sigma
    tree: Tree
    best: int
    critiques: dict[tuple[int, str], str] = field(default_factory=dict)

    def run(self) -> Moves[int]:
        """Revise, verify, try again, fall back; returns the tip."""
        recipe, tree = self.recipe, self.tree
        attempt = self._sweep if recipe.mode == "per_depth" else self._rewrite
        missed, temperature = None, 0.0
        for _ in range(recipe.retries + 1):
            end = yield from attempt(missed, temperature)
            yield from judge_ends(tree, [end])
            if tree.nodes[end].reward == 1.0 or not recipe.check:
                return end if tree.nodes[end].terminal else ROOT
            if not any(tree.nodes[i].mark in ASKED for i in tree.path(end)):
                break  # the reviser was never asked, so another try would be the same
            missed, temperature = extract(tree.text(end)), recipe.retry_temperature
        return unrevised_if_right(tree)

    def _sweep(self, missed: str | None, temperature: float) -> Moves[int]:
        """Depth by depth: critique the step, revise it, go on behind the revised step."""
        tree, at = self.tree, ROOT
        for step in tree.path(self.best):
            critique = yield from self._critique(step, tree.text(at))
            at = yield from self._revise(at, step, critique, missed, temperature)
            if tree.nodes[at].terminal or tree.nodes[at].pruned:
                return at
        completion = replace(self.recipe.sampling, temperature=0.0)
        (at,) = yield from sample(tree, 1, completion, at=at)
        return at

    def _critique(self, step: int, prefix: str) -> Moves[str]:
        """The critic's reply on one step, kept in the step's note."""
        tree, question = self.tree, self.tree.problem.question
        if (step, prefix) not in self.critiques:
            prompt = prompts.critique_step(question, prefix, *self._shown(step), gold=self._gold)
            ask = Ask(prompt, "critic", max_tokens=self.recipe.critic_tokens, temperature=0.0)
            ((reply,),) = yield [ask]
            tree.nodes[step].note = tree.nodes[step].note or reply.text
            self.critiques[step, prefix] = reply.text
        return self.critiques[step, prefix]

    def _revise(
        self, at: int, step: int, critique: str, missed: str | None, temperature: float
    ) -> Moves[int]:
        """Add the revised step below `at`; the mark of the new node says what the reviser did."""
        recipe, tree = self.recipe, self.tree
        original = tree.nodes[step].text
        reply = Reply(original.rstrip(), "eos" if tree.nodes[step].terminal else "stop")
        became = _gate([prompts.read_critique(critique)])
        if became == "revised":
            question, prefix = tree.problem.question, tree.text(at)
            prompt = prompts.revise_step(
                question, prefix, original, critique, gold=self._gold, missed=missed
            )
            ask = Ask(prompt, "reviser", max_tokens=recipe.reviser_tokens, temperature=temperature)
            ((revised,),) = yield [replace(ask, stop=recipe.sampling.steps.stop)]
            became = _became(original, revised.text)
            if became == "revised":
                # a reviser ends its turn after one step: only an answer ends the solution
                finished = "stop" if revised.finished == "eos" else revised.finished
                reply = replace(revised, text=revised.text.strip(), finished=finished)
        node = step_node(at, reply, recipe.sampling.steps, author="reviser")
        node.mark = node.mark or became
        return tree.add(node)

    def _rewrite(self, missed: str | None, temperature: float) -> Moves[int]:
        """One critique of the whole path, one rewriting of it."""
        recipe, tree, question = self.recipe, self.tree, self.tree.problem.question
        path, original = tree.path(self.best), tree.text(self.best)
        if not self.critiques:
            steps, others = zip(*map(self._shown, path), strict=True)
            prompt = prompts.critique_path(question, steps, others, gold=self._gold)
            tokens = 4 * recipe.critic_tokens
            ((reply,),) = yield [Ask(prompt, "critic", max_tokens=tokens, temperature=0.0)]
            self.critiques[self.best, ""] = tree.nodes[self.best].note = reply.text
        critique = self.critiques[self.best, ""]
        reply = Reply(original.rstrip(), "eos")
        became = _gate(prompts.read_critiques(critique, len(path)))
        if became == "revised":
            texts = [tree.nodes[step].text for step in path]
            prompt = prompts.revise_path(question, texts, critique, gold=self._gold, missed=missed)
            tokens = 4 * recipe.reviser_tokens
            ask = Ask(prompt, "reviser", max_tokens=tokens, temperature=temperature)
            ((revised,),) = yield [ask]
            became = _became(original, revised.text)
            reply = revised if became == "revised" else reply
        first = len(tree.nodes)
        end = add_solution(tree, ROOT, reply, recipe.sampling.steps, author="reviser", share=False)
        tree.nodes[first].mark = tree.nodes[first].mark or became
        return end

    def _shown(self, step: int) -> tuple[Candidate, list[Candidate]]:
        """A step and its siblings as the critic sees them, with Q; 0 without simulations."""
        nodes, uct = self.tree.nodes, self.recipe.uct
        own, *others = (
            Candidate(nodes[i].text, uct.q(nodes[i]) if nodes[i].visits else 0.0)
            for i in (step, *siblings(self.tree, step)[: self.recipe.siblings])
        )
        return own, others

    @property
    def _gold(self) -> str | None:
        return self.tree.problem.answer if self.recipe.show_gold else None


def _gate(critiques: Sequence[prompts.Critique]) -> Mark:
    """Mark of a step before the reviser is asked: `revised` if it shall be, else why not."""
    if all(critique.empty for critique in critiques):
        return "unusable critique"
    asked = any(not critique.empty and critique.verdict != "keep" for critique in critiques)
    return "revised" if asked else "kept"


def _became(original: str, revised: str) -> Mark:
    """Mark of a revised text: a revision, an echo, or a change of formatting only."""
    if revised.strip() == original.strip() or not revised.strip():
        return "ignored critique"
    return "formatting only" if unformatted(revised) == unformatted(original) else "revised"


def _word(tree: Tree, end: int) -> Literal["right", "wrong"]:
    return "right" if tree.nodes[end].reward == 1.0 else "wrong"
