"""OpenVINO in this process: on a CPU it samples faster than the embedded engine."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino
import openvino_genai

from whorl.ask import Ask, Failure, Replies, Reply, repeated
from whorl.chat import Chat
from whorl.engines.admission import admitted
from whorl.engines.local.stops import Stops
from whorl.engines.memory import token_bytes
from whorl.engines.openvino_weights import Kind, converted
from whorl.errors import UserError
from whorl.steps import cut

_STEPS = 32  # tokens for every sample in a slice of work, at most
_GROUP = 128  # numbers of a row that share a scale when they are rounded for a product
_BLOCK = 32  # tokens whose keys and values OpenVINO keeps together on a CPU
_ROWS = 256  # samples at once; more gain nothing on a core


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """An ask in work, and OpenVINO's hold of it."""

    ask: Ask
    prompt_tokens: int
    handle: Any


class OpenVino:
    """Answers asks with the model in `folder`, a decoder of `openvino_graph.ARCHITECTURES`.

    weights: how its matrices are kept. Below 16 bits products are of whole numbers: what goes into
        one is rounded to eight bits in groups of a row.
    cache_gb: GiB for keys and values, which are kept in float16 beside rounded weights.

    All else is computed in float32: with one thread OpenVINO 2026.4 divides by zero in bfloat16.
    What is sampled for an ask depends on the ask alone, up to the rounding of sums. Replies have no
    log-probabilities: OpenVINO tells those after temperature. Each `poll` does a slice of the work.
    Raises `UserError` if OpenVINO cannot load the model.
    """

    def __init__(self, folder: Path, *, weights: Kind = "f16", cache_gb: float = 1.0) -> None:
        self.chat = Chat.load(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        blocks = cache_gb * (1 << 30) / token_bytes(config, weights) / _BLOCK
        self._engine = _start(folder, weights, max(1, int(blocks)))
        self._limit: int = config["max_position_embeddings"]
        self._stops = Stops(self.chat, config["vocab_size"])
        self._endings: dict[tuple[str, ...], set[int]] = {}  # tokens, by an ask's stop strings
        self._jobs: dict[int, _Job] = {}
        self._done: list[tuple[int, Replies | Failure]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        ids, answer = admitted(ask, self.chat.encode, self._limit)
        if answer is not None:
            self._done.append((ticket, answer))
        else:
            allowed = min(ask.max_tokens, self._limit - len(ids))
            tokens = openvino.Tensor(np.array([ids], dtype=np.int64))
            try:
                handle = self._engine.add_request(ticket, tokens, self._sampling(ask, allowed))
            except RuntimeError as error:  # OpenVINO refuses the ask
                self._done.append((ticket, Failure(f"OpenVINO: {' '.join(str(error).split())}")))
            else:
                self._jobs[ticket] = _Job(ask, len(ids), handle)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        for _ in range(_STEPS):
            if self._done or not self._jobs:
                break
            self._engine.step()
            running = openvino_genai.GenerationStatus.RUNNING
            for ticket, job in list(self._jobs.items()):
                if job.handle.get_status() != running:
                    del self._jobs[ticket]
                    self._done.append((ticket, self._replies(job)))
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        self._jobs.clear()
        self._done.clear()
        del self._engine

    def _sampling(self, ask: Ask, allowed: int) -> Any:
        """Sampling stops at tokens that hold a stop string: looking for the strings would cost
        OpenVINO a third of its speed. A stop that several tokens make is cut at afterwards."""
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = allowed
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
        outputs = job.handle.read_all()
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
