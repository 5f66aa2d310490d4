"""MARGE, driven by hand and over the toy world."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Ask, Replies, Reply
from whorl.credit import Completion, completions
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.errors import UserError
from whorl.example import Likelihood, Pair, Preference, Weighted
from whorl.problem import Problem
from whorl.recipes.grpo import Grpo
from whorl.recipes.guide import read_episode, states_of, wanted_reward
from whorl.recipes.marge import Marge
from whorl.recipes.rft import Rft
from whorl.rollout import Sampling
from whorl.settings.presets import PRESETS
from whorl.steps import AfterMarker, BlankLine, Segmenter, Words, split_evenly
from whorl.tree import ROOT, Tree

STEPS = BlankLine(min_chars=0)
SAMPLING = Sampling(temperature=0.8, top_p=0.95, solution_tokens=2048, steps=STEPS)
MARGE = Marge(SAMPLING, pool=4, samples=4)
PROBLEM = Problem("p", "Add 3, 4 and 5.", "12")

RIGHT = "3+4=7\n\n7+5=12\n\n\\boxed{12}"
WRONG = "3+4=8\n\n8+5=13\n\n\\boxed{13}"
OTHER = "3+4=9\n\n\\boxed{14}"


class Script:
    """Answers by prefix: at the first state `pools`, one after the other; else `rest`."""

    def __init__(self, *pools: Sequence[str], rest: Callable[[str], Sequence[str]] | None = None):
        self.pools = list(pools)
        self.rest = rest or (lambda prefix: [f"so \\boxed{{{12 + i % 2}}}" for i in range(99)])
        self.asked: list[Ask] = []

    def answer(self, ask: Ask) -> Replies:
        self.asked.append(ask)
        first = ask.prompt.prefix in ("", "Step 1:")
        texts = self.pools.pop(0) if first else self.rest(ask.prompt.prefix)
        return tuple(Reply(text, tokens=10 * len(text)) for text in texts[: ask.n])

    def grow(self, recipe: Marge, last: Tree | None = None, problem: Problem = PROBLEM) -> Tree:
        (done,) = drive([("p", recipe.grow(problem, last))], {"policy": Function(self.answer)})
        assert done.result is not None, done.error
        return Tree.from_json(done.result.to_json())  # the next episode reads it from disk


def guide(tree: Tree) -> str:
    return "".join(node.text for node in tree.nodes if node.author == "guide")


def prefixes(tree: Tree) -> list[str]:
    return [tree.text(state) for state in states_of(tree)]


@pytest.mark.parametrize(
    ("value", "threshold", "wanted"),
    [
        (0.5, 0.5, 1.0),
        (0.625, 0.5, 0.0),
        (8 / 16, 0.55, 1.0),
        (9 / 16, 0.55, 0.0),
        (0.625, 0.51, 0.0),
    ],
)
def test_the_guide_rule(value: float, threshold: float, wanted: float) -> None:
    # docs/papers.md, "Worked by hand"
    assert wanted_reward(value, threshold) == wanted


def test_a_hard_problem_is_guided_by_a_right_solution_and_an_easy_one_by_a_wrong() -> None:
    for pool, expected, word in (
        ([RIGHT, WRONG, RIGHT, WRONG], RIGHT, "right"),
        ([RIGHT, WRONG, RIGHT, RIGHT], WRONG, "wrong"),
        ([WRONG, OTHER, OTHER, RIGHT], RIGHT, "right"),
    ):
        tree = Script(pool).grow(MARGE)
        assert guide(tree) == expected
        tally = MARGE.tally(tree)
        assert (tally["guide chosen"], tally[f"{word} guide"]) == (1, 1)


def test_every_state_of_the_guide_is_completed_in_one_batch() -> None:
    script = Script([RIGHT, WRONG, WRONG, WRONG])
    tree = script.grow(MARGE)
    asked = [(ask.prompt.prefix, ask.n) for ask in script.asked]
    assert asked == [("", 4), ("3+4=7\n\n", 4), ("3+4=7\n\n7+5=12\n\n", 4)]
    assert prefixes(tree) == [prefix for prefix, _ in asked]
    assert {(a.temperature, a.top_p, a.stop) for a in script.asked} == {(0.8, 0.95, ())}
    characters = [len(prefix) for prefix in prefixes(tree)]  # 10 tokens each
    assert [ask.max_tokens for ask in script.asked] == [2048 - 10 * c for c in characters]
    root = tree.nodes[ROOT]
    assert (root.visits, root.total) == (4 + 2 * 4, 1.0 + 2 * 2)


def test_each_state_teaches_by_its_own_group() -> None:
    tree = Script([RIGHT, WRONG, WRONG, WRONG]).grow(MARGE)
    examples = MARGE.harvest(tree).examples
    found: dict[str, list[tuple[str, float]]] = {}
    for example in examples:
        assert isinstance(example, Weighted) and example.ended
        found.setdefault(example.prompt.prefix, []).append((example.text, example.weight))
    first, *later = found.values()
    assert list(found) == prefixes(tree)
    assert first == [(RIGHT, pytest.approx(3**0.5))] + [(WRONG, pytest.approx(-(3**-0.5)))] * 3
    right, wrong = ("so \\boxed{12}", 1.0), ("so \\boxed{13}", -1.0)
    assert later == [[right, right, wrong, wrong]] * 2  # equal samples count each
    assert examples[0].origin == "p#/1"
    assert MARGE.tally(tree)["states usable"] == 3
    assert MARGE.harvest(tree) == MARGE.harvest(Tree.from_json(tree.to_json()))


def test_states_without_variance_or_outside_the_window_are_counted() -> None:
    def rest(prefix: str) -> list[str]:
        return ["\\boxed{12}"] * (4 if "12" in prefix else 1) + ["\\boxed{0}"] * 4

    tree = Script([WRONG, RIGHT, WRONG, RIGHT], rest=rest).grow(MARGE)
    assert MARGE.harvest(tree).dropped == {"state all right": 1}
    narrow = replace(MARGE, window=(0.3, 0.7))
    assert narrow.harvest(tree).dropped == {"state all right": 1, "state outside the window": 1}
    assert len(narrow.harvest(tree).examples) == 4
    assert narrow.tally(tree) == {
        "guide chosen": 1, "right guide": 1,
        "states usable": 1, "states all right": 1, "states outside the window": 1,
    }  # fmt: skip


def test_a_completion_that_was_cut_off_is_wrong_and_never_ended() -> None:
    def answer(ask: Ask) -> Replies:
        texts = (RIGHT, WRONG, RIGHT, WRONG)
        return tuple(
            Reply(t, "length" if ask.prompt.prefix and t == RIGHT else "eos") for t in texts
        )

    (done,) = drive([("p", MARGE.grow(PROBLEM))], {"policy": Function(answer)})
    assert done.result is not None
    assert MARGE.tally(done.result)["states all wrong"] == 2
    assert all(e.prompt.prefix == "" for e in MARGE.harvest(done.result).examples)


def test_an_empty_pool_falls_back_to_the_other_kind_or_drops_the_question() -> None:
    for pool, word in (([RIGHT] * 4, "right"), ([WRONG] * 4, "wrong")):
        tree = Script(pool).grow(MARGE)
        assert MARGE.tally(tree).items() >= {"guide fallback": 1, f"{word} guide": 1}.items()
        dropping = replace(MARGE, start="drop")
        script = Script(pool)
        dropped = script.grow(dropping)
        assert len(script.asked) == 1
        assert dropping.harvest(dropped).dropped == {"no guide": 1}
        assert dropping.tally(dropped) == {"guide none": 1}
        gone = script.grow(dropping, dropped)  # for good
        assert len(script.asked) == 1
        assert read_episode(gone) == (2, "none")
        assert Grpo().harvest(gone).dropped == {"nothing decided": 1}


def test_the_next_guide_comes_from_the_newest_root_completions() -> None:
    script = Script([WRONG, WRONG, RIGHT, WRONG], [OTHER, RIGHT, RIGHT, RIGHT], [RIGHT] * 4)
    first = script.grow(MARGE)
    second = script.grow(MARGE, first)
    assert guide(first) in (RIGHT, WRONG)
    assert guide(second) == RIGHT  # one in four was right: hard
    third = script.grow(MARGE, second)
    assert guide(third) == OTHER  # three in four: easy
    assert prefixes(third) == ["", "3+4=9\n\n"]
    fourth = Script([RIGHT] * 4).grow(MARGE, third)
    assert guide(fourth) == OTHER  # all right: there is no wrong one, so it stays
    assert read_episode(fourth) == (4, "kept")
    assert MARGE.tally(fourth)["wrong guide"] == 1
    assert fourth.nodes[-1].author == "policy"


def test_a_kept_guide_costs_as_many_tokens_as_before() -> None:
    def max_tokens(script: Script, last: Tree | None) -> tuple[Tree, dict[str, int]]:
        tree = script.grow(replace(MARGE, rule="fixed"), last)
        return tree, {ask.prompt.prefix: ask.max_tokens for ask in script.asked}

    first, before = max_tokens(Script([RIGHT, WRONG, WRONG, WRONG]), None)
    second, after = max_tokens(Script([WRONG] * 4), first)
    assert before == after
    assert guide(first) == guide(second) == RIGHT


def test_the_random_rule_takes_any_solution_as_often_as_it_was_sampled() -> None:
    recipe = replace(MARGE, rule="random", pool=4)
    found = Counter(
        guide(Script([RIGHT, WRONG, WRONG, WRONG]).grow(recipe, problem=Problem(f"{i}", "q", "12")))
        for i in range(200)
    )
    assert set(found) == {RIGHT, WRONG}
    assert 30 <= found[RIGHT] <= 70  # 50 are expected, of a standard deviation of 6
    tree = Script([WRONG] * 4).grow(recipe)
    assert read_episode(tree) == (1, "chosen")  # there is no wrong kind of solution


def test_what_is_always_right_is_passed_by_while_its_guide_stays() -> None:
    recipe = replace(MARGE, rule="fixed", mastered=0.99)
    hard = "3+4=7\n\n7+5=12\n\n"

    def rest(prefix: str) -> list[str]:
        return ["so \\boxed{12}"] * 4 if prefix == hard else ["\\boxed{12}", "\\boxed{1}"] * 2

    script = Script([RIGHT, WRONG, WRONG, WRONG], [WRONG] * 4, [WRONG] * 4, rest=rest)
    trees = [script.grow(recipe)]
    for _ in range(2):
        trees.append(script.grow(recipe, trees[-1]))
    assert [prefixes(tree) for tree in trees] == [["", "3+4=7\n\n", hard]] + 2 * [["", "3+4=7\n\n"]]
    assert [recipe.tally(tree).get("states mastered") for tree in trees] == [None, 1, 1]
    # by the paper's text every state is sampled in every episode
    assert prefixes(Script([WRONG] * 4, rest=rest).grow(MARGE, trees[0]))[-1] == hard
    # a question that is always right keeps its guide, and the states of it that are not
    easy = replace(MARGE, mastered=0.99)
    first = Script([RIGHT] * 4, rest=rest).grow(easy)
    second = Script(rest=rest).grow(easy, first)
    assert (guide(second), prefixes(second)) == (RIGHT, ["3+4=7\n\n"])
    third = Script(rest=rest).grow(easy, second)
    assert (read_episode(third), prefixes(third)) == ((3, "kept"), ["3+4=7\n\n"])


def test_the_rule_right_wants_right_solutions_only() -> None:
    recipe = replace(MARGE, rule="right")
    tree = Script([RIGHT, RIGHT, WRONG, RIGHT]).grow(recipe)
    assert guide(tree) == RIGHT
    script = Script([WRONG] * 4, [OTHER] * 4)
    second = script.grow(recipe, tree)  # from the first pool, which has right ones
    assert (guide(second), read_episode(second)[1]) == (RIGHT, "chosen")
    third = script.grow(recipe, second)
    assert (guide(third), read_episode(third)[1]) == (RIGHT, "kept")


def test_the_advantage_rule_regrows_the_guide_where_its_value_falls_most() -> None:
    recipe = replace(MARGE, rule="advantage")
    good, bad = "4+8=12\n\nso \\boxed{12}", "4+8=12\n\nso \\boxed{13}"

    def rest(prefix: str) -> list[str]:
        # after the guide's first step 3/4 are right, after its second step none is
        return [good, good, good, bad] if prefix == "3+4=8\n\n" else [bad] * 4

    script = Script([RIGHT, WRONG, RIGHT, RIGHT], [RIGHT] * 4, rest=rest)
    first = script.grow(recipe)
    assert guide(first) == WRONG
    second = script.grow(recipe, first)
    assert guide(second) == "3+4=8\n\n" + good
    assert MARGE.tally(second).items() >= {"guide regrown": 1, "right guide": 1}.items()
    assert prefixes(second) == ["", "3+4=8\n\n", "3+4=8\n\n4+8=12\n\n"]
    never_falls = Script([RIGHT, WRONG, WRONG, WRONG], [RIGHT] * 4, rest=lambda prefix: [good] * 4)
    third = never_falls.grow(recipe, never_falls.grow(recipe))
    assert read_episode(third) == (2, "kept")


def test_a_fall_after_the_last_state_counts_too() -> None:
    recipe = replace(MARGE, rule="advantage")
    good = "8+4=12\n\nso \\boxed{12}"
    script = Script([RIGHT, WRONG, RIGHT, RIGHT], [RIGHT] * 4, rest=lambda prefix: [good] * 4)
    second = script.grow(recipe, script.grow(recipe))
    # every state's completions are right, and the guide's own last step leads astray
    assert guide(second) == WRONG.removesuffix("\\boxed{13}") + good


def test_the_thresholds_are_of_the_first_and_of_later_episodes() -> None:
    recipe = replace(MARGE, thresholds=(0.75, 0.5))
    pool = [RIGHT, RIGHT, WRONG, RIGHT]
    first = Script(pool).grow(recipe)
    assert guide(first) == RIGHT
    assert guide(Script(pool).grow(recipe, first)) == WRONG


def test_a_pool_without_a_decided_answer_gives_no_guide() -> None:
    def answer(ask: Ask) -> Replies:
        return tuple(Reply("\\boxed{x+1}") for _ in range(ask.n))

    problem = replace(PROBLEM, answer="1+x")
    engines = {"policy": Function(answer), "judge": Function(lambda ask: (Reply(value=None),))}
    (done,) = drive([("p", MARGE.grow(problem))], engines)
    assert done.result is not None, done.error
    assert MARGE.harvest(done.result).dropped == {"no guide": 1}


def test_the_preference_variant_takes_one_pair_per_usable_state() -> None:
    recipe = replace(MARGE, learn="preference")
    tree = Script([RIGHT, WRONG, WRONG, WRONG]).grow(recipe)
    pairs = recipe.harvest(tree).examples
    assert recipe.objective == Preference(beta=0.05)
    assert [pair.prompt.prefix for pair in pairs] == prefixes(tree)
    for pair in pairs:
        assert isinstance(pair, Pair)
        assert pair.chosen.endswith("\\boxed{12}") and pair.rejected.endswith("\\boxed{13}")
    assert pairs[0].origin == "p#/1>2"


def test_marker_states_end_right_after_each_marker() -> None:
    # docs/papers.md, "Worked by hand"
    text = "Step 1: add\nStep 2: add 5\nStep 3: add 6\nStep 4: \\boxed{12}"
    pieces = AfterMarker().split(text)
    states = list(accumulate(pieces[:-1]))
    assert states == [text[: text.index(f"Step {k}:") + 7] for k in (1, 2, 3, 4)]
    recipe = replace(MARGE, lead="Step 1:", sampling=replace(SAMPLING, steps=AfterMarker()))
    pool = [text.removeprefix("Step 1:"), " \\boxed{1}", " \\boxed{2}", " \\boxed{3}"]
    script = Script(pool, [" \\boxed{1}"] * 4, [" \\boxed{1}"] * 4)
    tree = script.grow(recipe)
    assert prefixes(tree) == states == [ask.prompt.prefix for ask in script.asked]
    assert tree.text(tree.nodes[tree.tip].parent) + tree.nodes[tree.tip].text == text
    assert {e.prompt.prefix for e in recipe.harvest(tree).examples} == set(states)
    kept = script.grow(recipe, script.grow(recipe, tree))
    assert read_episode(kept) == (3, "kept")  # nothing was right any more at the first state
    assert prefixes(kept) == states


def test_markers_beyond_nine_keep_their_colon() -> None:
    text = "".join(f"Step {k}: x\n" for k in range(1, 13))
    assert all(piece.endswith(":") for piece in AfterMarker().split(text)[:-1])


def test_states_of_equal_length() -> None:
    # docs/papers.md, "Worked by hand"
    runs = split_evenly(range(12), 5)
    assert [len(run) for run in runs] == [3, 3, 2, 2, 2]
    assert [run[0] for run in runs] == [0, 3, 6, 8, 10]  # tokens of each state
    words = "a b c d e f g h i j k \\boxed{12}"
    recipe = replace(MARGE, states=5, sampling=replace(SAMPLING, steps=Words()))
    tree = Script([words, WRONG, WRONG, WRONG]).grow(recipe)
    assert [len(prefix.split()) for prefix in prefixes(tree)] == [0, 3, 6, 8, 10]


@given(st.text(alphabet="Step 12:\n ab"), st.sampled_from([AfterMarker(), Words()]))
def test_segmenters_lose_nothing(text: str, steps: Segmenter) -> None:
    pieces = steps.split(text)
    assert "".join(pieces) == text
    assert all(pieces)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 12))
def test_even_runs_cover_everything_and_differ_by_one(items: list[int], count: int) -> None:
    runs = split_evenly(items, count)
    assert [item for run in runs for item in run] == items
    assert len(runs) == min(count, len(items))
    lengths = [len(run) for run in runs]
    assert lengths == sorted(lengths, reverse=True)
    assert not lengths or lengths[0] - lengths[-1] <= 1


def test_a_long_guide_is_joined_to_stay_within_the_bound() -> None:
    long = "".join(f"{i}\n\n" for i in range(30)) + "\\boxed{12}"
    recipe = replace(MARGE, states=3)
    script = Script([long, WRONG, WRONG, WRONG])
    first = script.grow(recipe)
    assert len(states_of(first)) == 3
    assert sum(ask.n for ask in script.asked) == recipe.samples_at_most == 4 + 2 * 4
    wider = replace(recipe, samples=6)
    script = Script([WRONG] * 6)
    script.grow(wider, first)
    assert sum(ask.n for ask in script.asked) == wider.samples_at_most == 3 * 6


def test_an_empty_solution_can_be_a_guide() -> None:
    tree = Script(["", "", "", ""]).grow(MARGE)
    assert (prefixes(tree), guide(tree)) == ([""], "")
    tally = MARGE.tally(tree)
    assert tally == {
        "guide fallback": 1, "wrong guide": 1, "states all wrong": 1, "guides of a single state": 1,
    }  # fmt: skip
    assert "1 of 1 guides are a single step" in MARGE.remarks(tally)[0]
    assert not MARGE.remarks({**tally, "right guide": 1})


def test_the_draw_depends_on_problem_and_episode() -> None:
    pool = [f"{i}: \\boxed{{12}}" for i in range(16)]
    recipe = replace(MARGE, pool=16, samples=16, rule="right")
    tree = Script(pool).grow(recipe)
    assert guide(tree) == guide(Script(pool).grow(recipe))
    chosen = set()
    for _ in range(8):
        tree = Script(pool).grow(recipe, tree)
        chosen.add(guide(tree))
    assert len(chosen) > 3


def test_trees_that_marge_did_not_grow_are_refused() -> None:
    (done,) = drive([("p", Rft().grow(PROBLEM))], {"policy": Function(toy.answer)})
    assert done.result is not None
    with pytest.raises(UserError, match="marge has grown"):
        MARGE.harvest(done.result)
    with pytest.raises(UserError, match="marge has grown"):
        MARGE.tally(done.result)


def test_the_pool_serves_the_baselines() -> None:
    tree = Script([RIGHT, WRONG, WRONG, WRONG]).grow(MARGE)
    assert [(c.text, c.copies) for c in completions(tree, ROOT)] == [(RIGHT, 1), (WRONG, 3)]
    assert len(Grpo().harvest(tree).examples) == 4


def test_presets() -> None:
    assert Marge().objective == Likelihood(kl=0.01, penalty="k3", average="completion")
    code = PRESETS[Marge]["code"].recipe
    assert isinstance(code, Marge)
    assert code.objective == Likelihood(kl=0.01, penalty="linear", average="completion")
    code = replace(code, lead="", sampling=MARGE.sampling)
    pool = [RIGHT] * 9 + [WRONG] * 7  # 9/16 is the first value above 0.55
    assert guide(Script(pool).grow(code)) == WRONG
    assert guide(Script([RIGHT] * 8 + [WRONG] * 8).grow(code)) == RIGHT


@pytest.mark.parametrize(
    "wrong",
    [
        {"pool": 0},
        {"samples": 1},
        {"states": 0},
        {"window": (0.7, 0.3)},
        {"kl": -1.0},
        {"beta": 0.0},
    ],
)
def test_settings_without_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Marge(**wrong)  # type: ignore[arg-type]


def episodes(recipe: Marge, *, problems: int, rounds: int) -> list[list[Tree]]:
    """Trees of each round, in problem order."""
    grown: list[list[Tree]] = []
    for episode in range(rounds):
        before = {tree.problem.id: tree for tree in grown[-1]} if grown else {}
        searches = (
            (problem.id, recipe.grow(problem, before.get(problem.id)))
            for problem in toy.problems(problems)
        )
        done = drive(searches, {"policy": Function(toy.answer)}, seed=episode)
        found = [f.result for f in sorted(done, key=lambda f: f.key) if f.result is not None]
        assert len(found) == problems
        grown.append(found)
    return grown


def test_in_the_toy_world_guides_make_states_usable_and_bounds_hold() -> None:
    recipe = Marge(SAMPLING)
    for trees in episodes(recipe, problems=12, rounds=3):
        usable = states = 0
        for tree in trees:
            policy = [node for node in tree.nodes if node.author == "policy"]
            assert sum(node.copies for node in policy) <= recipe.samples_at_most
            counts = recipe.tally(tree)
            usable += counts.get("states usable", 0)
            states += len(states_of(tree))
            before = tree.to_json()
            for example in recipe.harvest(tree).examples:
                assert isinstance(example, Weighted)
                right = example.text.endswith(f"\\boxed{{{tree.problem.answer}}}.")
                assert (example.weight > 0) == right
                assert example.prompt.prefix in prefixes(tree)
            assert tree.to_json() == before  # harvest and tally are pure
        assert usable > states / 4


def test_a_guide_raises_the_share_of_its_own_kind() -> None:
    # C.1: right completions are more frequent behind a right guide's steps
    value: dict[str, list[float]] = {"right": [], "wrong": []}
    for tree in episodes(Marge(SAMPLING), problems=20, rounds=1)[0]:
        kind = "right" if MARGE.tally(tree).get("right guide") else "wrong"
        *_, last = states_of(tree)
        group: list[Completion] = completions(tree, last)
        value[kind].append(sum(c.reward * c.copies for c in group) / 8)
    right, wrong = (sum(v) / len(v) for v in value.values())
    assert right > 0.5 > wrong


GOLDEN = Path(__file__).parent / "golden_marge.jsonl"


def test_trees_are_those_of_a_known_good_run() -> None:
    # Written by `python tests/recipes/test_marge.py`; a change here must be meant.
    assert _golden() == GOLDEN.read_text().splitlines()


def _golden() -> list[str]:
    """The first two episodes of one problem."""
    recipe = Marge(SAMPLING, pool=4, samples=2)
    return [trees[0].to_json() for trees in episodes(recipe, problems=1, rounds=2)]


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(_golden()) + "\n")
