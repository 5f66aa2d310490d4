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
solutions that the policy completed a step to hang below it, by `search.ROLLOUT`, without a value.

Differences from the paper, of which only digests were at hand; no code is released
1. The formula of the advantage is unknown. Both readings are here; they differ by a constant among
   siblings, so they keep the same steps, and rank apart only solutions that part company.
2. Two chains: the best goes on from the best step only, the worst from the worst. The paper may
   mean a binary tree: `expand="full_binary"`, at most 6 steps deep.
3. What makes the worst step plausible is ours. No candidate may be empty, be cut off, repeat an
   earlier step, be in another script than the question, or end the solution without an answer; the
   worst must score `floor` if any does, and differ from the best by more than blanks and case.
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

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias

from whorl import prompts
from whorl.ask import Ask, Moves, Prompt, Reply, Role
from whorl.errors import UserError
from whorl.example import Objective, Pair, Preference
from whorl.problem import Problem
from whorl.recipe import Harvest, Start
from whorl.search import (
    CUT_OFF,
    ROLLOUT,
    SPINE,
    Sampling,
    backup,
    kept,
    sample,
    settle,
    step_node,
    together,
)
from whorl.tree import ROOT, Node, Tree

Side: TypeAlias = Literal["max", "min"]

BOTH: tuple[Side, ...] = ("max", "min")
BINARY_DEPTH = 6  # 63 expansions
REFLECTOR = "reflector"
CORRECTOR = "corrector"
CORRECTION = (REFLECTOR, CORRECTOR)
POLICY = ("policy", ROLLOUT, SPINE)
NO_CONTRAST = "no contrast"
NOT_KEPT = "neither best nor worst"
UNUSABLE = "unusable reflection"
SCRIPTS = (
    *("ARABIC", "CJK", "CYRILLIC", "DEVANAGARI", "HANGUL"),
    *("HEBREW", "HIRAGANA", "KATAKANA", "THAI"),
)  # of languages; Greek and other letters belong to mathematics


@dataclass(frozen=True, slots=True)
class Sphere:
    """SPHERE's settings; the default is the paper, as far as it is known.

    sampling: of steps, rollouts and reflections.
    candidates, depth: steps sampled per depth, and depths at most.
    expand: see 2 above.
    score: by the role `prm`, or by `rollouts` completions of the policy.
    advantage: what a step is worth: how far it raised the score, or its score and that.
    floor: least score of a plausible worst step.
    tries: reflections on a wrong solution at most; 0 leaves stage 2 out.
    stage2_prompt: the pairs of stage 2: after the plain question, after the request to reflect.
    small_candidates: as `candidates`, of the role `small`; 0 leaves stage 3 out.
    pairs: per question at most.
    length_ratio: of a pair's solutions at most, in characters, either way.
    beta, nll: the objective's.
    """

    starts: ClassVar[Start] = "last"  # as iterative DPO; the paper says nothing of rounds

    sampling: Sampling = Sampling(temperature=0.8)  # noqa: RUF009
    candidates: int = 5
    depth: int = 16
    expand: Literal["chains", "full_binary"] = "chains"
    score: Literal["prm", "rollouts"] = "prm"
    rollouts: int = 4
    advantage: Literal["progress", "value_plus_progress"] = "value_plus_progress"
    floor: float = 0.05
    tries: int = 2
    stage2_prompt: Literal["plain", "correction", "both"] = "both"
    small_candidates: int = 10
    pairs: int = 2
    length_ratio: float = 3.0
    beta: float = 0.1
    nll: float = 0.1

    def __post_init__(self) -> None:
        for name in ("candidates", "depth", "rollouts", "pairs", "length_ratio"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if min(self.tries, self.small_candidates, self.floor) < 0:
            raise ValueError("tries, small_candidates and floor must not be negative")
        Preference(self.beta, self.nll)  # raises if they make no sense

    @property
    def roles(self) -> Sequence[Role]:
        """The policy; the PRM and the small model as far as the settings need them."""
        asked: dict[Role, bool] = {
            "policy": True,
            "prm": self.score == "prm",
            "small": self.small_candidates > 0,
        }
        return tuple(role for role, needed in asked.items() if needed)

    @property
    def samples_at_most(self) -> int:
        """Every chain runs to full depth and every candidate is scored; stages 2 and 3 exclude each
        other."""
        expansions = 2 * self._depth - 1 if self.expand == "chains" else 2**self._depth - 1
        each = expansions * (1 + (1 if self.score == "prm" else self.rollouts))
        own = each * self.candidates
        return own + max(self.tries * (1 + own), each * self.small_candidates)

    @property
    def objective(self) -> Objective:
        """Direct preference optimization, with the chosen solution's likelihood added."""
        return Preference(self.beta, self.nll)

    @property
    def _depth(self) -> int:
        return self.depth if self.expand == "chains" else min(self.depth, BINARY_DEPTH)

    def grow(self, problem: Problem, last: Tree | None = None) -> Moves[Tree]:
        """Search; where only wrong solutions were found reflect, where only right ones ask `small`.

        Raises UserError if the engine for `prm` gives no score in [0, 1].
        """
        tree = Tree(problem)
        plain = prompts.solve(problem.question)
        with kept(tree):
            yield from _Search(self, tree, plain, self.candidates).run(ROOT, BOTH, self._depth)
            right, wrong = outcomes(tree, *POLICY)
            if wrong and not right:
                yield from self._correct(tree, wrong[0])
            elif right and not wrong and self.small_candidates:
                small = _Search(self, tree, plain, self.small_candidates, "small", "small")
                yield from small.run(ROOT, BOTH, self._depth)
        right = outcomes(tree, *POLICY)[0] or outcomes(tree, *CORRECTION)[0]
        tree.tip = right[0] if right else ROOT
        return tree

    def _correct(self, tree: Tree, missed: int) -> Moves[None]:
        """Reflect on the solution that ends at `missed` and solve again, until one is right."""
        prompt = prompts.reflect(tree.problem.question, tree.text(missed))
        for _ in range(self.tries):
            ask = Ask(
                prompt,
                stop=(prompts.CORRECTED,),
                max_tokens=self.sampling.solution_tokens,
                temperature=self.sampling.temperature,
                top_p=self.sampling.top_p,
            )
            ((reply,),) = yield [ask]
            at = tree.add(_reflection(reply))
            if not tree.nodes[at].pruned:
                after = replace(prompt, prefix=tree.nodes[at].note)
                search = _Search(self, tree, after, self.candidates, author=CORRECTOR)
                yield from search.run(at, BOTH, self._depth)
            if outcomes(tree, *CORRECTION)[0]:
                return

    def prune(self, tree: Tree, steps: Sequence[int]) -> tuple[int, int]:
        """The best and the worst of scored candidates, the first of equals; the best twice if there
        is no other."""

        def merit(step: int) -> tuple[float, float]:
            return self.reward(tree, step), worth(tree, step)  # a difference may round scores equal

        best = max(steps, key=merit)
        seen = _plain(tree.nodes[best].text)
        others = [step for step in steps if _plain(tree.nodes[step].text) != seen]
        plausible = [step for step in others if worth(tree, step) >= self.floor]
        worst = min(plausible or others, key=merit, default=best)
        return best, worst

    def reward(self, tree: Tree, step: int) -> float:
        """R(s_t): the score v_t of the first step; of a later one v_t - v_(t-1), the `progress`, or
        v_t + (v_t - v_(t-1)), the `value_plus_progress`. Both are readings of 2503.04813."""
        score = worth(tree, step)
        before = tree.nodes[step].parent
        if tree.nodes[before].author in ("", REFLECTOR):
            return score
        progress = score - worth(tree, before)
        return progress if self.advantage == "progress" else score + progress

    def harvest(self, tree: Tree) -> Harvest:
        """Pairs of whole solutions, the chosen one right, the rejected one wrong.

        Any tree with whole solutions by the policy can be paired, scored by the nodes' mean outcome
        where there is no PRM's score. Raises UserError if the policy had no part in the tree.
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
        """The pairs of the stage that applies, best first, and what it lacked."""
        right, wrong = outcomes(tree, *POLICY)
        dropped: Counter[str] = Counter()
        plain = prompts.solve(tree.problem.question)
        if right and wrong:
            matched = self.matched(tree)
            different = {_plain(tree.text(end)) for end in (*right, *wrong)}
            dropped["same text"] = len(right) + len(wrong) - len(different)
            return [_pair(tree, plain, *ends) for ends in matched], dropped
        if wrong:
            corrected, missed = outcomes(tree, *CORRECTION)
            pairs = []
            if corrected and self.stage2_prompt != "correction":
                pairs.append(_pair(tree, plain, corrected[0], wrong[0]))
            if corrected and self.stage2_prompt != "plain":
                same = [end for end in missed if tree.path(end)[0] == tree.path(corrected[0])[0]]
                reflect = prompts.reflect(tree.problem.question, tree.text(wrong[0]))
                for end in (same or missed)[-1:]:
                    pairs.append(_pair(tree, reflect, corrected[0], end, reflected=True))
                dropped["no wrong correction"] = int(not missed)
            dropped["no right solution"] = int(not corrected)
            return pairs, dropped
        if right:
            _, slips = outcomes(tree, "small")
            dropped["no wrong solution"] = int(not slips)
            return [_pair(tree, plain, right[0], end) for end in slips[-1:]], dropped
        return [], Counter({"no whole solution": 1})

    def matched(self, tree: Tree) -> list[tuple[int, int]]:
        """The policy's distinct right solutions with its distinct wrong ones: the highest mean
        reward per step with the lowest, and so on."""

        def merit(end: int) -> float:
            path = tree.path(end)
            return sum(self.reward(tree, step) for step in path) / len(path)

        right, wrong = (_distinct(tree, ends) for ends in outcomes(tree, *POLICY))
        right.sort(key=merit, reverse=True)
        wrong.sort(key=merit)
        return list(zip(right, wrong, strict=False))

    def _fits(self, pair: Pair) -> bool:
        shorter, longer = sorted((len(pair.chosen), len(pair.rejected)))
        return longer <= self.length_ratio * shorter

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """What the policy's chains came to, what the later stages did, and guards that fired."""
        right, wrong = outcomes(tree, *POLICY)
        found = "only right" if right else "only wrong" if wrong else "no whole solution"
        counts = Counter({"right and wrong" if right and wrong else found: 1})
        pairs = self.matched(tree)
        counts["prm inverted"] = sum(_rank(tree, bad) > _rank(tree, good) for good, bad in pairs)
        counts["reflections"] = sum(node.author == REFLECTOR for node in tree.nodes)
        counts["corrected"] = int(bool(outcomes(tree, *CORRECTION)[0]))
        counts["small model wrong"] = int(bool(outcomes(tree, "small")[1]))
        for note in (NO_CONTRAST, UNUSABLE):
            counts[note] = sum(node.note.startswith(note) for node in tree.nodes)
        return counts


def worth(tree: Tree, index: int) -> float:
    """A step's score in [0, 1]: the PRM's, or its mean outcome in a tree without one."""
    node = tree.nodes[index]
    return node.mean if node.value is None else node.value


def outcomes(tree: Tree, *authors: str) -> tuple[list[int], list[int]]:
    """Ends of the right and of the wrong solutions that `authors` alone wrote, best first.

    In a tree with scores a solution counts that was kept to its end.
    """
    nodes = tree.nodes
    scored = any(node.value is not None for node in nodes)
    ends = [
        end
        for end in tree.leaves()
        if not nodes[end].pruned
        and (nodes[end].value is not None or not scored)
        and all(nodes[step].author in authors for step in tree.path(end))
    ]
    ends.sort(key=lambda end: _rank(tree, end), reverse=True)
    right = [end for end in ends if nodes[end].reward == 1.0]
    return right, [end for end in ends if nodes[end].reward == 0.0]


@dataclass(frozen=True, slots=True)
class _Search:
    """One pruned search: who proposes how many candidates after which prompt, and signs how."""

    recipe: Sphere
    tree: Tree
    prompt: Prompt
    candidates: int
    role: Role = "policy"
    author: str = "policy"

    def run(self, at: int, sides: Sequence[Side], left: int) -> Moves[None]:
        """Go on from `at` with the best step, the worst or both, for `left` more steps at most.

        The chains share candidates until they part, then run side by side.
        """
        tree, recipe = self.tree, self.recipe
        if (outcome := tree.nodes[at].reward) is not None:
            backup(tree, at, outcome)
            return
        steps = yield from self._propose(at, left)
        if not steps:
            return  # every candidate leads nowhere
        yield from self._score(steps)
        best, worst = recipe.prune(tree, steps)
        if best == worst and "min" in sides:
            tree.nodes[best].note = NO_CONTRAST
        chosen: dict[Side, int] = {"max": best, "min": worst}
        ways: dict[int, list[Side]] = {}
        for side in sides:
            ways.setdefault(chosen[side], []).append(side)
        for step in steps:
            if step not in ways:
                tree.nodes[step].pruned = True
                tree.nodes[step].note = NOT_KEPT
        binary = recipe.expand == "full_binary"
        yield from together(
            [self.run(step, BOTH if binary else own, left - 1) for step, own in ways.items()]
        )

    def _propose(self, at: int, left: int) -> Moves[list[int]]:
        """Sample candidates, add the distinct ones; returns those that lead somewhere."""
        tree, sampling = self.tree, self.recipe.sampling
        ask = Ask(
            replace(self.prompt, prefix=self.prompt.prefix + tree.text(at)),
            self.role,
            n=self.candidates,
            stop=sampling.steps.stop,
            max_tokens=sampling.step_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
        )
        (replies,) = yield [ask]
        added: dict[str, int] = {}
        for reply in replies:
            node = step_node(at, reply, sampling.steps, author=self.author)
            if node.text in added:
                tree.nodes[added[node.text]].copies += 1
                continue
            fault = None if node.pruned else self._fault(node, reply, left)
            if fault is not None:
                node.pruned, node.terminal, node.note = True, False, fault
            added[node.text] = tree.add(node)
        new = list(added.values())
        yield from settle(tree, new)
        return [step for step in new if not tree.nodes[step].pruned]

    def _fault(self, node: Node, reply: Reply, left: int) -> str | None:
        """Why no solution should go through a step."""
        tree = self.tree
        if reply.finished == "length":
            return CUT_OFF
        if _plain(node.text) in {_plain(tree.nodes[i].text) for i in tree.path(node.parent)}:
            return "repeats an earlier step"
        if _scripts(node.text) - _scripts(tree.problem.question):
            return "in another script"
        if left == 1 and not node.terminal:
            return "not finished within the depth limit"
        return None

    def _score(self, steps: Sequence[int]) -> Moves[None]:
        """Give every candidate its value."""
        tree = self.tree
        if self.recipe.score == "rollouts":
            yield from together([self._complete(step) for step in steps])
            return
        plain = prompts.solve(tree.problem.question)
        asks = [Ask(replace(plain, prefix=tree.text(step)), role="prm") for step in steps]
        replies = yield asks
        for step, (reply,) in zip(steps, replies, strict=True):
            if reply.value is None or not 0 <= reply.value <= 1:
                raise UserError(f"`prm` must give a value in [0, 1], not {reply.value}")
            tree.nodes[step].value = reply.value

    def _complete(self, step: int) -> Moves[None]:
        """Value of a step by Monte Carlo: the share of completions that are right; at the end of a
        solution its outcome."""
        tree, recipe = self.tree, self.recipe
        if tree.nodes[step].terminal:
            tree.nodes[step].value = tree.nodes[step].reward
            return
        ends = yield from sample(tree, recipe.rollouts, recipe.sampling, at=step, author=ROLLOUT)
        results = [tree.nodes[end].reward for end in ends]
        for end, outcome in zip(ends, results, strict=True):
            if outcome is not None:
                backup(tree, end, outcome)
        tree.nodes[step].value = results.count(1.0) / recipe.rollouts


def _reflection(reply: Reply) -> Node:
    """The node under which a solution is corrected: pruned if there is no new solution to come."""
    text = reply.text.rstrip("\n *#")  # a heading's marks before `CORRECTED` go with it
    usable = reply.finished == "stop" and bool(text.strip())
    after = f"\n\n{prompts.CORRECTED}\n\n"
    return Node(
        ROOT,
        author=REFLECTOR,
        note=text + after if usable else f"{UNUSABLE}: {reply.text}",
        pruned=not usable,
        tokens=reply.tokens,
        logprob=reply.logprob,
    )


def _pair(
    tree: Tree, prompt: Prompt, chosen: int, rejected: int, *, reflected: bool = False
) -> Pair:
    """Two solutions as completions of `prompt`, each after its reflection if `reflected`."""

    def written(end: int) -> str:
        reflection = tree.nodes[tree.path(end)[0]].note if reflected else ""
        return reflection + tree.text(end).rstrip()

    origin = tree.origin(chosen, rejected)
    return Pair(prompt, written(chosen), written(rejected), origin=origin)


def _rank(tree: Tree, end: int) -> list[tuple[float, int]]:
    """Sorts solutions as the search does: where two part, by the steps' scores, then by age."""
    return [(worth(tree, step), -step) for step in tree.path(end)]


def _distinct(tree: Tree, ends: Sequence[int]) -> list[int]:
    """The first of the solutions that say the same but for blanks and case."""
    return list({_plain(tree.text(end)): end for end in reversed(ends)}.values())[::-1]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _scripts(text: str) -> set[str]:
    letters = (unicodedata.name(c, "") for c in text if not c.isascii() and c.isalpha())
    return {name for name in (letter.partition(" ")[0] for letter in letters) if name in SCRIPTS}
