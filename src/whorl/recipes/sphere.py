"""SPHERE: pairs from a search pruned to its best and its worst step (2503.04813).

At every depth a process reward model (PRM) scores some candidate steps; the chain of best steps
and the chain of worst ones are a strong and a weak solution of the problem. Where both are wrong
the policy reflects on one and solves again; where both are right a smaller model makes the
mistakes. The policy is trained by preference on the pairs of a right and a wrong solution.

The tree: the policy's chains hang from the root. A reflection is a child of the root by
`reflector`, without text: its note is what the policy wrote about its wrong solution, and below it
hang the steps of the new solution, by `corrector`. So the texts along any path are a solution and
nothing else. The small model's chains hang from the root, by `small`. A candidate that was not kept
is pruned; one that was scored keeps its score in `Node.value`. With `score="rollouts"` the
solutions that the policy completed a step to hang below it, by `rollout`, without a value.

Differences from the paper, of which only digests were at hand; no code is released
1. The formula of the advantage is unknown. The progress v_t - v_(t-1) may stand alone or be added
   to v_t, as here: among siblings the two differ by a constant, so they keep the same steps, and
   rank apart only solutions that part company.
2. Two chains: the best goes on from the best step only, the worst from the worst. The paper may
   mean a binary tree. Depth 16 is ours.
3. The E steps that differ by more than blanks and case are sought in `draws` asks; there may be
   fewer, and one that is closed at once is replaced by its like alone. What makes the worst step
   plausible is ours. No candidate may be empty, be cut off, repeat an earlier step, be in another
   script, or end without an answer; the worst must score `floor` if any does.
4. Right and wrong are the verifier's, not the PRM's. If the best chain is wrong and the worst one
   right, they are paired the other way round, and counted.
5. A chain that ends in no answer is neither right nor wrong: stage 2 follows where none is right
   and one is wrong, stage 3 where none is wrong and one is right.
6. Stage 2 reflects on the best wrong solution, twice at most. It gives a pair after the plain
   question (the corrected solution over the wrong one) and a pair after the request to reflect
   (reflection and solution, both right over both wrong). Stage 3 pairs the policy's best solution
   with the small model's worst.
7. Guards: equal texts, length ratio, pairs per question. beta, and the likelihood that is added
   because DPO on mathematics lowers that of the chosen solution too, are ours.
8. `score="rollouts"` is for those without a PRM: the share of the policy's completions that are
   right (Math-Shepherd, 2312.08935).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal, TypeAlias

from whorl import credit, prompts, search
from whorl.answer.thoughts import without_thoughts
from whorl.ask import Asking, Role, together
from whorl.errors import UserError
from whorl.example import Objective, Pair, Preference
from whorl.problem import Problem
from whorl.prompts.reflection import STOPS, read_reflection
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.recipes.correction import CORRECTION, corrected_pairs
from whorl.rollout import Sampling, Voice, estimate
from whorl.search import cut_off, faults, other_script, repeats, too_deep
from whorl.steps import same_words
from whorl.tree import ROOT, Author, Node, Tree

Side: TypeAlias = Literal["max", "min"]

BOTH: tuple[Side, ...] = ("max", "min")
POLICY: tuple[Author, ...] = ("policy", "rollout", "spine")
SMALL: tuple[Author, ...] = ("small",)


@dataclass(frozen=True, slots=True)
class Sphere:
    """SPHERE's settings; the default is the paper, as far as it is known.

    sampling: of steps, rollouts and reflections.
    candidates, depth: distinct steps sought per depth, and depths at most.
    draws: asks at most in which they are sought, each for those that are still missing.
    score: by the role `prm`, or by `rollouts` of the policy.
    rollouts: completions of each step, where those score.
    floor: least score of a plausible worst step.
    tries: reflections on a wrong solution at most; 0 leaves stage 2 out.
    small_candidates: as `candidates`, of the role `small`; 0 leaves stage 3 out.
    pairs: per question at most.
    length_ratio: of a pair's solutions at most, in characters, either way.
    beta, nll: the objective's.
    words: in which models are asked.
    """

    starts: ClassVar[Start] = "last"  # as iterative DPO; the paper says nothing of rounds
    sampling: Sampling = Sampling(temperature=0.8)  # noqa: RUF009
    candidates: int = 5
    draws: int = 3
    depth: int = 16
    score: Literal["prm", "rollouts"] = "prm"
    rollouts: int = 4
    floor: float = 0.05
    tries: int = 2
    small_candidates: int = 10
    pairs: int = 2
    length_ratio: float = 3.0
    beta: float = 0.1
    nll: float = 0.1
    words: Wording = WHORL

    def __post_init__(self) -> None:
        for name in ("candidates", "draws", "depth", "rollouts", "pairs", "length_ratio"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if min(self.tries, self.small_candidates, self.floor) < 0:
            raise ValueError("tries, small_candidates and floor must not be negative")
        Preference(self.beta, self.nll)  # raises if they make no sense

    @property
    def roles(self) -> Sequence[Role]:
        """The policy; PRM and small model if the settings need them."""
        prm: Sequence[Role] = ("prm",) if self.score == "prm" else ()
        small: Sequence[Role] = ("small",) if self.small_candidates else ()
        return ("policy", *prm, *small)

    @property
    def samples_at_most(self) -> int:
        """The samples if chains run to full depth; stages 2 and 3 exclude each other."""
        expansions = 2 * self.depth - 1
        each = expansions * (self.draws + (1 if self.score == "prm" else self.rollouts))
        own = each * self.candidates
        return own + max(self.tries * (1 + own), each * self.small_candidates)

    @property
    def objective(self) -> Objective:
        """Direct preference optimization, with the chosen solution's likelihood added."""
        return Preference(self.beta, self.nll)

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Search; where only wrong solutions were found reflect, where only right ones ask `small`.

        Raises UserError if the engine for `prm` gives no score in [0, 1].
        """
        tree = prompts.planted(Tree(problem), self.words)
        policy = Voice.of_policy(tree)
        with search.within_budget(tree):
            yield from self._search(tree, ROOT, policy, self.candidates)
            right, wrong = credit.solutions(tree, POLICY)
            if wrong and not right:
                yield from self._correct(tree, wrong[0])
            elif right and not wrong and self.small_candidates:
                small = policy._replace(role="small", author="small")
                yield from self._search(tree, ROOT, small, self.small_candidates)
        right = credit.solutions(tree, POLICY)[0] or credit.solutions(tree, CORRECTION)[0]
        tree.tip = right[0] if right else ROOT
        return tree

    def _search(self, tree: Tree, root: int, voice: Voice, candidates: int) -> Asking[None]:
        """Grow the best chain and the worst chain of `voice` below `root`."""
        fault = faults(cut_off, repeats, other_script, too_deep(self.depth, root))
        sample = partial(search.expand, tree, sampling=self.sampling, voice=voice, fault=fault)

        def propose(at: int) -> Asking[list[int]]:
            distinct: dict[str, int] = {}
            for _ in range(self.draws):
                if missing := candidates - len(distinct):
                    for step in (yield from sample(at, n=missing)):
                        twin = distinct.setdefault(said := same_words(tree.nodes[step].text), step)
                        if tree.nodes[twin].pruned and not tree.nodes[step].pruned:
                            distinct[said] = step  # its twin leads nowhere
                        elif twin != step:
                            credit.prune(tree.nodes[step], "repeated")
            return list(distinct.values())

        yield from self._go_on(tree, root, BOTH, propose)

    def _go_on(
        self, tree: Tree, at: int, sides: Sequence[Side], propose: search.Expansion
    ) -> Asking[None]:
        """Go on from `at` with the best of the proposed steps, the worst or both.

        The chains share candidates until they part, then run side by side.
        """
        if tree.nodes[at].reward is not None:
            credit.backup_all(tree, [at])
            return
        proposed = yield from propose(at)
        steps = [step for step in proposed if not tree.nodes[step].pruned]
        if not steps:
            return  # every candidate leads nowhere
        if self.score == "prm":
            yield from search.score(tree, steps)
        else:
            yield from estimate(tree, steps, self.rollouts, self.sampling)
        best, worst = self.prune(tree, steps)
        if best == worst and "min" in sides:
            tree.nodes[best].mark = "no contrast"
        chosen: dict[Side, int] = {"max": best, "min": worst}
        ways: dict[int, list[Side]] = {}
        for side in sides:
            ways.setdefault(chosen[side], []).append(side)
        for step in steps:
            if step not in ways:
                tree.nodes[step].pruned = True
                tree.nodes[step].mark = "not kept"
        yield from together([self._go_on(tree, step, own, propose) for step, own in ways.items()])

    def _correct(self, tree: Tree, missed: int) -> Asking[None]:
        """Reflect on the solution that ends at `missed` and solve again, until one is right."""
        prompt = prompts.reflect(tree.problem.question, tree.text(missed), self.words)
        ask = replace(self.sampling.solution(prompt), stop=STOPS)
        for _ in range(self.tries):
            ((reply,),) = yield [ask]
            said = without_thoughts(reply.text).lstrip("\n")
            text = read_reflection(said, stopped=reply.finished == "stop")
            node = Node(ROOT, author="reflector", tokens=reply.tokens, logprob=reply.logprob)
            at = tree.add(node)
            if not text.strip():
                node.note = said
                credit.prune(node, "unusable reflection")
                continue
            node.note = f"{text}\n\n{prompts.CORRECTED}\n\n"
            voice = Voice(replace(prompt, prefix=node.note), author="corrector")
            yield from self._search(tree, at, voice, self.candidates)
            if credit.solutions(tree, CORRECTION)[0]:
                return

    def prune(self, tree: Tree, steps: Sequence[int]) -> tuple[int, int]:
        """The best and the worst of scored candidates; twice the best if there is no other."""

        def merit(step: int) -> tuple[float, float]:  # a difference may round scores equal
            return self.reward(tree, step), credit.step_value(tree, step)

        best = max(steps, key=merit)
        seen = same_words(tree.nodes[best].text)
        others = [step for step in steps if same_words(tree.nodes[step].text) != seen]
        plausible = [step for step in others if credit.step_value(tree, step) >= self.floor]
        worst = min(plausible or others, key=merit, default=best)
        return best, worst

    def reward(self, tree: Tree, step: int) -> float:
        """R(s_t) = v_t + (v_t - v_(t-1)), and the score v_1 of the first step."""
        value = credit.step_value(tree, step)
        before = tree.nodes[step].parent
        if tree.nodes[before].author in ("", "reflector"):
            return value
        return value + (value - credit.step_value(tree, before))

    def harvest(self, tree: Tree) -> Harvest:
        """Pairs of whole solutions, the chosen one right, the rejected one wrong.

        Trees without a PRM's score are paired by mean outcome. Raises UserError for trees in which
        the policy had no part.
        """
        policy = any(node.author == "policy" for node in tree.nodes)
        if len(tree.nodes) > 1 and not policy and not tree.cut_short:
            raise UserError(
                f"{tree.problem.id}: SPHERE pairs solutions by the policy, and this tree has none"
            )
        found, dropped = self._found(tree)
        fit = [pair for pair in found if self._fits(pair)]
        dropped["length ratio"] = len(found) - len(fit)
        dropped["more than `pairs`"] = len(fit[self.pairs :])
        return Harvest(tuple(fit[: self.pairs]), {why: n for why, n in dropped.items() if n})

    def _found(self, tree: Tree) -> tuple[list[Pair], Counter[str]]:
        """Pairs of the stage that applies, best first, and counts of what it lacked."""
        right, wrong = credit.solutions(tree, POLICY)
        plain = prompts.plain(tree)
        if right and wrong:
            same = len(right) + len(wrong) - len(credit.distinct_solutions(tree, [*right, *wrong]))
            pairs = [credit.solution_pair(tree, plain, *ends) for ends in self.matched(tree)]
            return pairs, Counter({"same text": same})
        if wrong:
            return corrected_pairs(tree, wrong[0], self.words)
        if right:
            slips = credit.solutions(tree, SMALL)[1]
            pairs = [credit.solution_pair(tree, plain, right[0], end) for end in slips[-1:]]
            return pairs, Counter({"no wrong solution": int(not slips)})
        return [], Counter({"no whole solution": 1})

    def matched(self, tree: Tree) -> list[tuple[int, int]]:
        """Pairs of right and wrong solutions: the highest mean reward with the lowest, etc."""

        def merit(end: int) -> float:
            path = tree.path(end)
            return sum(self.reward(tree, step) for step in path) / len(path)

        right, wrong = (credit.distinct_solutions(tree, e) for e in credit.solutions(tree, POLICY))
        right.sort(key=merit, reverse=True)
        wrong.sort(key=merit)
        return list(zip(right, wrong, strict=False))

    def _fits(self, pair: Pair) -> bool:
        shorter, longer = sorted((len(pair.chosen), len(pair.rejected)))
        return longer <= self.length_ratio * shorter

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts: outcomes of the chains, results of the later stages, guards that fired."""
        right, wrong = credit.solutions(tree, POLICY)
        found = "only right" if right else "only wrong" if wrong else "no whole solution"
        counts = Counter({"right and wrong" if right and wrong else found: 1})
        rank = partial(credit.solution_rank, tree)
        counts["prm inverted"] = sum(rank(bad) > rank(good) for good, bad in self.matched(tree))
        counts["reflections"] = sum(node.author == "reflector" for node in tree.nodes)
        counts["corrected"] = int(bool(credit.solutions(tree, CORRECTION)[0]))
        counts["small model wrong"] = int(bool(credit.solutions(tree, SMALL)[1]))
        marks = Counter(node.mark for node in tree.nodes)
        counts.update({mark: marks[mark] for mark in ("no contrast", "unusable reflection")})
        return counts
