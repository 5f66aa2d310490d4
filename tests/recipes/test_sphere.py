"""SPHERE, driven by hand and over the toy world."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl import prompts
from whorl.answer import extract
from whorl.ask import Ask, Prompt, Replies, Reply
from whorl.credit import solutions, step_value
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.example import Pair, Preference
from whorl.problem import Problem
from whorl.prompts.reflection import STOPS
from whorl.recipe import Harvest
from whorl.recipes.distill import Distill
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.recipes.sphere import Sphere
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.steps import BlankLine
from whorl.tree import ROOT, Node, Tree

SPHERE = Sphere(sampling=Sampling(temperature=0.8, steps=BlankLine(min_chars=0)), draws=1)
PROBLEM = Problem("p", "Add 3 and 4.", "7")
PLAIN = prompts.solve(PROBLEM.question)


def run(
    recipe: Sphere | Rft | Sigma | Distill,
    problems: Sequence[Problem],
    answer: Callable[[Ask], Replies] = toy.answer,
    *,
    roles: Sequence[str] = (),
    seed: int = 0,
) -> list[Tree]:
    searches = ((p.id, recipe.grow(p)) for p in problems)
    engines = dict.fromkeys(roles or recipe.roles, Function(answer))
    done = sorted(drive(searches, engines, seed=seed), key=lambda f: f.key)
    assert [f.error for f in done] == [None] * len(problems)
    return [f.result for f in done if f.result is not None]


def pairs(crop: Harvest) -> list[Pair]:
    assert all(isinstance(example, Pair) for example in crop.examples)
    return [example for example in crop.examples if isinstance(example, Pair)]


class Script:
    """Answers from tables and remembers what was asked: next steps by role and what they follow,
    scores by the last step, reflections in turn. What no table has is a step cut off."""

    def __init__(
        self,
        steps: Mapping[str, Sequence[str]],
        scores: Mapping[str, float],
        reflections: Sequence[Reply] = (),
    ):
        self.steps, self.scores, self.reflections = steps, scores, list(reflections)
        self.asked: list[Ask] = []

    def answer(self, ask: Ask) -> Replies:
        self.asked.append(ask)
        if ask.role == "prm":
            return (Reply(value=self.scores[ask.prompt.prefix.strip().rpartition("\n")[2]]),)
        if ask.stop == STOPS:
            return (self.reflections.pop(0),)
        last = ask.prompt.prefix.strip().rpartition("\n")[2]
        texts = self.steps.get(f"{ask.role}: {last}", [])
        drawn = [Reply(t, "eos" if "boxed" in t else "stop", tokens=1) for t in texts]
        return tuple((drawn + [Reply("and", "length")] * ask.n)[: ask.n])

    def grow(self, recipe: Sphere) -> Tree:
        (tree,) = run(recipe, [PROBLEM], self.answer)
        return tree

    def count(self, role: str) -> int:
        return sum(ask.role == role for ask in self.asked)


STAGE_1 = {
    "policy: ": ["3+4=7", "3+4=8", "three", "3+4=9", "3+4=9"],
    "policy: 3+4=7": ["it is \\boxed{7}", "\\boxed{8}"],
    "policy: 3+4=8": ["so \\boxed{8}", "sure: \\boxed{7}"],
}
SCORES = {
    "3+4=7": 0.9, "3+4=8": 0.1, "three": 0.03, "3+4=9": 0.5,
    "it is \\boxed{7}": 0.95, "\\boxed{8}": 0.2, "so \\boxed{8}": 0.3, "sure: \\boxed{7}": 0.9,
}  # fmt: skip


def test_two_chains_share_the_first_depth_and_end_in_a_pair() -> None:
    script = Script(STAGE_1, SCORES)
    tree = script.grow(SPHERE)
    first, *later = [ask for ask in script.asked if ask.role == "policy"]
    assert (first.n, first.temperature, first.stop) == (5, 0.8, ("\n\n",))
    assert [ask.prompt.prefix for ask in later] == ["3+4=7\n\n", "3+4=8\n\n"]
    (pair,) = pairs(SPHERE.harvest(tree))
    assert pair.prompt == PLAIN
    assert (pair.chosen, pair.rejected) == ("3+4=7\n\nit is \\boxed{7}", "3+4=8\n\nso \\boxed{8}")
    assert pair.chosen_ended and pair.rejected_ended
    good, bad = (right_or_wrong[0] for right_or_wrong in solutions(tree, ("policy",)))
    assert pair.origin == f"p#/{good}>{bad}" and tree.tip == good
    assert "small" not in {ask.role for ask in script.asked}
    tally = SPHERE.tally(tree)
    assert (tally["right and wrong"], tally["prm inverted"], tally["reflections"]) == (1, 0, 0)


def test_a_step_that_leads_nowhere_takes_no_place_from_a_twin_that_goes_on() -> None:
    """The policy ended its turn after "3+4=7" once."""

    def answer(ask: Ask) -> Replies:
        if ask.prompt.prefix:
            return (Reply("it is \\boxed{7}", "eos"), Reply("\\boxed{8}", "eos"))[: ask.n]
        return (Reply("3+4=7", "eos"), Reply("3+4=7", "stop"))[: ask.n]

    recipe = replace(SPHERE, candidates=2, score="rollouts", rollouts=1, small_candidates=0)
    (tree,) = run(recipe, [PROBLEM], answer)
    first, second = (tree.nodes[i] for i in tree.nodes[ROOT].children)
    assert (first.mark, second.pruned) == ("no answer", False)
    assert len(recipe.harvest(tree).examples) == 1


def test_the_step_asks_of_both_chains_are_one_batch() -> None:
    script = Script(STAGE_1, SCORES)
    moves = SPHERE.grow(PROBLEM)
    sizes, asks = [], next(moves)
    with pytest.raises(StopIteration):
        while True:
            sizes.append([ask.role for ask in asks])
            asks = moves.send([script.answer(ask) for ask in asks])
    # candidates and their scores, then those of two chains at once; equal candidates score once
    assert sizes == [["policy"], ["prm"] * 4, ["policy"] * 2, ["prm"] * 4]


def test_distinct_steps_are_sought_in_so_many_asks() -> None:
    sizes: list[int] = []
    drawn = iter(("3+4=7", "3+4=7", "3+4=8", "3+4=8", " 3+4=8", "3+4=9", "3+4=7", "3 + 4"))

    def answer(ask: Ask) -> Replies:
        if ask.role == "prm":
            return (Reply(value=0.5),)
        if ask.prompt.prefix:
            return (Reply("\\boxed{7}"),) * ask.n
        sizes.append(ask.n)
        return tuple(Reply(next(drawn), "stop") for _ in range(ask.n))

    recipe = replace(SPHERE, candidates=4, draws=3, small_candidates=0)
    (tree,) = run(recipe, [PROBLEM], answer)
    assert sizes == [4, 2, 1]
    first = [node for node in tree.nodes if node.parent == ROOT]
    assert [node.text.strip() for node in first if node.value is not None] == [
        "3+4=7",
        "3+4=8",
        "3+4=9",
    ]
    assert [node.mark for node in first if node.text == " 3+4=8\n\n"] == ["repeated"]
    assert sum(node.copies for node in tree.nodes) <= 1 + recipe.samples_at_most


def test_the_prm_reads_the_solution_up_to_and_including_the_step() -> None:
    script = Script(STAGE_1, SCORES)
    tree = script.grow(SPHERE)
    asked = [ask.prompt for ask in script.asked if ask.role == "prm"]
    assert asked[0] == Prompt("", PROBLEM.question, "3+4=7\n\n")  # its engine adds its words
    assert asked[4] == Prompt("", PROBLEM.question, "3+4=7\n\nit is \\boxed{7}")
    assert [node.value for node in tree.nodes[1:4]] == [0.9, 0.1, 0.03]
    assert (tree.nodes[ROOT].visits, tree.nodes[ROOT].total) == (2, 1.0)


def candidates(values: Sequence[float], *, before: float | None = None) -> tuple[Tree, list[int]]:
    tree = Tree(PROBLEM)
    at = ROOT if before is None else tree.add(Node(ROOT, "before", value=before))
    return tree, [tree.add(Node(at, f"step {k}", value=v)) for k, v in enumerate(values)]


def test_pruning_breaks_ties_by_age() -> None:
    tree, steps = candidates((0.7, 0.2, 0.9, 0.5, 0.9), before=0.6)
    assert SPHERE.prune(tree, steps) == (steps[2], steps[1])
    assert SPHERE.reward(tree, steps[1]) == pytest.approx(2 * 0.2 - 0.6)
    assert SPHERE.reward(tree, 1) == 0.6  # R of a first step is its score


VALUES = st.floats(0, 1) | st.sampled_from([0.0, 0.05, 0.9, 1.0])


@given(st.lists(VALUES, min_size=1, max_size=8), VALUES | st.none())
def test_pruning_keeps_the_best_and_the_worst_plausible_step(
    values: list[float], before: float | None
) -> None:
    tree, steps = candidates(values, before=before)
    best, worst = SPHERE.prune(tree, steps)
    assert step_value(tree, best) == max(values)
    assert (best == worst) is (len(values) == 1)
    others = [v for s, v in zip(steps, values, strict=True) if s != best]
    if others:
        assert step_value(tree, worst) == min([v for v in others if v >= SPHERE.floor] or others)


def test_solutions_are_ranked_by_their_mean_reward() -> None:
    tree = Tree(PROBLEM)

    def solution(values: Sequence[float], reward: float) -> int:
        at = ROOT
        for value in values[:-1]:
            at = tree.add(Node(at, f"{values} {value}", value=value))
        end = Node(at, f"{values}", value=values[-1], terminal=True, reward=reward)
        return tree.add(end)

    solution((0.6, 0.6), 1.0)
    steady = solution((0.8, 0.8, 0.8), 1.0)
    solution((0.1, 0.3), 0.0)
    wrong = solution((0.1, 0.1), 0.0)
    assert SPHERE.matched(tree)[0] == (steady, wrong)  # mean R: 2.4/3 against 1.2/2


def test_solutions_come_in_the_order_of_the_search() -> None:
    tree = Tree(PROBLEM)
    ends = []
    for first, last in ((0.5, 0.9), (0.7, 0.1), (0.7, 0.2)):
        at = tree.add(Node(ROOT, f"{first}", value=first))
        ends.append(tree.add(Node(at, f"{last}", value=last, terminal=True, reward=1.0)))
    assert solutions(tree, ("policy",)) == ([ends[1], ends[2], ends[0]], [])  # of equals the older


def test_an_answer_cut_off_at_the_token_limit_is_no_end() -> None:
    def answer(ask: Ask) -> Replies:
        if ask.role == "prm":
            return (Reply(value=0.5),)
        return (Reply("\\boxed{7} and", "length"), Reply("so \\boxed{7}"))

    recipe = replace(SPHERE, candidates=2, small_candidates=0)
    (tree,) = run(recipe, [PROBLEM], answer)
    assert (tree.nodes[1].mark, tree.nodes[1].pruned) == ("cut off", True)
    assert tree.tip == 2


def test_the_worst_step_is_the_least_plausible_above_the_floor() -> None:
    tree, steps = candidates((0.9, 0.04, 0.3, 0.05))
    assert SPHERE.prune(tree, steps) == (steps[0], steps[3])
    assert replace(SPHERE, floor=0.0).prune(tree, steps) == (steps[0], steps[1])
    assert replace(SPHERE, floor=0.5).prune(tree, steps) == (steps[0], steps[1])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        ("3+4=9", "repeated"),
        (" 3+4=9 ", "repeated"),
        ("所以答案是 8", "other script"),
        ("I have no \\alpha or ℝ", ""),
    ],
)
def test_implausible_candidates_are_pruned_unscored(text: str, fault: str) -> None:
    chain = {"policy: ": ["3+4=9"], "policy: 3+4=9": ["so \\boxed{8}", text]}
    script = Script(chain, {"3+4=9": 0.5, "so \\boxed{8}": 0.4, "I have no \\alpha or ℝ": 0.6})
    tree = script.grow(replace(SPHERE, candidates=2, tries=0))
    (node,) = [
        node for node in tree.nodes if node.parent == 1 and node.text.strip() == text.strip()
    ]
    assert (node.mark == fault or not fault) and (node.value is None) is bool(fault)


def test_a_worst_step_differs_from_the_best_by_more_than_case() -> None:
    script = Script({"policy: ": ["Sum it.", "sum  it."]}, {"Sum it.": 0.9, "sum  it.": 0.1})
    tree = script.grow(replace(SPHERE, candidates=2))
    assert tree.nodes[1].mark == "no contrast" and tree.nodes[2].pruned
    # the chains have not parted: one ask goes on for both, and finds nothing
    assert script.count("policy") == 2
    assert SPHERE.harvest(tree) == Harvest((), {"no whole solution": 1})


def test_chains_end_at_the_depth_limit() -> None:
    def answer(ask: Ask) -> Replies:
        if ask.role == "prm":
            return (Reply(value=0.5),)
        depth = ask.prompt.prefix.count("\n\n")
        return tuple(Reply(f"step {depth} {k}", "stop") for k in range(ask.n))

    recipe = replace(SPHERE, depth=4, candidates=3)
    (tree,) = run(recipe, [PROBLEM], answer)
    assert max(map(tree.depth, range(len(tree.nodes)))) == 4
    assert Counter(node.mark for node in tree.nodes)["too deep"] == 6
    assert recipe.tally(tree)["no whole solution"] == 1


def test_a_prm_that_ranks_the_wrong_solution_first_is_counted() -> None:
    steps = STAGE_1 | {"policy: ": ["3+4=7", "3+4=8"]}
    scores = SCORES | {"3+4=7": 0.1, "3+4=8": 0.9, "it is \\boxed{7}": 0.1, "so \\boxed{8}": 0.95}
    tree = Script(steps, scores).grow(SPHERE)
    (pair,) = pairs(SPHERE.harvest(tree))
    assert pair.chosen.endswith("\\boxed{7}") and pair.rejected.endswith("\\boxed{8}")
    assert SPHERE.tally(tree)["prm inverted"] == 1


WRONG = {
    "policy: ": ["3+4=8", "3+4=9"],
    "policy: 3+4=8": ["\\boxed{8}"],
    "policy: 3+4=9": ["\\boxed{9}"],
}
CORRECTED = {f"policy: {prompts.CORRECTED}": ["3+4=7", "3+4=6"], "policy: 3+4=7": ["\\boxed{7}"]}
WRONG_SCORES = {"3+4=8": 0.8, "3+4=9": 0.3, "3+4=7": 0.9, "3+4=6": 0.2} | {
    f"\\boxed{{{n}}}": n / 10 for n in range(10)
}
NOTICED = Reply("3+4 is not 8.\n\n**", "stop")


def test_where_both_are_wrong_the_policy_reflects_and_solves_again() -> None:
    script = Script(WRONG | CORRECTED | {"policy: 3+4=6": ["\\boxed{6}"]}, WRONG_SCORES, [NOTICED])
    tree = script.grow(SPHERE)
    reflect = prompts.reflect(PROBLEM.question, "3+4=8\n\n\\boxed{8}")
    (asked,) = [ask for ask in script.asked if ask.stop == STOPS]
    assert (asked.prompt, asked.role, asked.n) == (reflect, "policy", 1)
    prefix = f"3+4 is not 8.\n\n{prompts.CORRECTED}\n\n"
    again = [ask.prompt for ask in script.asked if ask.prompt.user == reflect.user and ask.n == 5]
    assert [p.prefix for p in again] == [prefix, f"{prefix}3+4=7\n\n", f"{prefix}3+4=6\n\n"]
    scored = [ask.prompt for ask in script.asked if ask.role == "prm"]
    assert {p.user for p in scored} == {PROBLEM.question}
    assert not any(prompts.CORRECTED in p.prefix for p in scored)  # the PRM sees solutions only
    plain, correction = pairs(SPHERE.harvest(tree))
    assert (plain.prompt, correction.prompt) == (PLAIN, reflect)
    assert (plain.chosen, plain.rejected) == ("3+4=7\n\n\\boxed{7}", "3+4=8\n\n\\boxed{8}")
    assert correction.chosen == f"{prefix}3+4=7\n\n\\boxed{{7}}"
    assert correction.rejected == f"{prefix}3+4=6\n\n\\boxed{{6}}"
    assert tree.text(tree.tip) == plain.chosen
    tally = SPHERE.tally(tree)
    assert (tally["only wrong"], tally["corrected"], tally["reflections"]) == (1, 1, 1)
    assert pairs(replace(SPHERE, pairs=1).harvest(tree)) == [plain]
    assert replace(SPHERE, pairs=1).harvest(tree).dropped == {"more than `pairs`": 1}


def test_a_correction_without_a_wrong_one_gives_the_plain_pair_alone() -> None:
    tree = Script(WRONG | CORRECTED, WRONG_SCORES, [NOTICED]).grow(SPHERE)
    crop = SPHERE.harvest(tree)
    assert [pair.prompt for pair in pairs(crop)] == [PLAIN]
    assert crop.dropped == {"no wrong correction": 1}


def test_a_question_that_stays_wrong_is_dropped_after_two_tries() -> None:
    still = {f"policy: {prompts.CORRECTED}": ["\\boxed{6}", "\\boxed{5}"]}
    script = Script(WRONG | still, WRONG_SCORES, [NOTICED, NOTICED])
    tree = script.grow(SPHERE)
    assert SPHERE.harvest(tree) == Harvest((), {"no right solution": 1})
    assert (SPHERE.tally(tree)["reflections"], tree.tip) == (2, ROOT)


@pytest.mark.parametrize(
    "reply", [Reply("It is right: \\boxed{7}", "eos"), Reply("Well,", "length"), Reply(" ", "stop")]
)
def test_a_reflection_that_leads_to_no_solution_uses_up_a_try(reply: Reply) -> None:
    tree = Script(WRONG | CORRECTED, WRONG_SCORES, [reply, NOTICED]).grow(SPHERE)
    tally = SPHERE.tally(tree)
    assert (tally["unusable reflection"], tally["reflections"], tally["corrected"]) == (1, 2, 1)
    assert any(reply.text in node.note for node in tree.nodes if node.pruned)


@pytest.mark.parametrize(
    "reply",
    [
        Reply("3+4 is not 8.\n\n**Corrected Solution**\n\n3+4=7"),
        Reply("3+4 is not 8.\n\n### CORRECTED SOLUTION\n3+4", "length"),
        Reply("3+4 is not 8.\n\nHere is the corrected solution:\n3+4=7"),
        Reply("3+4 is not 8.\n\n## ", "stop"),
    ],
)
def test_a_new_solution_may_begin_in_any_case_and_as_a_heading(reply: Reply) -> None:
    tree = Script(WRONG | CORRECTED, WRONG_SCORES, [reply]).grow(SPHERE)
    notes = [node.note for node in tree.nodes if node.author == "reflector"]
    assert notes == [f"3+4 is not 8.\n\n{prompts.CORRECTED}\n\n"]
    assert SPHERE.tally(tree)["corrected"] == 1


@pytest.mark.parametrize("second", ["3+4=9", "3+4=6"])
def test_an_earlier_try_may_lend_the_wrong_correction(second: str) -> None:
    # the first try is wrong; the second is right, and its worst chain ends nowhere or is wrong too
    first_try = {f"policy: {prompts.CORRECTED}": ["\\boxed{5}"]}
    second_try = {f"policy: {prompts.CORRECTED}": ["3+4=7", second]}
    rest = {"policy: 3+4=7": ["\\boxed{7}"], "policy: 3+4=6": ["\\boxed{6}"], "policy: 3+4=9": []}
    tries = iter((first_try, second_try))

    def answer(ask: Ask) -> Replies:
        again = ask.prompt.prefix.endswith(f"{prompts.CORRECTED}\n\n") and ask.role == "policy"
        corrections = next(tries) if again else {}
        own = rest if prompts.CORRECTED in ask.prompt.prefix else WRONG
        return Script({**WRONG, **own, **corrections}, WRONG_SCORES, [NOTICED]).answer(ask)

    (tree,) = run(SPHERE, [PROBLEM], answer)
    ends = [pair.rejected.rpartition("\n\n")[2] for pair in pairs(SPHERE.harvest(tree))]
    assert ends == ["\\boxed{8}", {"3+4=9": "\\boxed{5}", "3+4=6": "\\boxed{6}"}[second]]


RIGHT = {
    "policy: ": ["3+4=7", "4+3=7"],
    "policy: 3+4=7": ["\\boxed{7}"],
    "policy: 4+3=7": ["\\boxed{7}"],
    "small: ": ["3+4=7", "3+4=6"],
    "small: 3+4=7": ["\\boxed{7}"],
    "small: 3+4=6": ["\\boxed{6}"],
}


def test_where_both_are_right_the_small_model_makes_the_mistake() -> None:
    script = Script(RIGHT, WRONG_SCORES | {"4+3=7": 0.5})
    tree = script.grow(SPHERE)
    assert {ask.n for ask in script.asked if ask.role == "small"} == {10}
    (pair,) = pairs(SPHERE.harvest(tree))
    assert (pair.chosen, pair.rejected) == ("3+4=7\n\n\\boxed{7}", "3+4=6\n\n\\boxed{6}")
    assert pair.prompt == PLAIN
    assert SPHERE.tally(tree)["small model wrong"] == 1
    without = replace(SPHERE, small_candidates=0)
    assert without.roles == ("policy", "prm")
    script = Script(RIGHT, WRONG_SCORES | {"4+3=7": 0.5})
    assert without.harvest(script.grow(without)).dropped == {"no wrong solution": 1}
    assert script.count("small") == 0


def test_the_small_models_worst_solution_is_rejected() -> None:
    slips = {"small: ": ["3+4=8", "3+4=6"], "small: 3+4=8": ["\\boxed{8}"]}
    tree = Script(RIGHT | slips, WRONG_SCORES | {"4+3=7": 0.5}).grow(SPHERE)
    (pair,) = pairs(SPHERE.harvest(tree))
    assert pair.rejected == "3+4=6\n\n\\boxed{6}"


def test_a_small_model_that_is_never_wrong_teaches_nothing() -> None:
    steps = {key: [t for t in texts if t != "3+4=6"] for key, texts in RIGHT.items()}
    tree = Script(steps, WRONG_SCORES | {"4+3=7": 0.5}).grow(SPHERE)
    assert SPHERE.harvest(tree) == Harvest((), {"no wrong solution": 1})


def test_a_pair_of_very_unequal_length_is_dropped() -> None:
    long = "since " * 20 + "\\boxed{8}"
    steps = STAGE_1 | {"policy: 3+4=8": [long]}
    tree = Script(steps, SCORES | {long: 0.3}).grow(SPHERE)
    assert SPHERE.harvest(tree) == Harvest((), {"length ratio": 1})
    assert len(pairs(replace(SPHERE, length_ratio=10).harvest(tree))) == 1


def test_a_prm_must_give_a_score() -> None:
    for value in (None, 1.5, float("nan")):
        engines = {
            "policy": Function(Script(STAGE_1, {}).answer),
            "prm": Function(lambda ask, value=value: (Reply(value=value),)),
        }
        (done,) = drive([("p", SPHERE.grow(PROBLEM))], engines)
        assert done.error is not None and "`prm` must give a value in [0, 1]" in done.error


def test_rollouts_take_the_place_of_the_prm() -> None:
    recipe = replace(SPHERE, score="rollouts", small_candidates=0)
    assert recipe.roles == ("policy",)
    for tree in run(recipe, list(toy.problems(5))):
        kept = [i for i, node in enumerate(tree.nodes) if node.value is not None]
        for step in kept:
            node = tree.nodes[step]
            if node.terminal:
                assert node.value == node.reward
                continue
            own = [i for i in tree.leaves() if step in tree.path(i)]
            below = {i: tree.nodes[tree.path(i)[tree.depth(step)]] for i in own}
            first = [i for i in own if below[i].author == "rollout"]
            share = [tree.nodes[i].reward for i in first for _ in range(tree.nodes[i].copies)]
            assert len(share) == 4 and node.value == share.count(1.0) / 4
        for pair in pairs(recipe.harvest(tree)):
            ends = [int(i) for i in pair.origin.rpartition("/")[2].split(">")]
            assert all(tree.nodes[end].author != "rollout" for end in ends)


@pytest.mark.parametrize("score", ["prm", "rollouts"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_chosen_is_right_and_rejected_wrong(score: Literal["prm", "rollouts"], seed: int) -> None:
    recipe = replace(SPHERE, score=score, candidates=3, small_candidates=6)
    for tree in run(recipe, list(toy.problems(2, seed=seed)), seed=seed):
        line = tree.to_json()
        crop = recipe.harvest(tree)
        assert recipe.harvest(Tree.from_json(line)) == crop
        recipe.tally(tree)
        assert tree.to_json() == line  # harvest and tally are pure
        assert len(crop.examples) <= recipe.pairs and (crop.examples or crop.dropped)
        for pair in pairs(crop):
            answers = [extract(text.rpartition("\n\n")[2]) for text in (pair.chosen, pair.rejected)]
            assert answers[0] == tree.problem.answer != answers[1] is not None


def test_every_stage_happens_in_the_toy_world() -> None:
    trees = run(SPHERE, list(toy.problems(60)))
    counts: Counter[str] = Counter()
    for tree in trees:
        counts.update(SPHERE.tally(tree))
        samples = sum(node.copies for node in tree.nodes[1:])
        scored = sum(node.value is not None for node in tree.nodes)
        assert samples + scored <= SPHERE.samples_at_most
    stages = ("right and wrong", "only right", "only wrong", "no whole solution")
    assert sum(counts[stage] for stage in stages) == len(trees)
    assert counts["corrected"] and counts["small model wrong"] and counts["prm inverted"]
    assert sum(len(SPHERE.harvest(tree).examples) for tree in trees) > 30


def test_the_bound_on_samples_is_reached() -> None:
    def answer(ask: Ask) -> Replies:
        if ask.role == "prm":
            return (Reply(value=0.5),)
        if ask.stop == STOPS:
            return (NOTICED,)
        depth = ask.prompt.prefix.rpartition(prompts.CORRECTED)[2].lstrip().count("\n\n") + 1
        end = " so \\boxed{8}" if depth == 4 else ""
        return tuple(Reply(f"{depth} {k}{end}", "stop") for k in range(ask.n))

    recipe = replace(SPHERE, depth=4, candidates=3, small_candidates=0)
    asked: list[int] = []
    run(recipe, [PROBLEM], lambda ask: (asked.append(ask.n), answer(ask))[1])
    assert sum(asked) == recipe.samples_at_most


@pytest.mark.parametrize(
    "other", [Rft(SPHERE.sampling), Sigma(Uct(simulations=8), SPHERE.sampling)]
)
def test_trees_of_other_recipes_can_be_paired(other: Rft | Sigma) -> None:
    taught = 0
    for tree in run(other, list(toy.problems(20))):
        for pair in pairs(SPHERE.harvest(tree)):
            taught += 1
            assert pair.prompt == prompts.solve(tree.problem.question)
            assert extract(pair.chosen) == tree.problem.answer != extract(pair.rejected)
            ends = [int(i) for i in pair.origin.rpartition("/")[2].split(">")]
            assert {tree.nodes[i].author for end in ends for i in tree.path(end)} == {"policy"}
    assert taught > 5


def test_a_tree_without_the_policy_is_refused() -> None:
    (tree,) = run(Distill(SPHERE.sampling), [PROBLEM])
    with pytest.raises(UserError, match="solutions by the policy"):
        SPHERE.harvest(tree)


def test_equal_solutions_are_paired_once() -> None:
    texts = ["So \\boxed{7}", "so  \\boxed{7}", "\\boxed{8}", "\\boxed{9}"]
    (tree,) = run(Rft(SPHERE.sampling, samples=4), [PROBLEM], lambda ask: tuple(map(Reply, texts)))
    crop = SPHERE.harvest(tree)
    assert len(crop.examples) == 1 and crop.dropped == {"same text": 1}


def test_the_objective_is_dpo_with_likelihood() -> None:
    assert Sphere().objective == Preference(beta=0.1, nll=0.1)
    assert Sphere().roles == ("policy", "prm", "small")
    assert (Sphere().sampling.temperature, Sphere().depth) == (0.8, 16)


@pytest.mark.parametrize("wrong", [{"candidates": 0}, {"depth": 0}, {"tries": -1}, {"beta": 0.0}])
def test_settings_without_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sphere(**wrong)  # type: ignore[arg-type]


GOLDEN = Path(__file__).parent / "golden_sphere.jsonl"


def _golden() -> list[Tree]:
    small = replace(SPHERE, candidates=3, small_candidates=4)
    return run(small, list(toy.problems(2, terms=3, seed=3)))


def test_trees_are_those_of_a_known_good_run() -> None:
    # Written by `python tests/recipes/test_sphere.py`; a change here must be meant.
    assert [tree.to_json() for tree in _golden()] == GOLDEN.read_text().splitlines()


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{tree.to_json()}\n" for tree in _golden()))
