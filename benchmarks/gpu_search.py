"""A search over a model on a GPU against plain sampling by the same engine, in one run.

    python benchmarks/swollen.py FOLDER
    python benchmarks/gpu_search.py "vllm:FOLDER?max_num_seqs=512"
    python benchmarks/gpu_search.py "server:http://localhost:8000/v1?tokenizer=FOLDER"

MCTS with 3 children over made-up problems at two temperatures, as SIGMA has them; then whole
solutions of the same problems, about as many tokens, all asked for at once. The engine has answered
both kinds for a while before. Seconds are of the wall; the last line is one JSON object.

search_over_plain: sampled tokens per second of the search over those of plain sampling; `_full`:
    the same while at least half of the searches (or of the plain asks) are unfinished, so that what
    the last trees leave idle does not count.
requests_per_s, tokens_per_s, in_flight: of the search; in_flight is the mean number of its asks at
    the engine, each of up to 3 samples.
cached_share: prompt tokens of the search that the engine knew already.
own_share: CPU seconds of this process, where the search runs, over the wall. With `--processes 0`
    the engine runs here too, and it is the share of the wall that is spent outside of the engine.
right: of the plain solutions; a search tries the problem's wrong ways on purpose.
reload_s: until new weights of that size, from the same files, are in use; `--processes 0` of vLLM.
"""

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from whorl.ask import Ask, Asking, Engine, Failure, Replies
from whorl.data.synthetic import problems
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.engines.judge import Judges
from whorl.engines.vllm import Vllm
from whorl.problem import Problem
from whorl.rollout import Sampling, sample
from whorl.search import Uct, mcts
from whorl.tree import Tree

TEMPERATURES = (0.4, 0.7)
UCT = Uct(children=3)
TURN = 16  # plain samples per ask

Work = list[tuple[str, Asking[Tree]]]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run took and gave. full: tokens and seconds while half of the work was unfinished."""

    seconds: float
    outside: float
    cpu: float
    requests: int
    samples: int
    tokens: int
    full: tuple[int, float]
    prompt: int
    cached: int
    in_flight: float
    right: float

    def row(self, name: str) -> str:
        return (
            f"{name:8}{self.seconds:9.1f}{self.requests:10,}{self.samples:10,}{self.tokens:12,}"
            f"{self.requests / self.seconds:12,.0f}{self.tokens / self.seconds:10,.0f}"
            f"{self.full[0] / self.full[1]:10,.0f}{self.in_flight:11,.0f}"
            f"{self.cached / max(1, self.prompt):9.1%}{self.outside / self.seconds:9.1%}"
            f"{self.cpu / self.seconds:7.1%}{self.right:7.1%}"
        )


HEAD = (
    f"{'':8}{'seconds':>9}{'requests':>10}{'samples':>10}{'tokens':>12}{'requests/s':>12}"
    f"{'tokens/s':>10}{'full':>10}{'in flight':>11}{'cached':>9}{'outside':>9}{'CPU':>7}"
    f"{'right':>7}"
)


class Counted:
    """An engine that passes everything on, and counts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.requests = self.samples = self.tokens = self.prompt = self.cached = 0
        self.inside = 0.0
        """Seconds in the engine, waiting for it included."""
        self.asked = 0.0
        """Asks at the engine, times seconds."""
        self._open = 0
        self._since = time.perf_counter()

    def submit(self, ticket: int, ask: Ask) -> None:
        start = self._count()
        self._engine.submit(ticket, ask)
        self._open += 1
        self.requests += 1
        self.inside += self._count() - start

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        start = self._count()
        answers = self._engine.poll(timeout)
        self.inside += self._count() - start
        self._open -= len(answers)
        for _, replies in answers:
            assert not isinstance(replies, Failure), replies.error
            self.samples += len(replies)
            self.tokens += sum(reply.tokens for reply in replies)
            self.prompt += sum(reply.prompt_tokens for reply in replies)
            self.cached += sum(reply.cached_tokens for reply in replies)
        return answers

    def close(self) -> None:
        self._engine.close()

    def _count(self) -> float:
        now = time.perf_counter()
        self.asked += self._open * (now - self._since)
        self._since = now
        return now


def searches(some: Iterable[Problem]) -> Work:
    return [(f"{p.id}#{t}", searched(p, t)) for p in some for t in TEMPERATURES]


def searched(problem: Problem, temperature: float) -> Asking[Tree]:
    tree = Tree(problem)
    yield from mcts(tree, Sampling(temperature=temperature), UCT)
    return tree


def plain(some: Sequence[Problem], asks: int) -> Work:
    """So many asks for whole solutions in all; every problem has its turn."""
    kinds = [(p, t) for p in some for t in TEMPERATURES]
    return [(f"{i}", sampled(*kinds[i % len(kinds)])) for i in range(asks)]


def sampled(problem: Problem, temperature: float) -> Asking[Tree]:
    tree = Tree(problem)
    yield from sample(tree, TURN, Sampling(temperature=temperature))
    return tree


def run(engine: Engine, judge: Engine, work: Work) -> Ran:
    """Drive all of it at once."""
    counted = Counted(engine)
    start, cpu = time.perf_counter(), time.process_time()
    full, ended, right = (0, 1.0), 0, 0
    engines = {"policy": counted, "judge": judge}
    for number, finished in enumerate(drive(iter(work), engines, width=len(work)), start=1):
        assert finished.result is not None, finished.error
        for node in finished.result.nodes:
            if node.terminal and not node.pruned:
                ended += node.copies
                right += node.copies * (node.reward == 1.0)
        if number == len(work) // 2:
            full = counted.tokens, time.perf_counter() - start
    seconds = time.perf_counter() - start
    return Ran(
        seconds,
        outside=seconds - counted.inside,
        cpu=time.process_time() - cpu,
        requests=counted.requests,
        samples=counted.samples,
        tokens=counted.tokens,
        full=full,
        prompt=counted.prompt,
        cached=counted.cached,
        in_flight=counted.asked / seconds,
        right=right / max(1, ended),
    )


def measure(engine: Engine, judge: Engine, number: int) -> dict[str, float]:
    """Both sides, after a while of each with other problems."""
    some = list(problems("test", number, seed=0))
    others = list(problems("dev", max(2, number // 8), seed=0))
    warm = run(engine, judge, searches(others))
    each = run(engine, judge, plain(others, 2 * len(others)))
    print(HEAD)
    search = run(engine, judge, searches(some))
    print(search.row("search"), flush=True)
    asks = round(search.tokens / (each.tokens / each.requests))
    sampling = run(engine, judge, plain(some, asks))
    print(sampling.row("plain"), flush=True)
    print(warm.row("(warm)"))
    return {
        "search_over_plain": (search.tokens / search.seconds)
        / (sampling.tokens / sampling.seconds),
        "search_over_plain_full": (search.full[0] / search.full[1])
        / (sampling.full[0] / sampling.full[1]),
        "requests_per_s": search.requests / search.seconds,
        "tokens_per_s": search.tokens / search.seconds,
        "tokens_per_s_plain": sampling.tokens / sampling.seconds,
        "tokens_per_request": search.tokens / search.requests,
        "prompt_per_request": search.prompt / search.requests,
        "in_flight": search.in_flight,
        "in_flight_plain": sampling.in_flight,
        "cached_share": search.cached / max(1, search.prompt),
        "right": sampling.right,
    } | {
        f"own_share{side}": (ran.outside if isinstance(engine, Vllm) else ran.cpu) / ran.seconds
        for side, ran in (("", search), ("_plain", sampling))
    }


def reloaded(engine: Vllm) -> float:
    start = time.perf_counter()
    engine._engine.collective_rpc("reload_weights")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("engine", help="as `--policy` names it")
    parser.add_argument("--problems", type=int, default=256)
    parser.add_argument("--processes", type=int, default=1, help="for the model; 0 is this one")
    options = parser.parse_args()
    start = time.perf_counter()
    with (
        closing(Judges()) as judge,
        closing(open_engine(options.engine, processes=options.processes)) as engine,
    ):
        found = {"open_s": time.perf_counter() - start}
        found |= measure(engine, judge, options.problems)
        if isinstance(engine, Vllm):
            found["reload_s"] = min(reloaded(engine) for _ in range(2))
    rounded = {name: float(f"{figure:.4g}") for name, figure in found.items()}
    print(json.dumps({"engine": options.engine, "processes": options.processes, **rounded}))


if __name__ == "__main__":
    main()
