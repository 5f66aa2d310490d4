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

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from whorl import prompts
from whorl.answer import extract
from whorl.ask import Ask, Moves, Prompt, Reply, Role
from whorl.example import Likelihood, Objective, Weighted
from whorl.problem import Problem
from whorl.prompts import Candidate
from whorl.recipe import Harvest, Start
from whorl.search import Sampling, Uct, add_solution, kept, mcts, sample, settle, step_node
from whorl.tree import ROOT, Tree

KEPT = "kept"
UNUSABLE = "unusable critique"
IGNORED = "ignored critique"
FORMATTING = "formatting only"
REVISED = "revised"
ASKED = (IGNORED, FORMATTING, REVISED)


@dataclass(frozen=True, slots=True)
class Sigma:
    """SIGMA's settings. Presets: `Sigma()` is the paper, `CODE` the authors' script.

    uct, sampling: the search.
    temperatures: one search per temperature; their harvests are pooled.
    mode: `per_depth` asks critic and reviser for every step (the paper), `whole_path` asks each
        of them once (the code).
    siblings: shown per depth, best Q first; 0 is the ablation without them.
    refine_prefix: what a later critic sees before its step: the steps as revised, or as sampled.
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
    refine_prefix: Literal["revised", "original"] = "revised"
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
        """Every simulation expands to full depth, every try revises every step and is completed."""
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
        with kept(tree):
            yield from mcts(tree, sampling, self.uct)
            best = pick(tree)
            if best is not None:
                tree.tip = yield from _Refinement(self, tree, best).run()
        if tree.cut_short:
            tree.tip = unrevised(tree)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """The chosen solution, after nothing but the plain question."""
        best = pick(tree)
        if best is None:
            return Harvest((), {"search found no solution": 1})
        tip = tree.tip
        if self.take == "unrefined":
            tip = unrevised(tree) if self.check else best
        if tip == ROOT:
            reason = "wrong after revision" if self.take == "refined" else "best path is wrong"
            return Harvest((), {reason: 1})
        prompt = prompts.solve(tree.problem.question)
        return Harvest((Weighted(prompt, tree.text(tip).rstrip(), origin=tree.origin(tip)),), {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Outcomes before and after, and how often each guard fired."""
        best = pick(tree)
        if best is None:
            return {"no solution": 1}
        tries = attempts(tree)
        before = _word(tree, best)
        after = _word(tree, tries[-1]) if tries else before
        counts = Counter({f"{before} to {after}": 1, "tries": len(tries)})
        counts["drift"] = int(before == "right" and any(_word(tree, t) == "wrong" for t in tries))
        counts["fell back"] = int(tree.tip == best and after == "wrong")
        for end in tries:
            steps = [tree.nodes[i] for i in tree.path(end)]
            counts.update(
                s.note.partition(":")[0] for s in steps if s.author == "reviser" and s.note
            )
            counts["completed by the policy"] += steps[-1].author == "policy"
        return counts


CODE = Sigma(mode="whole_path", show_gold=True, check=False, retries=0)
"""What the authors' released script does, as far as it differs from the paper's text."""


def pick(tree: Tree) -> int | None:
    """The best path's end: the right solution of the policy with the highest mean Q along its path;
    if none is right, the highest of all; None if search finished no solution."""
    found = [leaf for leaf in tree.leaves() if tree.first_hand(leaf)]

    def merit(leaf: int) -> tuple[bool, float]:
        path = tree.path(leaf)
        return tree.nodes[leaf].reward == 1.0, sum(tree.nodes[i].mean for i in path) / len(path)

    return max(found, key=merit, default=None)


def unrevised(tree: Tree) -> int:
    """The best path's end if it is right, else the root."""
    best = pick(tree)
    return best if best is not None and tree.nodes[best].reward == 1.0 else ROOT


def attempts(tree: Tree) -> list[int]:
    """Last nodes of the refinement's tries, in order; a try that was cut short is none."""
    ended = (i for i, node in enumerate(tree.nodes) if node.terminal or node.pruned)
    return [i for i in ended if not tree.nodes[i].children and _revised(tree, i)]


def siblings(tree: Tree, step: int, most: int) -> list[int]:
    """The policy's other children of `step`'s parent, highest Q first, unvisited ones last."""
    nodes = tree.nodes
    others = [
        c for c in nodes[nodes[step].parent].children if c != step and nodes[c].author == "policy"
    ]
    others.sort(key=lambda c: (nodes[c].visits == 0, -nodes[c].mean))
    return others[:most]


def bare(text: str) -> str:
    """`text` without what only formats it: equal bare texts say the same."""
    text = re.sub(r"(\d)\.0+\b", r"\1", text.casefold())
    text = re.sub(r"\\(?:boxed|text|mathrm)\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\\(?:left|right|[()\[\] ,;!])|[.,:;](?!\d)|[\s$`]|\*\*", "", text)


@dataclass(frozen=True, slots=True)
class _Refinement:
    """One best path on its way through critic and reviser."""

    recipe: Sigma
    tree: Tree
    best: int

    def run(self) -> Moves[int]:
        """Revise, verify, try again, fall back; returns the tip."""
        recipe, tree = self.recipe, self.tree
        critiques: dict[tuple[int, str], str] = {}
        missed, temperature = None, 0.0
        end = ROOT
        for _ in range(recipe.retries + 1):
            if recipe.mode == "per_depth":
                end = yield from self._sweep(critiques, missed, temperature)
            else:
                end = yield from self._rewrite(critiques, missed, temperature)
            yield from settle(tree, [end])
            if tree.nodes[end].reward == 1.0 or not recipe.check:
                return end if tree.nodes[end].terminal else ROOT
            if not any(tree.nodes[i].note.startswith(ASKED) for i in tree.path(end)):
                break  # the reviser was never asked, so another try would be the same
            missed, temperature = extract(tree.text(end)), recipe.retry_temperature
        return unrevised(tree)

    def _sweep(
        self, critiques: dict[tuple[int, str], str], missed: str | None, temperature: float
    ) -> Moves[int]:
        """Depth by depth: critique the step, revise it, go on behind the revised step."""
        recipe, tree = self.recipe, self.tree
        at = ROOT
        for step in tree.path(self.best):
            source = at if recipe.refine_prefix == "revised" else tree.nodes[step].parent
            prefix = tree.text(source)
            if (step, prefix) not in critiques:
                critiques[step, prefix] = yield from self._critique(step, prefix)
            written = critiques[step, prefix]
            at = yield from self._revise(at, step, prefix, written, (missed, temperature))
            if tree.nodes[at].terminal or tree.nodes[at].pruned:
                return at
        completion = replace(recipe.sampling, temperature=0.0)
        (at,) = yield from sample(tree, 1, completion, at=at)
        return at

    def _critique(self, step: int, prefix: str) -> Moves[str]:
        """The critic's reply on one step, kept in the step's note."""
        recipe, tree = self.recipe, self.tree
        prompt = prompts.critique_step(
            tree.problem.question,
            prefix,
            self._candidate(step),
            [self._candidate(c) for c in siblings(tree, step, recipe.siblings)],
            gold=self._gold,
        )
        (reply,) = yield from _ask("critic", prompt, recipe.critic_tokens)
        tree.nodes[step].note = tree.nodes[step].note or reply.text
        return reply.text

    def _revise(
        self, at: int, step: int, prefix: str, written: str, again: tuple[str | None, float]
    ) -> Moves[int]:
        """Add the step as revised below `at`. What became of it is the new node's note."""
        recipe, tree = self.recipe, self.tree
        original = tree.nodes[step].text
        critique = prompts.read_critique(written)
        missed, temperature = again
        reply = Reply(original.rstrip(), "eos" if tree.nodes[step].terminal else "stop")
        note = UNUSABLE if critique.empty else KEPT
        if not critique.empty and critique.verdict != "keep":
            prompt = prompts.revise_step(
                tree.problem.question, prefix, original, written, gold=self._gold, missed=missed
            )
            stop = recipe.sampling.steps.stop
            (revised,) = yield from _ask(
                "reviser", prompt, recipe.reviser_tokens, stop=stop, temperature=temperature
            )
            note = _became(original, revised.text)
            if note == REVISED:
                # a reviser ends its turn after one step: only an answer ends the solution
                if revised.finished == "eos":
                    revised = replace(revised, finished="stop")
                reply = replace(revised, text=revised.text.strip())
        node = step_node(at, reply, recipe.sampling.steps, author="reviser")
        node.note = f"{note}: {node.note}" if node.pruned else note
        return tree.add(node)

    def _rewrite(
        self, critiques: dict[tuple[int, str], str], missed: str | None, temperature: float
    ) -> Moves[int]:
        """One critique of the whole path, one rewriting of it."""
        recipe, tree = self.recipe, self.tree
        path = tree.path(self.best)
        key = (self.best, "")
        if key not in critiques:
            prompt = prompts.critique_path(
                tree.problem.question,
                [self._candidate(step) for step in path],
                [
                    [self._candidate(c) for c in siblings(tree, step, recipe.siblings)]
                    for step in path
                ],
                gold=self._gold,
            )
            (reply,) = yield from _ask("critic", prompt, 4 * recipe.critic_tokens)
            critiques[key] = tree.nodes[self.best].note = reply.text
        written = critiques[key]
        read = prompts.read_critiques(written, len(path))
        original = tree.text(self.best)
        reply = Reply(original.rstrip(), "eos")
        note = UNUSABLE if all(critique.empty for critique in read) else KEPT
        if any(not critique.empty and critique.verdict != "keep" for critique in read):
            prompt = prompts.revise_path(
                tree.problem.question,
                [tree.nodes[step].text for step in path],
                written,
                gold=self._gold,
                missed=missed,
            )
            (revised,) = yield from _ask(
                "reviser", prompt, 4 * recipe.reviser_tokens, temperature=temperature
            )
            note = _became(original, revised.text)
            reply = revised if note == REVISED else reply
        first = len(tree.nodes)
        end = add_solution(tree, ROOT, reply, recipe.sampling.steps, author="reviser", share=False)
        tree.nodes[first].note = tree.nodes[first].note or note
        return end

    def _candidate(self, step: int) -> Candidate:
        """The step as the critic sees it; Q from -1 to 1, 0 if no simulation went through."""
        node = self.tree.nodes[step]
        return Candidate(node.text, 2 * node.mean - 1 if node.visits else 0.0)

    @property
    def _gold(self) -> str | None:
        return self.tree.problem.answer if self.recipe.show_gold else None


def _ask(
    role: Role,
    prompt: Prompt,
    max_tokens: int,
    *,
    stop: tuple[str, ...] = (),
    temperature: float = 0.0,
) -> Moves[tuple[Reply, ...]]:
    (replies,) = yield [
        Ask(prompt, role, stop=stop, max_tokens=max_tokens, temperature=temperature)
    ]
    return replies


def _became(original: str, revised: str) -> str:
    """What a reviser made of a text: a revision, an echo, or a change of formatting only."""
    if revised.strip() == original.strip() or not revised.strip():
        return IGNORED
    return FORMATTING if bare(revised) == bare(original) else REVISED


def _revised(tree: Tree, index: int) -> bool:
    return any(tree.nodes[i].author == "reviser" for i in tree.path(index))


def _word(tree: Tree, end: int) -> Literal["right", "wrong"]:
    return "right" if tree.nodes[end].reward == 1.0 else "wrong"
