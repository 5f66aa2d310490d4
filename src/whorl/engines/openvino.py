"""OpenVINO in this process: on a CPU it samples faster than the embedded engine."""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino
import openvino_genai

from whorl.ask import Ask, Failure, Replies, Reply, repeated
from whorl.chat import Chat
from whorl.engines.admission import admitted
from whorl.engines.local.stops import Stops
from whorl.engines.memory import token_bytes, usual_cache
from whorl.engines.openvino_weights import Kind, converted
from whorl.errors import UserError
from whorl.steps import cut

_STEPS = 32  # tokens for every sample in a slice of work, at most
_GROUP = 128  # numbers of a row that share a scale when they are rounded for a product
_BLOCK = 32  # tokens whose keys and values OpenVINO keeps together on a CPU
_ROWS = 256  # samples at once; more gain nothing on a core


@dataclass(slots=True, eq=False)
class _Job:
    """An ask in work: its `parts`, as far as they are done.

    There is more than one where its samples do not fit into the cache together.
    """

    ask: Ask
    prompt_tokens: int
    parts: list[Sequence[Any] | None]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Samples of an ask that are drawn together, and the blocks that they may come to fill."""

    ticket: int
    number: int
    ask: Ask
    ids: list[int]
    blocks: int


class OpenVino:
    """Answers asks with the model in `folder`, a decoder of `openvino_graph.ARCHITECTURES`.

    weights: how its matrices are kept. Below 16 bits products are of whole numbers: what goes into
        one is rounded to eight bits in groups of a row.
    cache_gb: GiB for keys and values, which are kept in float16 beside rounded weights; 0 is what
        is usual (`memory.usual_cache`).

    All else is computed in float32: with one thread OpenVINO 2026.4 divides by zero in bfloat16.
    What is sampled for an ask depends on the ask alone, up to the rounding of sums, unless its
    samples are more than fit into the cache. Replies have no log-probabilities: OpenVINO tells
    those after temperature. Each `poll` does a slice of the work. Raises `UserError` if OpenVINO
    cannot load the model.
    """

    def __init__(self, folder: Path, *, weights: Kind = "f16", cache_gb: float = 0.0) -> None:
        self.chat = Chat.load(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        cache = (cache_gb or usual_cache(config, weights)) * (1 << 30)
        blocks = cache / token_bytes(config, weights) / _BLOCK
        self._blocks = self._free = max(1, int(blocks))
        self._engine = _start(folder, weights, self._blocks)
        self._requests = count()
        self._waiting: deque[_Part] = deque()
        self._running: dict[_Part, Any] = {}  # and OpenVINO's hold of each
        self._limit: int = config["max_position_embeddings"]
        self._known: int = config["vocab_size"]
        self._stops = Stops(self.chat, self._known)
        self._endings: dict[tuple[str, ...], set[int]] = {}  # tokens, by an ask's stop strings
        self._jobs: dict[int, _Job] = {}
        self._done: list[tuple[int, Replies | Failure]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        ids, answer = admitted(ask, self.chat.encode, self._limit, known=self._known)
        if answer is None:
            answer = self._queued(ticket, ask, ids)
        if answer is not None:
            self._done.append((ticket, answer))

    def _queued(self, ticket: int, ask: Ask, ids: list[int]) -> Failure | None:
        """Put an ask into the queue, in as many parts as the cache makes of it."""
        allowed = min(ask.max_tokens, self._limit - len(ids))
        prompt, each = len(ids) // _BLOCK, allowed // _BLOCK + 2  # the prompt's last block is in it
        at_once = min(_ROWS, (self._blocks - prompt) // each)
        if at_once < 1:
            return Failure(
                f"a prompt of {len(ids):,} tokens and a sample of {allowed:,} do not fit into the "
                f"cache of {self._blocks * _BLOCK:,}; a larger cache_gb holds more"
            )
        wanted = 1 if ask.temperature == 0 else ask.n
        sizes = [min(at_once, wanted - begun) for begun in range(0, wanted, at_once)]
        self._jobs[ticket] = _Job(ask, len(ids), [None] * len(sizes))
        for number, n in enumerate(sizes):
            own = replace(ask, n=n, seed=ask.seed + number, max_tokens=allowed)
            self._waiting.append(_Part(ticket, number, own, ids, prompt + n * each))
        return None

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        for _ in range(_STEPS):
            self._begin()
            if self._done or not self._running:
                break
            self._engine.step()
            running = openvino_genai.GenerationStatus.RUNNING
            for part, handle in list(self._running.items()):
                if handle.get_status() != running:
                    del self._running[part]
                    self._free += part.blocks
                    self._end(part, handle.read_all())
        done, self._done = self._done, []
        return done

    def _begin(self) -> None:
        """Hand over what waits, as long as all that runs fits into the cache: where it does not,
        OpenVINO cuts samples short without a word, or comes to no end."""
        while self._waiting and self._waiting[0].blocks <= self._free:
            part = self._waiting.popleft()
            if part.ticket not in self._jobs:  # another part of it was refused
                continue
            tokens = openvino.Tensor(np.array([part.ids], dtype=np.int64))
            number, sampling = next(self._requests), self._sampling(part.ask)
            try:
                handle = self._engine.add_request(number, tokens, sampling)
            except RuntimeError as error:  # OpenVINO refuses the ask
                del self._jobs[part.ticket]
                failure = Failure(f"OpenVINO: {' '.join(str(error).split())}")
                self._done.append((part.ticket, failure))
            else:
                self._free -= part.blocks
                self._running[part] = handle

    def _end(self, part: _Part, outputs: Sequence[Any]) -> None:
        """Keep the samples of a part; with the last one the ask is answered."""
        if (job := self._jobs.get(part.ticket)) is None:
            return
        job.parts[part.number] = outputs
        if all(each is not None for each in job.parts):
            del self._jobs[part.ticket]
            self._done.append((part.ticket, self._replies(job)))

    def close(self) -> None:
        for each in (self._waiting, self._running, self._jobs, self._done):
            each.clear()
        del self._engine

    def _sampling(self, ask: Ask) -> Any:
        """Sampling stops at tokens that hold a stop string: looking for the strings would cost
        OpenVINO a third of its speed. A stop that several tokens make is cut at afterwards."""
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = ask.max_tokens
        config.eos_token_id = self.chat.end[-1]  # the pipeline has no tokenizer to ask
        if ask.stop not in self._endings:
            holding = self._stops.holding((*ask.stop, *self.chat.stops))
            self._endings[ask.stop] = {*self.chat.ends, *holding}
        config.stop_token_ids = self._endings[ask.stop]
        if ask.temperature != 0:
            config.do_sample = True
            config.num_return_sequences = ask.n
            config.temperature = ask.temperature
            config.top_p = ask.top_p
            config.rng_seed = ask.seed
        return config

    def _replies(self, job: _Job) -> Replies:
        outputs = [output for part in job.parts for output in part or ()]
        first, *others = (self._reply(job.ask, list(output.generated_ids)) for output in outputs)
        first = replace(first, prompt_tokens=job.prompt_tokens)
        return (first, *others) if len(outputs) == job.ask.n else repeated(first, job.ask.n)

    def _reply(self, ask: Ask, ids: list[int]) -> Reply:
        ended = ids[-1] in self.chat.ends
        text = self.chat.decode(ids[:-1] if ended else ids)
        found = cut(text, [*filter(None, ask.stop), *self.chat.stops])
        finished: Literal["stop", "eos", "length"] = "eos" if ended else "length"
        if found is not None:
            text, by = found
            finished = "stop" if by in ask.stop else "eos"
        return Reply(self.chat.begun(ask.prompt) + text, finished, len(ids))


def _start(folder: Path, kind: Kind, blocks: int) -> Any:
    """OpenVINO's pipeline over the folder's weights. blocks: for keys and values, of `_BLOCK`
    tokens each."""
    config = openvino_genai.SchedulerConfig()
    config.num_kv_blocks = blocks
    config.max_num_seqs = _ROWS
    config.enable_prefix_caching = True
    properties = {
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32" if kind == "f16" else "f16",
        "INFERENCE_NUM_THREADS": 1,
        "ENABLE_CPU_PINNING": False,  # else every process computes on the machine's first core
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0 if kind == "f16" else _GROUP,
    }
    place = converted(folder, kind)
    try:
        return openvino_genai.ContinuousBatchingPipeline(str(place), config, "CPU", properties)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"OpenVINO cannot load {folder}: {reason}") from error
