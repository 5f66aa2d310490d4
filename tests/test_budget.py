"""Budgets: what ends growing, what is kept, and that nothing is paid twice."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Ask, Asking, Engine, Failure, Prompt, Replies, Reply, digest
from whorl.budget import (
    SPENT,
    Budget,
    Limits,
    OutOfBudget,
    Price,
    Prices,
    Spent,
    Usage,
    is_paid,
    limited,
    within_limits,
)
from whorl.budget.purse import Purse
from whorl.data.forest import read_trees
from whorl.drive import Finished, drive
from whorl.engines import toy
from whorl.engines.crew import Here
from whorl.engines.function import Function
from whorl.engines.journal import Journal
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.loop.grow import Grown, GrowPlan, grow
from whorl.loop.harvest import harvest
from whorl.problem import Problem
from whorl.prompts.thinking import STOP
from whorl.recipe import Recipe
from whorl.recipes import RECIPES
from whorl.recipes.dpo import Dpo
from whorl.recipes.grpo import Grpo
from whorl.recipes.marge import Marge
from whorl.recipes.process import Process
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.recipes.sphere import Sphere
from whorl.recipes.step_dpo import StepDpo
from whorl.recipes.tree_po import TreePo
from whorl.recipes.tree_rl import TreeRl
from whorl.recipes.tree_rpo import TreeRpo
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.tree import ROOT, Tree
from whorl.watch import Progress

UCT = Uct(simulations=4, children=2, parallel=2)
_SMALLER: Mapping[str, Recipe] = {
    "sigma": Sigma(uct=UCT, temperatures=(0.7,)),
    "process": Process(uct=replace(UCT, wrong=0.0, dead_ends="propagate", depth=4)),
    "marge": Marge(pool=4, samples=2),
    "sphere": Sphere(candidates=3, small_candidates=3),
    "rft": Rft(samples=4),
    "step_dpo": StepDpo(uct=replace(UCT, wrong=0.0)),
    "dpo": Dpo(samples=4),
    "grpo": Grpo(samples=4),
    "tree_rpo": TreeRpo(Sampling(temperature=1.0), children=2),
    "tree_po": TreePo(Sampling(temperature=1.0), paths=4, depth=6),
    "tree_rl": TreeRl(chains=2, traces=4, depth=6, sampling=Sampling(temperature=1.2)),
}
SMALL = {name: _SMALLER.get(name) or kind() for name, kind in RECIPES.items()}
ROLES = ("policy", "critic", "reviser", "teacher", "small", "prm", "judge")
PRICES = Prices(policy=Price(prompt=1.0, sampled=10.0, cached=0.5), critic=Price(sampled=100.0))


class Logged:
    """The toy world, and the asks that reached it."""

    def __init__(self, share: int = 10**9) -> None:
        self.asked: list[str] = []
        self.most = 0
        self._share = share  # answers per poll
        self._waiting: list[tuple[int, Ask]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        self.asked.append(digest(ask))
        self._waiting.append((ticket, ask))
        self.most = max(self.most, len(self._waiting))

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        now, self._waiting = self._waiting[: self._share], self._waiting[self._share :]
        return [(ticket, answer(ask)) for ticket, ask in now]

    def close(self) -> None:
        assert not self._waiting


class Counted:
    """A watch that keeps the counts."""

    def __init__(self) -> None:
        self.progress = Progress()

    def stage(self, title: str, progress: Progress) -> AbstractContextManager[None]:
        self.progress = progress
        return nullcontext()

    def training(self, step: int, steps: int, loss: float) -> None: ...

    def wrote(self, path: Path, what: str) -> None: ...

    def say(self, line: str) -> None: ...


def answer(ask: Ask) -> Replies:
    """The toy's replies, as likely as they are short, with a prompt of 20 tokens of which 5 are
    known."""
    first, *rest = (replace(r, logprob=r.logprob or -len(r.text) / 10) for r in toy.answer(ask))
    return replace(first, prompt_tokens=20, cached_tokens=5), *rest


def grown(
    path: Path, problems: int, budget: Budget, engine: Engine, *, recipe: Recipe = SMALL["sigma"]
) -> tuple[Grown, Purse]:
    purse = Purse(budget)
    with RunFolder.open(path, {}, version="test") as folder:
        found = grow(
            folder,
            toy.problems(problems),
            GrowPlan(recipe, "test", width=8, purse=purse),
            Here(dict.fromkeys(ROLES, engine)),
        )
    return found, purse


def search(name: str, requests: int) -> Asking[str]:
    """Asks one thing after the other, and a judge after each."""
    said = name
    for number in range(requests):
        ((reply,),) = yield [Ask(Prompt("", f"{name}{number}"))]
        said += reply.text
        yield [Ask(Prompt("", "gold", reply.text), role="judge")]
    return said


def ended(moves: Asking[str], budget: Budget) -> Finished[str]:
    engine = Function(lambda ask: (Reply("x", tokens=7),) * ask.n)
    limited = within_limits(moves, budget.problem, budget.prices)
    (found,) = drive([("k", limited)], dict.fromkeys(ROLES, engine))
    return found


# What things cost.


def test_prices_are_per_million_tokens_and_known_ones_may_cost_less() -> None:
    usage = Usage(requests=3, sampled=2_000_000, prompt=4_000_000, cached=1_000_000)
    assert Price(prompt=1.0, sampled=10.0).of(usage) == 24.0
    assert Price(prompt=1.0, sampled=10.0, cached=0.5).of(usage) == 23.5
    assert Price(cached=0.0, prompt=1.0).of(usage) == 3.0
    assert Price().of(usage) == 0.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["policy", "critic", "prm"]),
            st.builds(Reply, tokens=st.integers(0, 10**6), prompt_tokens=st.integers(0, 10**6)),
        ),
        max_size=12,
    )
)
def test_the_money_does_not_depend_on_the_order_of_replies(paid: list[tuple[str, Reply]]) -> None:
    prices = Prices(Price(0.1, 0.4), Price(0.3, 1.7), prm=Price(0.7))
    there, back = Spent(prices), Spent(prices)
    for role, reply in paid:
        there.pay(role, (reply,))
    for role, reply in reversed(paid):
        back.pay(role, (reply,))
    assert there.money == back.money
    assert there.requests == len(paid) and there.tokens == sum(r.tokens for _, r in paid)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda: Limits(tokens=0), "tokens must be above 0, not 0"),
        (lambda: Budget(seconds=float("nan")), "seconds must be above 0, not nan"),
        (lambda: Budget(problem=Limits(requests=-3)), "requests must be above 0, not -3"),
        (lambda: Budget(tokens=-5, prices=PRICES), "tokens must be above 0, not -5"),
        (lambda: Price(prompt=-0.1), "a price must not be negative"),
        (lambda: Budget(money=3.0), "money needs prices, for example prices.policy.sampled"),
        (lambda: Budget(problem=Limits(money=3.0)), "money needs prices"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(wrong: type, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        wrong()


# The budget of a problem.


def test_a_search_within_its_limits_is_as_without() -> None:
    free = ended(search("k", 5), Budget())
    assert free == ended(search("k", 5), Budget(problem=Limits(requests=5, tokens=36)))
    assert free.result == "kxxxxx" and free.cost["policy"] == 35


@pytest.mark.parametrize(
    ("limits", "tokens", "limit"),
    [
        (Limits(requests=3), 21, "requests = 3"),
        (Limits(tokens=20), 21, "tokens = 20"),
        (Limits(tokens=21), 21, "tokens = 21"),
        (Limits(money=0.0002), 21, "money = 0.0002"),
        (Limits(seconds=1e-9), 7, "seconds = 1e-09"),
    ],
)
def test_a_search_that_keeps_nothing_fails_and_says_of_what(
    limits: Limits, tokens: int, limit: str
) -> None:
    found = ended(search("k", 5), Budget(problem=limits, prices=PRICES))
    assert found.result is None
    assert found.error == f"OutOfBudget: budget.problem.{limit} is spent"
    if limits.seconds is None:  # else it depends on how fast this machine is
        assert found.cost["policy"] == tokens


def test_several_asks_at_once_do_not_exceed_the_requests() -> None:
    def broad() -> Asking[int]:
        asked = 0
        try:
            for width in (2, 3, 1):
                asked += len((yield [Ask(Prompt("", "a"))] * width))
        except OutOfBudget:
            yield [Ask(Prompt("", "gold", "a"), role="judge")]  # still answered
        return asked

    engine = Function(lambda ask: (Reply(),) * ask.n)
    for most, asked in ((1, 0), (2, 2), (4, 2), (5, 5), (6, 6), (9, 6)):
        moves = within_limits(broad(), Limits(requests=most), Prices())
        (found,) = drive([("k", moves)], dict.fromkeys(ROLES, engine))
        assert (found.error, found.result) == (None, asked)


def plant(recipe: Recipe, limits: Limits, last: Tree | None = None) -> Tree:
    (problem,) = toy.problems(1)
    moves = within_limits(recipe.grow(problem, last), limits, Prices())
    (found,) = drive([("k", moves)], dict.fromkeys(ROLES, Function(answer)))
    assert found.error is None and found.result is not None
    return found.result


@pytest.mark.parametrize("name", SMALL)
def test_a_tree_that_was_cut_short_can_be_harvested(name: str) -> None:
    """Wherever it is cut: by its own recipe, and by every other that takes the whole tree."""
    recipe = SMALL[name]
    whole = plant(recipe, Limits(requests=10**6))
    assert not whole.cut_short and whole == plant(recipe, Limits())
    fit = [other for other in SMALL.values() if not _refuses(other, whole)]
    assert recipe in fit
    trees = []
    for requests in range(1, 200):
        tree = plant(recipe, Limits(requests=requests))
        trees.append(tree)
        assert not _refuses(recipe, tree)
        assert all(example.origin for example in recipe.harvest(tree).examples)
        why = {_refuses(other, tree) for other in fit} - {""}  # whole solutions are not there yet
        assert all("was searched step by step" in reason for reason in why)
        assert Tree.from_json(tree.to_json()) == tree
        assert all(not node.terminal or node.reward is not None for node in tree.nodes)
        assert tree.tip == ROOT or tree.nodes[tree.tip].terminal
        again = plant(recipe, Limits(), last=tree)  # a round later
        recipe.harvest(again)
        if not tree.cut_short:
            break
        assert tree.cut_short == f"budget.problem.requests = {requests} is spent"
        assert len(tree.nodes) <= len(whole.nodes)
    assert trees[-1] == whole
    single = name in ("rft", "dpo", "grpo", "distill")  # one ask is all they ask
    assert (len(trees) == 1) == single


def _refuses(recipe: Recipe, tree: Tree) -> str:
    """Why the recipe cannot harvest the tree; empty if it can."""
    try:
        recipe.tally(tree)
        recipe.harvest(tree)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", SMALL)
def test_a_thought_and_what_follows_it_are_requests_of_their_own(name: str) -> None:
    """Wherever a search that thinks is cut, between the two included, its tree is kept."""
    sampling = replace(SMALL[name].sampling, thought_tokens=50)  # type: ignore[attr-defined]
    recipe: Recipe = replace(SMALL[name], sampling=sampling)  # type: ignore[type-var]
    (problem,) = toy.problems(1)
    asked: list[Ask] = []

    def musing(ask: Ask) -> Replies:
        asked.append(ask)
        if ask.stop == (STOP,):
            return tuple(Reply(f"Hm {number}", "stop", 3) for number in range(ask.n))
        return answer(ask)

    def planted(requests: int) -> tuple[Tree, int]:
        asked.clear()
        moves = within_limits(recipe.grow(problem), Limits(requests=requests), Prices())
        (found,) = drive([("k", moves)], dict.fromkeys(ROLES, Function(musing)))
        assert found.error is None and found.result is not None
        return found.result, sum(map(is_paid, asked))

    whole, most = planted(10**6)
    assert not whole.cut_short and any(ask.stop == (STOP,) for ask in asked)
    for requests in {1, 2, 3, most - 1}:
        tree, paid = planted(requests)
        assert paid <= requests
        assert tree.cut_short == f"budget.problem.requests = {requests} is spent"
        recipe.harvest(tree)
    assert planted(most) == (whole, most)


def test_a_right_path_is_kept_if_the_refinement_is_cut_short() -> None:
    sigma = SMALL["sigma"]
    trees = [plant(sigma, Limits(requests=requests)) for requests in range(1, 60)]
    cut = [tree for tree in trees if tree.cut_short]
    right = [tree for tree in cut if any(tree.nodes[i].reward == 1.0 for i in tree.leaves())]
    assert right and all(sigma.harvest(tree).examples for tree in right)


def test_unjudged_ends_of_a_tree_that_was_cut_short_are_undecided() -> None:
    """Where a judge is asked together with a model that is not asked any more."""

    def symbolic(ask: Ask) -> Replies:
        if ask.role == "judge":
            return (Reply(value=1.0),)
        done = ask.prompt.prefix.count("\n\n") or ask.seed % 2
        text = "So it is \\boxed{\\log(x^2+1)}." if done else "First we look."
        return (Reply(text, "eos" if done else "stop", 5),) * ask.n

    problem = Problem("p", "What is it?", "\\log(1+x^2)")
    seen = set()
    for requests in range(1, 12):
        uct = Uct(simulations=6, children=1, parallel=3)
        process = Process(replace(uct, wrong=0.0, children=3, depth=2), Sampling())
        moves = within_limits(process.grow(problem), Limits(requests=requests), Prices())
        (found,) = drive([("k", moves)], dict.fromkeys(ROLES, Function(symbolic)))
        assert found.error is None and found.result is not None
        seen |= {node.mark for node in found.result.nodes if node.pruned}
        process.harvest(found.result)
    assert "undecided" in seen


# The budget of a run.


@pytest.mark.parametrize("limit", [1, 2, 17, 100])
def test_requests_are_never_exceeded(tmp_path: Path, limit: int) -> None:
    engine = Logged()
    found, purse = grown(tmp_path / "run", 8, Budget(requests=limit), engine)
    search = 25  # asks of the longest of them
    assert limit - search / 2 <= len(engine.asked) == purse.spent.requests <= limit
    assert found.limit == f"requests = {limit}"
    assert found.trees + found.missing == 8 and found.missing > 0
    assert 0 <= found.begun <= found.missing
    assert not found.failures


@pytest.mark.parametrize(
    "budget",
    [
        Budget(requests=40),
        Budget(tokens=700),
        Budget(money=0.02, prices=PRICES),
    ],
    ids=["requests", "tokens", "money"],
)
def test_larger_and_larger_budgets_come_to_the_trees_of_none_and_ask_nothing_twice(
    tmp_path: Path, budget: Budget
) -> None:
    free = Logged()
    whole, _ = grown(tmp_path / "free", 12, Budget(), free)
    assert whole == Grown(12, {}, whole.tokens, 0, problems=12, solved=12)
    expected = (tmp_path / "free/trees.jsonl").read_bytes()

    asked: list[str] = []
    (name,) = budget.run.named()
    calls = 0
    for calls in range(1, 50):
        engine = Logged(share=3)
        more = replace(budget, **{name: calls * getattr(budget, name)})
        found, purse = grown(tmp_path / "run", 12, more, engine)
        asked += engine.asked
        spent, limit = getattr(purse.spent, name), getattr(more, name)
        assert spent == pytest.approx(_recorded(tmp_path / "run", more, name))
        lines = list(read_trees(tmp_path / "run/trees.jsonl"))
        assert len(lines) == found.trees
        if not found.missing:
            break
        assert 0.5 * limit < spent < 1.1 * limit and found.limit == f"{name} = {limit}"
        assert {tree.to_json() for tree in lines} <= set(expected.decode().splitlines())
        nothing = Logged()
        same, _ = grown(tmp_path / "run", 12, more, nothing)
        assert (same.trees, same.missing) == (found.trees, found.missing) and not nothing.asked
    assert calls > 3
    assert sorted(asked) == sorted(free.asked)
    assert (tmp_path / "run/trees.jsonl").read_bytes() == expected


def _recorded(run: Path, budget: Budget, name: str) -> float:
    """What the run's journal says was spent."""
    spent = Spent(budget.prices)
    with Journal(run / "journal.db") as journal:
        for role, usage in journal.usage():
            spent.add(role, usage)
    return float(getattr(spent, name))


@pytest.mark.parametrize("times", [2, 7, 30])
@pytest.mark.parametrize("name", SMALL)
def test_a_budget_is_no_more_than_reached_and_finishes_what_width_1_finishes(
    name: str, times: int
) -> None:
    recipe = SMALL[name]
    _, costs = _driven(recipe, Budget(), 1, 20)
    tokens = times * sum(costs) // 20
    alone, _ = _driven(recipe, Budget(tokens=tokens), 1, 60)
    trees, costs = _driven(recipe, Budget(tokens=tokens), 256, 60)
    assert alone > 0 and trees >= 0.9 * alone
    assert sum(costs) <= max(1.05 * tokens, tokens + max(costs))


def _driven(recipe: Recipe, budget: Budget, width: int, problems: int) -> tuple[int, list[int]]:
    """Trees that a budget lasts for, and the tokens of each search."""
    purse = Purse(budget, samples_at_most=recipe.samples_at_most)
    engines = dict.fromkeys(ROLES, purse.wrap(Function(answer)))
    searches = ((problem.id, recipe.grow(problem)) for problem in toy.problems(problems))
    trees, costs = 0, []
    for found in drive(searches, engines, width=width, lasts_for=purse.lasts_for):
        assert found.error in (None, SPENT.error)
        trees += found.error is None
        costs.append(sum(found.cost.values()))
        if found.error is None:
            purse.finish()
    return trees, costs


@given(
    costs=st.lists(st.integers(1, 40), min_size=1, max_size=40),
    tokens=st.integers(10, 3000),
    width=st.integers(1, 20),
    most=st.sampled_from([0, 40, 200]),
)
def test_whatever_searches_cost_the_first_are_finished_and_the_budget_holds(
    costs: list[int], tokens: int, width: int, most: int
) -> None:
    purse = Purse(Budget(tokens=tokens), samples_at_most=most)
    engine = purse.wrap(Function(lambda ask: (Reply("x", tokens=10),)))
    searches = ((str(number), search(f"{number}-", cost)) for number, cost in enumerate(costs))
    done, spent = [], 0
    for found in drive(
        searches, dict.fromkeys(ROLES, engine), width=width, lasts_for=purse.lasts_for
    ):
        spent += found.cost.get("policy", 0)
        if found.error is None:
            done.append(int(found.key))
            purse.finish()
    assert spent == purse.spent.tokens < tokens + 10  # an ask may pass while anything is left
    assert purse.ended or len(done) == len(costs)
    if 10 * costs[0] <= tokens:
        assert 0 in done  # the oldest goes on whatever others cost


def test_few_searches_are_begun_on_the_word_of_the_first_that_ended() -> None:
    """The first to end are the cheap ones."""
    purse = Purse(Budget(tokens=1010), samples_at_most=100)
    purse.pay("policy", (Reply("x", tokens=10),))
    purse.finish()
    assert purse.lasts_for(1) == 50  # 100, were they all as cheap
    for _ in range(24):
        purse.pay("policy", (Reply("x", tokens=10),))
        purse.finish()
    assert purse.lasts_for(1) == 63  # 76


def test_the_purse_says_what_was_spent_and_by_how_much_it_was_overrun() -> None:
    purse = Purse(Budget(tokens=100, requests=9))
    engine = purse.wrap(Function(lambda ask: (Reply("x", tokens=70),)))
    list(drive([("k", search("k", 5))], dict.fromkeys(ROLES, engine), lasts_for=purse.lasts_for))
    assert list(purse.lines()) == [
        "budget.tokens = 100: 140 spent, 40 over",
        "budget.requests = 9: 2 spent",
    ]


def test_seconds_are_those_of_one_call(tmp_path: Path) -> None:
    found, purse = grown(tmp_path / "run", 8, Budget(seconds=1e-9), Logged())
    assert (found.trees, found.missing, found.begun) == (0, 8, 0)
    assert found.limit == "seconds = 1e-09" and purse.spent.requests == 0
    found, _ = grown(tmp_path / "run", 8, Budget(seconds=60.0), Logged())
    assert (found.trees, found.missing, found.limit) == (8, 0, "")


def test_failed_asks_cost_nothing_and_fail_their_search_alone(tmp_path: Path) -> None:
    def fragile(ask: Ask) -> Replies:
        if "Add 22" in ask.prompt.user:  # the first problem
            raise ValueError("not that one")
        return answer(ask)

    found, purse = grown(tmp_path / "run", 6, Budget(requests=10**6), Function(fragile))
    assert list(found.failures) == ["toy/0/0#T=0.7"] and (found.trees, found.missing) == (5, 0)
    assert purse.spent.requests == _recorded(tmp_path / "run", Budget(), "requests")


def test_a_purse_counts_what_passes_and_answers_spent_when_it_is_empty(tmp_path: Path) -> None:
    purse = Purse(Budget(requests=3, prices=PRICES))
    with Journal(tmp_path / "j.db") as journal:
        engine = journal.wrap(purse.wrap(Function(lambda ask: (Reply(tokens=4),) * ask.n)))
        asks = [Ask(Prompt("", user), n=2) for user in "aabcde"]  # the second is the first's
        asks.insert(4, Ask(Prompt("", "gold", "x"), role="judge"))
        for ticket, ask in enumerate(asks):
            engine.submit(ticket, ask)
        answers: dict[int, Replies | Failure] = {}
        while len(answers) < len(asks):
            answers |= dict(engine.poll(0.0))
        refused = [ticket for ticket, found in answers.items() if found is SPENT]
        assert sorted(refused) == [5, 6]
        assert (purse.spent.requests, purse.spent.tokens, purse.ended) == (3, 24, "requests = 3")
        assert purse.spent.money == pytest.approx(24 * 10 / 1e6)
        assert dict(journal.usage()) == {"policy": Usage(requests=3, sampled=24)}
        assert purse.seconds_left == 0.0

        other = Purse(Budget(requests=9))
        for _ in range(2):  # what is on record counts once
            other.count(journal.path, journal.usage(), 0)
        assert (other.spent.requests, other.seconds_left) == (3, None)


def test_an_ask_that_is_refused_suspends_its_search_and_stops_new_ones() -> None:
    opened = []

    def searches():
        for number in range(50):
            opened.append(number)
            yield f"{number}", search(f"{number}-", 4)

    purse = Purse(Budget(requests=10))
    engine = purse.wrap(Function(lambda ask: (Reply("x"),)))
    found = list(drive(searches(), dict.fromkeys(ROLES, engine), width=3))
    done = [each for each in found if each.error is None]
    assert {each.error for each in found} == {None, SPENT.error}
    assert len(found) == len(opened) <= 6
    assert sum(4 for _ in done) <= 10
    assert purse.spent.requests == 10


def test_without_a_budget_engines_and_searches_are_left_alone() -> None:
    purse, engine, moves = Purse(Budget()), Function(answer), search("k", 1)
    assert purse.wrap(engine) is engine and limited(moves, purse.budget) is moves
    assert limited(moves, Budget(requests=3)) is moves


@pytest.mark.parametrize("name", ["sigma", "marge"])
def test_the_budget_of_a_problem_cuts_the_same_trees_whatever_the_order(
    tmp_path: Path, name: str
) -> None:
    limits = Limits(requests=6) if name == "sigma" else Limits(tokens=100)
    for folder, share in (("a", 1), ("b", 100)):
        with RunFolder.open(tmp_path / folder, {}, version="test") as run:
            purse = Purse(Budget(problem=limits))
            engines = dict.fromkeys(ROLES, Logged(share))
            plan = GrowPlan(SMALL[name], name, width=4, purse=purse)
            watch = Counted()
            found = grow(run, toy.problems(9), plan, Here(engines), watch=watch, expected=9)
        assert (found.trees, found.missing, found.failures) == (9, 0, {})
        progress = watch.progress
        assert 0 < progress.short <= progress.done == progress.total == 9
    assert (tmp_path / "a/trees.jsonl").read_bytes() == (tmp_path / "b/trees.jsonl").read_bytes()
    cut = sum(bool(tree.cut_short) for tree in read_trees(tmp_path / "a/trees.jsonl"))
    assert cut == progress.short
    harvested = harvest(tmp_path / "a/trees.jsonl", SMALL[name], tmp_path / "examples.jsonl")
    assert harvested.trees == 9


# Killed.

LIFE = """
import sys
import time
from pathlib import Path
from whorl.ask import digest
from whorl.budget import Budget
from whorl.budget.purse import Purse
from whorl.engines import toy
from whorl.engines.crew import Here
from whorl.engines.function import Function
from whorl.loop.folder import RunFolder
from whorl.recipes.sigma import Sigma
from whorl.loop.grow import GrowPlan, grow

path, log, requests = Path(sys.argv[1]), open(sys.argv[2], "ab", buffering=0), int(sys.argv[3])

def answer(ask):
    log.write(f"{digest(ask)}\\n".encode())
    time.sleep(0.0005)
    return toy.answer(ask)

with RunFolder.open(path, {}, version="test") as folder:
    purse = Purse(Budget(requests=requests))
    plan = GrowPlan(Sigma(temperatures=(0.7,)), "sigma", width=4, purse=purse)
    engines = dict.fromkeys(("policy", "critic", "reviser"), Function(answer))
    print("ready", flush=True)
    print(grow(folder, toy.problems(30), plan, Here(engines)).missing)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_spends_no_more_than_its_budget(
    tmp_path: Path, end: signal.Signals
) -> None:
    run, log, limit = tmp_path / "run", tmp_path / "log", 300
    missing = ""
    known: set[str] = set()
    twice = kills = 0
    for life in range(20):
        log.unlink(missing_ok=True)
        command = [sys.executable, "-c", LIFE, str(run), str(log), str(limit)]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as child:
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
            if life < 3:
                time.sleep(0.05 + 0.02 * life)
                child.send_signal(end)
                kills += 1
            missing = child.stdout.read().strip()
        asked = Counter(log.read_text().split())
        twice += sum(count if name in known else count - 1 for name, count in asked.items())
        known = _on_record(run)
        assert len(known) <= limit
        if missing:
            break
    assert kills and twice == 0
    assert 0.9 * limit < len(known) <= limit and int(missing) > 0
    sigma, calm = Sigma(temperatures=(0.7,)), tmp_path / "calm"
    for folder in (run, calm):
        grown(folder, 30, Budget(), Function(toy.answer), recipe=sigma)
    hurt, undisturbed = (list(read_trees(folder / "trees.jsonl")) for folder in (run, calm))
    assert [tree.nodes for tree in hurt] == [tree.nodes for tree in undisturbed]


def _on_record(run: Path) -> set[str]:
    database = sqlite3.connect(run / "journal.db")
    try:
        if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return set()  # killed before there was one
        rows = database.execute("SELECT hex(ask) FROM answer WHERE role <> 'judge'")
        return {name.lower() for (name,) in rows}
    finally:
        database.close()


def test_the_record_of_a_tree_says_why_it_was_cut_short() -> None:
    (problem,) = toy.problems(1)
    assert "cut_short" not in json.loads(Tree(problem).to_json())
    record = json.loads(Tree(problem, cut_short="budget").to_json())
    assert record["cut_short"] == "budget" and list(record)[-1] == "nodes"
