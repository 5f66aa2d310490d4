"""MARGE: guided exploration (2505.12500).

Take one of the policy's own solutions of a problem as a guide: a wrong one if the problem is easy
for it, a right one if it is hard. Sample completions after every prefix of the guide, the states,
so that late steps are explored too and most states see both outcomes. Learn from each state's
completions by REINFORCE with the state's value as baseline, or by DPO, and choose the next guide
from the newest completions.

Differences from the paper
1. An episode is a round: all problems are searched with one policy, which is also the reference.
   The authors' script trains after every 2048 questions.
2. The first pool serves as the completions of the first state, which the policy would only have
   sampled once more after the same prompt.
3. The window of state values that train is in the authors' script only: preset `code`. Otherwise
   every state with right and wrong completions does.
4. Where the pool holds no solution of the wanted kind the old guide is kept, and at the start one
   of the other kind is taken. The script drops such a question: preset `code`.
5. The penalty is the k3 estimate of the KL divergence. From the second step of an episode on the
   completions are the reference's, no longer the trained model's, so it is biased to higher order
   (`learn.losses.k3`). The script's linear term, preset `code`, is no penalty on its own.
6. A completion that was cut off is wrong, and is never taught to end there; the script ends it.
7. The script's states of equal length count a tokenizer's tokens; `Words` counts words, as recipes
   know no tokenizer. How many tokens a state leaves for its completions is estimated from the
   guide's by characters, for the same reason.
8. Steps of a guide that has more than `states` are joined, so that the cost is bounded.
9. A state that is always right is sampled again in the next episode; the script passes it by while
   its guide stays: preset `code`.
10. `advantage` counts the guide's outcome as the value after its last step. What the script calls
    `random` is `right` here, and its `max_prob` is `random`. Per-step advantages and the state
    nearest to 0.5 are not here, nor is the redrawing of pairs until the texts are short and end in
    a full stop.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import ClassVar, Literal

from whorl import prompts
from whorl.ask import Asking, Role, together
from whorl.credit import (
    Completion,
    completions,
    first_right,
    preference_pairs,
    reinforced,
    rewards,
    shuffled,
    usability,
)
from whorl.example import Example, Likelihood, Objective, Preference
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.recipes.guide import (
    Choice,
    guide_nodes,
    mastered,
    read_episode,
    states_of,
    steepest,
    wanted_reward,
)
from whorl.rollout import Sampling, complete
from whorl.search import within_budget
from whorl.steps import split_evenly
from whorl.tree import ROOT, Node, Tree


@dataclass(frozen=True, slots=True)
class Marge:
    """MARGE's settings. The paper and its authors' script are presets (docs/papers.md, "Presets").

    sampling: `solution_tokens` bounds a state and its completion together; `steps` cuts guides.
    pool: solutions per problem in the first episode, of which its guide is one (n1).
    samples: completions per state (n).
    states: per guide at most.
    lead: what every solution begins with, such as "Step 1:"; part of the first state.
    rule: how a guide is chosen: by `preference`; a `random` solution; a random `right` one; by
        `advantage`, regrown after the state where the old guide's value falls most; or `fixed`.
    thresholds: a problem is easy if its value is above, in the first episode and later on.
    start: what to do if the first pool has no solution of the wanted kind.
    window: values strictly between which a state trains.
    mastered: value from which on a state is not sampled again; above 1 all are.
    learn: by the group's advantage, or from one random right and wrong completion of each state.
    kl, penalty, beta: REINFORCE's and DPO's; see `Likelihood` and `Preference`.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("policy",)
    starts: ClassVar[Start] = "last"  # an episode goes on with the policy that it sampled from

    sampling: Sampling = Sampling(temperature=0.8, top_p=0.95, solution_tokens=2048)  # noqa: RUF009
    pool: int = 16
    samples: int = 8
    states: int = 16
    lead: str = ""
    rule: Literal["preference", "random", "right", "advantage", "fixed"] = "preference"
    thresholds: tuple[float, float] = (0.5, 0.5)
    start: Literal["fall_back", "drop"] = "fall_back"
    window: tuple[float, float] = (0.0, 1.0)
    mastered: float = 2.0
    learn: Literal["reinforce", "preference"] = "reinforce"
    kl: float = 0.01
    penalty: Literal["k3", "linear"] = "k3"
    beta: float = 0.05
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if min(self.pool, self.states) < 1 or self.samples < 2:
            raise ValueError("pool and states must be at least 1, and samples at least 2")
        if not 0 <= self.window[0] < self.window[1]:
            raise ValueError("window must be two values, the lower one first")
        if self.kl < 0 or self.beta <= 0:
            raise ValueError("kl must not be negative, and beta must be above 0")

    @property
    def samples_at_most(self) -> int:
        """The samples of the costliest episode, with as many states as there may be."""
        return max(self.pool, self.samples) + self.samples * (self.states - 1)

    @property
    def objective(self) -> Objective:
        """The paper's equation 4, or its equation 3 for `learn="preference"`."""
        if self.learn == "preference":
            return Preference(beta=self.beta)
        return Likelihood(kl=self.kl, penalty=self.penalty, average="completion")

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """One episode: choose a guide, complete it from each of its states.

        The guide is a line of nodes by `guide`; each state's completions are its children by
        `policy`. The provenance says which episode it was and how it came by the guide. Without a
        guide there are no states. Raises `UserError` if `last` is no tree of MARGE's.
        """
        tree = prompts.planted(Tree(problem), self.words)
        if last is not None and last.cut_short and not states_of(last):
            last = None  # there is nothing to go on from
        episode = 1 if last is None else read_episode(last)[0] + 1
        tree.provenance = {"episode": f"{episode}", "guide": "none"}
        with within_budget(tree):
            yield from self._explore(tree, last, episode)
        tree.tip = first_right(tree)
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """Each usable state's completions with their advantages, or one pair of them.

        The guide's states are the method, so a tree that another recipe grew raises `UserError`.
        """
        episode, choice = read_episode(tree)
        if choice == "none":
            return Harvest((), {"no guide": 1})
        examples: list[Example] = []
        dropped: Counter[str] = Counter()
        for state in states_of(tree):
            group = completions(tree, state)
            found = usability(group, self.window)
            if found != "usable":
                dropped[f"state {found}"] += 1
            elif self.learn == "reinforce":
                examples += reinforced(tree, state, group)
            else:
                rng = Random(f"{tree.problem.id}/{episode}/{state}")
                examples += preference_pairs(tree, state, group, most=1, rng=rng)
        return Harvest(tuple(examples), dropped)

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts: the guide's choice and its outcome, and the usability of each state."""
        _, choice = read_episode(tree)
        counts = Counter({f"guide {choice}": 1})
        if choice != "none":
            end = tree.nodes[guide_nodes(tree)[-1]]
            counts["right guide" if end.reward == 1.0 else "wrong guide"] += 1
            if len(states_of(tree)) == 1:
                counts["guides of a single state"] = 1
            for state in states_of(tree):
                counts[f"states {usability(completions(tree, state), self.window)}"] += 1
            if passed := sum(node.mark == "mastered" for node in tree.nodes):
                counts["states mastered"] = passed
        return counts

    def remarks(self, tally: Mapping[str, int]) -> Sequence[str]:
        """A line where most guides have no states to explore: then MARGE samples the question."""
        single = tally.get("guides of a single state", 0)
        guides = tally.get("right guide", 0) + tally.get("wrong guide", 0)
        said = f"marge: {single:,} of {guides:,} guides are a single step, so the only state is "
        said += "the question; sampling.steps says where a step ends"
        return [said] if 2 * single > guides else ()

    def _explore(self, tree: Tree, last: Tree | None, episode: int) -> Asking[None]:
        """Choose the guide and complete it from each of its states."""
        rng = Random(f"{tree.problem.id}/{episode}")
        first = tree.add(Node(ROOT, self.lead, author="guide")) if self.lead else ROOT
        if last is None:
            yield from complete(tree, first, self.pool, self.sampling)
            end, choice = self._first_guide(tree, first, rng)
        else:
            end, choice = self._next_guide(last, rng)
        tree.provenance["guide"] = choice
        if end is not None:
            states = self._follow(tree, first, last or tree, end)
            new = states[1:] if last is None else self._unmastered(tree, states, last)
            yield from together([complete(tree, s, self.samples, self.sampling) for s in new])

    def _unmastered(self, tree: Tree, states: Sequence[int], last: Tree) -> list[int]:
        """The states that are sampled again; the others are marked."""
        known, new = mastered(last, self.mastered), []
        for state in states:
            if tree.text(state) in known:
                tree.nodes[state].mark = "mastered"
            else:
                new.append(state)
        return new

    def _first_guide(self, tree: Tree, first: int, rng: Random) -> tuple[int | None, Choice]:
        """The end of a solution of the first pool, and how it was chosen."""
        pool = completions(tree, first)
        chosen = self._choose(pool, self.thresholds[0], rng)
        if chosen is not None:
            return chosen, "chosen"
        if not pool or self.start == "drop":
            return None, "none"
        return shuffled(pool, pool[0].reward, rng)[0].node, "fallback"  # all of the other kind

    def _next_guide(self, last: Tree, rng: Random) -> tuple[int | None, Choice]:
        """The end of a solution in the tree of the episode before, and how it was chosen."""
        if read_episode(last)[1] == "none":
            return None, "none"
        first = guide_nodes(last)[0] if self.lead else ROOT
        if self.rule == "advantage":
            worst = steepest(last, states_of(last))
            if worst is not None:
                return shuffled(completions(last, worst), 1.0, rng)[0].node, "regrown"
        elif self.rule != "fixed":
            newest = self._choose(completions(last, first), self.thresholds[1], rng)
            if newest is not None:
                return newest, "chosen"
        return guide_nodes(last)[-1], "kept"

    def _choose(self, pool: Sequence[Completion], threshold: float, rng: Random) -> int | None:
        """The end of a random solution with the wanted reward; None if the pool has none."""
        if not pool:
            return None
        wanted = {"random": None, "right": 1.0}.get(
            self.rule, wanted_reward(fmean(rewards(pool)), threshold)
        )
        return next((one.node for one in shuffled(pool, wanted, rng)), None)

    def _follow(self, tree: Tree, first: int, source: Tree, end: int) -> list[int]:
        """Add the solution of `source` that ends at `end` below the first state, a node per step,
        and return its states. Its tokens are shared out among the steps by their characters."""
        line = source.path(end)[1 if self.lead else 0 :]  # what follows the first state
        whole = "".join(source.nodes[i].text for i in line)
        tokens = sum(source.nodes[i].tokens for i in line)
        runs = split_evenly(self.sampling.split(whole), self.states)
        states, read, spent = [first], 0, 0
        for text in ["".join(run) for run in runs] or [whole]:
            read += len(text)
            share = tokens * read // max(1, len(whole)) - spent
            states.append(tree.add(Node(states[-1], text, author="guide", tokens=share)))
            spent += share
        last = tree.nodes[states.pop()]
        given = source.nodes[end]
        last.terminal, last.pruned = given.terminal, given.pruned
        last.reward, last.mark = given.reward, given.mark
        return states
