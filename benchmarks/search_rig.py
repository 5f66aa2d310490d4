"""What a search does with a server: requests per second, against a simulated one.

The server is `rig.py`, in a process of its own. There is no model behind it, so every figure here
is simulated. One run measures all sides, one after the other, and prints a table and, as its last
line, one JSON object:

requests_per_s: MCTS with 3 children, 512 problems at two temperatures as SIGMA has them, 0.1 s per
    answer, at most 1,000 requests in flight.
inflight_share: of that limit, the mean share that was used as long as there were as many unfinished
    searches as it is wide; whole_run is the same with the beginning and the end.
cpu_ms_per_request: of this process; 1,000 over it is the rate that one core allows, whatever else
    runs on the machine.
vs_treequest: requests per second over treequest's with 16 trees and a batch of 4, each tree a task
    of one event loop (its documentation advises against larger batches). vs_treequest_samples: the
    same in samples, of which a request of treequest brings one and one of ours three;
    vs_treequest_widest: in requests, over the best of `--treequest TREESxBATCH ...`. Left out if
    treequest is not there: pip install treequest.
vs_plain: sampled tokens per second of the search over those of whole solutions sampled by the same
    engine, about as many tokens, from a server with slots and a speed per token.
wasted_share: samples that the server generated and that are in no tree, in all runs together.
journal_cost: share of the CPU time per request that a journal takes, so of the throughput where
    this process is the limit: the median of pairs of runs one after the other, in alternating
    order; journal_cost_slots: throughput that it costs where the server is, by the clock.
    cpu_ms_journaled, cpu_ms_unjournaled: medians of those pairs, per request. `--journal` measures
    these alone.

With `--server NAME` nothing is simulated: that server (or any engine, in this process) is asked
about made-up problems, and the last line has vs_plain alone, the median of `--pairs` pairs of runs,
in tokens per second of wall clock; with `--journal` journal_cost alone, and journal_us_per_ask, CPU
microseconds.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from statistics import median

import aiohttp

from rig import Rig, running, stats
from whorl.ask import Ask, Asking, Engine, Failure, Replies
from whorl.data.synthetic import problems as synthetic
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.engines.journal import Journal
from whorl.engines.judge import Judges
from whorl.engines.meter import Meter
from whorl.problem import Problem
from whorl.rollout import Sampling, sample
from whorl.search import Uct, mcts
from whorl.tree import Tree

try:
    import treequest
except ImportError:
    treequest = None

POLICY = Path(__file__).parents[1] / "src/whorl/models/policy"  # its tokenizer is used
FIXED = Rig(latency=0.1)
SLOTTED = Rig(latency=0.03, per_token=0.02, slots=128)  # half a token's time to get into a batch
LIMIT = 1000  # requests in flight
TEMPERATURES = (0.4, 0.7)
UCT = Uct(children=3)
TURN = 4  # plain samples per request
PLAIN_TOKENS = 40  # of a plain sample, about
TREE = 130  # nodes of one of treequest's trees, as many as one of ours has
ADVISED = "16x4"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run took and gave.

    cpu: seconds of this process; kept: samples in the trees, if each node is one.
    share, whole: of the in-flight limit, while there was work to fill it, and all the time.
    seen: requests in flight as the server saw it, on average.
    """

    seconds: float
    cpu: float
    requests: int
    samples: int
    tokens: int
    kept: int
    share: float
    whole: float
    seen: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def row(self, name: str) -> str:
        return (
            f"{name:28}{self.rate:10,.0f}{self.samples / self.seconds:10,.0f}"
            f"{self.tokens / self.seconds:10,.0f}{1000 * self.cpu / self.requests:8.2f}"
            f"{self.share:8.1%}{self.whole:8.1%}{self.seen:8,.0f}{self.requests:10,}"
        )


Told = Callable[[str, Ran], Ran]
"""Shows a run under a name, and returns it."""

HEAD = (
    f"{'simulated':28}{'requests/s':>10}{'samples/s':>10}{'tokens/s':>10}{'CPU ms':>8}"
    f"{'share':>8}{'whole':>8}{'seen':>8}{'requests':>10}"
)


class Watched:
    """An engine that passes everything on; what it has in flight is added up over time.

    busy: there is enough work to fill the limit.
    """

    def __init__(self, engine: Engine, limit: int) -> None:
        self._engine = engine
        self._limit = limit
        self._open = 0
        self._start = self._since = time.perf_counter()
        self._used = {True: 0.0, False: 0.0}
        self._seconds = {True: 0.0, False: 0.0}
        self.busy = True

    def share(self, *, whole: bool) -> float:
        used, seconds = self._used[True], self._seconds[True]
        if whole:
            used, seconds = sum(self._used.values()), sum(self._seconds.values())
        return used / seconds / self._limit if seconds else 0.0

    def submit(self, ticket: int, ask: Ask) -> None:
        self._count()
        self._open += 1
        self._engine.submit(ticket, ask)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        answers = self._engine.poll(timeout)
        self._count()
        self._open -= len(answers)
        return answers

    def close(self) -> None:
        self._engine.close()

    def _count(self) -> None:
        now = time.perf_counter()
        self._used[self.busy] += min(self._open, self._limit) * (now - self._since)
        self._seconds[self.busy] += now - self._since
        self._since = now


def searches(asked: Sequence[Problem]) -> list[tuple[str, Asking[Tree]]]:
    """A search of each problem at each temperature."""
    return [(f"{p.id}#{t}", searched(p, t)) for p in asked for t in TEMPERATURES]


def plain(asked: Sequence[Problem], requests: int) -> list[tuple[str, Asking[Tree]]]:
    """The same problems, sampled as often without a search."""
    return [(f"{p.id}#{t}", sampled(p, requests)) for p in asked for t in TEMPERATURES]


def over_plain(name: str, number: int, pairs: int) -> dict[str, float]:
    """Tokens per second of a search and of whole solutions over a real engine, in turns."""
    real = list(synthetic("pool", number, seed=0))
    rates: list[tuple[float, float]] = []
    for _ in range(pairs):
        rates.append((1 / took(name, searches(real)), 1 / took(name, plain(real, 4))))
        print(f"search {rates[-1][0]:,.0f} tokens/s, no search {rates[-1][1]:,.0f}", flush=True)
    return {
        "search_tokens_per_s": median(search for search, _ in rates),
        "plain_tokens_per_s": median(plain for _, plain in rates),
        "vs_plain": median(search / plain for search, plain in rates),
    }


def journal_beside(name: str, number: int) -> dict[str, float]:
    """What a journal costs a search over a real engine of this process: CPU seconds in the calls of
    the recorded engine that are not in those of the engine itself, of all CPU seconds. Pairs of
    runs with and without do not tell: a model's CPU time differs by more from run to run."""
    work = searches(list(synthetic("pool", number, seed=0)))
    with (
        closing(open_engine(name, processes=0)) as engine,
        closing(Judges()) as judges,
        recorded(inner := Clocked(engine), journal=True) as answering,
    ):
        outer, start = Clocked(answering), time.process_time()
        for finished in drive(work, {"policy": outer, "judge": judges}):
            assert finished.result is not None, finished.error
        spent = outer.seconds - inner.seconds
        return {
            "journal_cost": spent / (time.process_time() - start),
            "journal_us_per_ask": 1e6 * spent / outer.asks,
        }


class Clocked:
    """An engine, its asks and the CPU seconds of the threads that called it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seconds, self.asks = 0.0, 0

    def submit(self, ticket: int, ask: Ask) -> None:
        start = time.thread_time()
        self.engine.submit(ticket, ask)
        self.seconds += time.thread_time() - start
        self.asks += 1

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        start = time.thread_time()
        answers = self.engine.poll(timeout)
        self.seconds += time.thread_time() - start
        return answers

    def close(self) -> None:
        self.engine.close()


def took(name: str, work: list[tuple[str, Asking[Tree]]]) -> float:
    """Seconds of the clock for each sampled token."""
    with closing(open_engine(name, processes=0)) as engine, closing(Judges()) as judges:
        meter, start = Meter(engine), time.perf_counter()
        for finished in drive(work, {"policy": meter, "judge": judges}):
            assert finished.result is not None, finished.error
        return (time.perf_counter() - start) / meter.tokens


def problems(number: int) -> list[Problem]:
    rng = Random(0)
    questions = (
        f"Mia has {rng.randrange(99)} apples and Tom {rng.randrange(99)}. How many are it?"
        for _ in range(number)
    )
    return [Problem(str(i), question, FIXED.answer) for i, question in enumerate(questions)]


def searched(problem: Problem, temperature: float) -> Asking[Tree]:
    tree = Tree(problem)
    yield from mcts(tree, Sampling(temperature=temperature), UCT)
    return tree


def sampled(problem: Problem, requests: int) -> Asking[Tree]:
    tree = Tree(problem)
    for _ in range(requests):
        yield from sample(tree, TURN, Sampling())
    return tree


def run(work: list[tuple[str, Asking[Tree]]], rig: Rig, *, journal: bool = False) -> Ran:
    """Drive all of it at once against a fresh server."""
    with running(rig) as url:
        spec = f"server:{url}?tokenizer={POLICY}&in_flight={LIMIT}"
        with closing(open_engine(spec)) as engine, recorded(engine, journal=journal) as answering:
            watched = Watched(answering, LIMIT)
            before, start, cpu = stats(url), time.perf_counter(), time.process_time()
            trees = []
            for finished in drive(iter(work), {"policy": watched}, width=len(work)):
                assert finished.result is not None, finished.error
                trees.append(finished.result)
                watched.busy = len(work) - len(trees) >= LIMIT
            seconds = time.perf_counter() - start
            cpu = time.process_time() - cpu
            seen = {
                name: value - before[name]
                for name, value in stats(url).items()
                if name != "statuses"
            }
    return Ran(
        seconds,
        cpu,
        requests=seen["requests"],
        samples=seen["samples"],
        tokens=seen["tokens"],
        kept=sum(node.copies for tree in trees for node in tree.nodes[1:]),
        share=watched.share(whole=False),
        whole=watched.share(whole=True),
        seen=seen["request_s"] / seen["busy_s"],
    )


@contextmanager
def recorded(engine: Engine, *, journal: bool) -> Iterator[Engine]:
    if not journal:
        yield engine
        return
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.db") as record:
        yield record.wrap(engine)


def run_treequest(trees: int, batch: int, seconds: float) -> Ran:
    """Trees of treequest side by side on one event loop, `batch` requests of each at once."""
    with running(FIXED) as url:
        start, cpu = time.perf_counter(), time.process_time()
        asyncio.run(_grow_forest(url, trees, batch, start + seconds))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        seen = stats(url)
    used = min(LIMIT, trees * batch) / LIMIT
    return Ran(
        seconds,
        cpu,
        requests=seen["requests"],
        samples=seen["samples"],
        tokens=seen["tokens"],
        kept=seen["samples"],
        share=used,
        whole=used,
        seen=seen["request_s"] / seen["busy_s"],
    )


async def _grow_forest(url: str, trees: int, batch: int, end: float) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        seeds = count()

        async def generate(text: str) -> tuple[str, float]:
            """One more step of a solution, by one request, and its score; ended ones stay."""
            if "boxed" in text:
                return text, float(f"boxed{{{FIXED.answer}}}" in text)
            body = {
                "model": FIXED.model,
                "prompt": text,
                "max_tokens": 256,
                "temperature": 0.7,
                "stop": ["\n\n"],
                "seed": next(seeds),
            }
            async with session.post(f"{url}/completions", json=body) as response:
                choice = (await response.json())["choices"][0]
            ended = choice["stop_reason"] is None
            text += choice["text"] + ("" if ended else "\n\n")
            return text, 0.5 if not ended else float(f"boxed{{{FIXED.answer}}}" in text)

        async def grow(problem: Problem) -> None:
            algorithm = treequest.StandardMCTS(samples_per_action=batch)
            tree = algorithm.init_tree()
            for _ in range(TREE // batch):
                tree, trials = algorithm.ask_batch(tree, batch, ["step"])
                texts = [trial.parent_state or f"{problem.question}\n\n" for trial in trials]
                found = await asyncio.gather(*map(generate, texts))
                for trial, result in zip(trials, found, strict=True):
                    tree = algorithm.tell(tree, trial.trial_id, result)
                await asyncio.sleep(0)  # all of them may have ended before

        async def keep_growing(problem: Problem) -> None:
            while time.perf_counter() < end:
                await grow(problem)

        await asyncio.gather(*map(keep_growing, problems(trees)))


def journal_pairs(
    asked: list[Problem], count: int, told: Told
) -> tuple[dict[str, float], list[Ran]]:
    """What a journal costs, in so many pairs of runs with and without; and the runs."""
    pairs: list[dict[bool, Ran]] = []
    for number in range(count):
        pair = {}
        for journal in (False, True) if number % 2 else (True, False):
            name = "with journal" if journal else "without journal"
            pair[journal] = told(name, run(searches(asked), FIXED, journal=journal))
        pairs.append(pair)
    ms = {j: [1000 * pair[j].cpu / pair[j].requests for pair in pairs] for j in (True, False)}
    found = {
        "journal_cost": median(1 - off / on for on, off in zip(ms[True], ms[False], strict=True)),
        "cpu_ms_journaled": median(ms[True]),
        "cpu_ms_unjournaled": median(ms[False]),
    }
    return found, [ran for pair in pairs for ran in pair.values()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=7, help="of runs with and without journal")
    parser.add_argument(
        "--treequest", nargs="+", default=[ADVISED, "16x16", "64x16"], metavar="TREESxBATCH"
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="that treequest is given")
    parser.add_argument("--server", metavar="NAME", help="a real one, as server:URL?...")
    parser.add_argument("--journal", action="store_true", help="what a journal costs alone")
    parser.add_argument("--json", action="store_true", help="print the JSON object only")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is a file
    if options.server:
        asked = (options.server, options.problems)
        found = journal_beside(*asked) if options.journal else over_plain(*asked, options.pairs)
        print(json.dumps(found))
        return

    def told(name: str, ran: Ran) -> Ran:
        if not options.json:
            print(ran.row(name), flush=True)
        return ran

    if not options.json:
        print(HEAD)
    if options.journal:
        costs, _ = journal_pairs(problems(options.problems // 4), options.pairs, told)
        print(json.dumps({name: round(figure, 4) for name, figure in costs.items()}))
        return
    fixed = told("search, 0.1 s", run(searches(problems(options.problems)), FIXED))
    all_runs = [fixed]
    found = {
        "requests_per_s": fixed.rate,
        "inflight_share": fixed.share,
        "inflight_share_whole_run": fixed.whole,
        "cpu_ms_per_request": 1000 * fixed.cpu / fixed.requests,
    }
    if treequest is not None:
        others = {
            size: told(
                f"treequest, {size}", run_treequest(*map(int, size.split("x")), options.seconds)
            )
            for size in dict.fromkeys([ADVISED, *options.treequest])
        }
        advised = others[ADVISED]
        samples = advised.samples / advised.seconds
        found["vs_treequest"] = fixed.rate / advised.rate
        found["vs_treequest_samples"] = fixed.samples / fixed.seconds / samples
        found["vs_treequest_widest"] = fixed.rate / max(ran.rate for ran in others.values())
    few = problems(options.problems // 8)
    slotted = told("search, slots", run(searches(few), SLOTTED))
    all_runs.append(slotted)
    each = round(slotted.tokens / PLAIN_TOKENS / TURN / (len(few) * len(TEMPERATURES)))
    sampling = told("no search, slots", run(plain(few, each), SLOTTED))
    found["vs_plain"] = (slotted.tokens / slotted.seconds) / (sampling.tokens / sampling.seconds)
    slow = told("search, slots, journal", run(searches(few), SLOTTED, journal=True))
    all_runs.append(slow)
    found["journal_cost_slots"] = 1 - slow.rate / slotted.rate
    costs, ran = journal_pairs(problems(options.problems // 4), options.pairs, told)
    found, all_runs = found | costs, all_runs + ran
    found["wasted_share"] = 1 - sum(r.kept for r in all_runs) / sum(r.samples for r in all_runs)
    rounded = {name: round(figure, 4) for name, figure in found.items()}
    print(json.dumps({**rounded, "simulated": True}))


if __name__ == "__main__":
    main()
