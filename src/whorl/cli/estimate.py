"""Lines that say what a run will cost: the most that its recipe may ask for, and what a few of its
problems that were tried say of the rest."""

from collections.abc import Iterator, Mapping

from whorl.budget import Prices, Spent
from whorl.evaluate import Decoding, findable
from whorl.evaluate.pairing import CHANGED
from whorl.loop.estimate import Tried
from whorl.loop.forecast import mean
from whorl.loop.run import Run
from whorl.loop.split import Survey
from whorl.recipe import arms_of, tokens_at_most
from whorl.watch.line import clock


def at_most(run: Run, found: Survey) -> Iterator[str]:
    """Lines that say how much a run may ask for at most."""
    arms = arms_of(run.recipe)
    searches = found.problems * len(arms)
    each = "" if run.rounds == 1 else " in each round"
    samples = sum(arm.samples_at_most for arm in arms.values()) * found.problems
    yield f"searches: {searches:,}{each}, {samples:,} samples at most"
    tokens = sum(map(tokens_at_most, arms.values())) * found.problems
    if tokens:
        rounds = f", {tokens * run.rounds:,} in all {run.rounds}" if run.rounds > 1 else ""
        yield f"tokens: {tokens:,} at most{each}{rounds}; most searches end far below that"
    prices = run.budget.prices
    if tokens and prices != Prices():
        dearest = max(getattr(prices, role).sampled for role in Spent(prices).by_role)
        money = tokens * run.rounds * dearest / 1e6
        yield f"money: {money:,.2f} at most for what is sampled; what is read comes on top"
    for name, limit in run.budget.run.named().items():
        yield f"budget: growing ends at {name} = {limit:,.12g}"


def by_trial(run: Run, found: Survey, tried: Tried) -> Iterator[str]:
    """Lines that say what the problems that were tried cost, and what the run will."""
    count, least, most = len(tried.tokens), min(tried.tokens), max(tried.tokens)
    each = mean(tried.tokens)
    yield (
        f"tried {count:,} problems: {each.expected:,.0f} tokens each, from {least:,} to {most:,}, "
        f"in {clock(tried.seconds)}; {len(tried.failures):,} searches failed"
    )
    problems = found.problems * run.rounds
    rounds = f" of {run.rounds} rounds" if run.rounds > 1 else ""
    whole = each.times(problems)
    span = f" (90 % interval {whole.low:,.0f} to {whole.high:,.0f})" if count > 1 else ""
    yield (
        f"growing{rounds}: about {whole.expected:,.0f} tokens{span}, "
        f"{clock(tried.seconds * problems / count)} at the pace of "
        f"{count:,} problems side by side; {min(run.width, found.problems):,} will be"
    )
    spent = Spent(run.budget.prices)
    for role, usage in tried.spent.by_role.items():
        spent.add(role, usage.times(problems / count))
    if run.budget.prices != Prices():
        yield f"money: about {spent.money:,.2f}"
    likely = {"tokens": whole.expected, "seconds": tried.seconds * problems / count}
    yield from ends_early(run, found.problems, {**spent.amounts(), **likely})


def ends_early(run: Run, problems: int, likely: Mapping[str, float]) -> Iterator[str]:
    """A line that says where the budget will end growing, if it is likely to.

    problems: of a round. likely: amounts of growing in all rounds, by the names of limits.
    """
    limits = run.budget.run.named()
    shares = {name: limit / likely[name] for name, limit in limits.items() if likely[name] > limit}
    if not shares:
        return
    name, share = min(shares.items(), key=lambda item: item[1])
    searches = problems * len(arms_of(run.recipe)) * run.rounds
    where = f", in round {int(share * run.rounds) + 1} of {run.rounds}" if run.rounds > 1 else ""
    yield (
        f"budget.{name} = {limits[name]} will end growing after about {share * searches:,.0f} of "
        f"{searches:,} searches{where}; the other figures are of the run without it"
    )


def findable_gain(problems: int) -> str:
    """A line that says which gain so many problems can tell from chance."""
    if findable(problems) >= CHANGED:
        return f"test: {problems:,} problems are too few to tell a gain from chance"
    gain = 100 * findable(problems)
    return (
        f"test: {problems:,} problems find a true gain of {gain:.1f} points four times in five "
        "(p < 0.05, where a fifth of the verdicts change); half of it takes four times as many"
    )


def evaluation_at_most(decoding: Decoding, problems: int, *, of: str = "evaluation") -> str:
    """A line that says how much an evaluation may ask for at most. of: what it is called."""
    tokens = problems * decoding.n * (decoding.max_tokens + (decoding.thought_tokens or 0))
    often = "1 attempt" if decoding.n == 1 else f"{decoding.n:,} attempts"
    return f"{of}: {problems:,} problems, {often} at each, {tokens:,} tokens at most"
