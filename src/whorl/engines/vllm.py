"""vLLM in this process: its scheduler batches the asks, its prefix cache knows the trees."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from whorl.ask import Ask, Failure, Replies, Reply, repeated
from whorl.chat import Chat
from whorl.engines.admission import admitted, to_score
from whorl.engines.vllm_given import reading, told
from whorl.errors import UserError
from whorl.steps import cut

LOG = logging.getLogger("whorl.engines")

_STEPS = 32  # tokens for every sample in a slice of work, at most
_NO_MATTER = {"_name_or_path", "transformers_version"}  # of a configuration, as what is set is


@dataclass(slots=True, eq=False)
class _Job:
    """An ask in work: how many samples it needs, and the ones that are there, by number."""

    ask: Ask
    prompt_tokens: int
    needed: int
    cached_tokens: int = 0
    replies: dict[int, Reply] = field(default_factory=dict)


class Vllm:
    """Answers asks with the model in `folder`.

    settings: vLLM's engine arguments by name, such as `dtype` (by default that of the weights),
        `max_model_len` or `gpu_memory_utilization`.

    What is sampled for an ask depends on the ask alone, up to the rounding of sums, which differs
    from batch to batch. Each `poll` does a slice of the work. Of several in one process none can be
    used after the first was closed, as vLLM shares what they have in common. It is `Lasting`: it
    reloads a model that differs in its weights alone, and rests if `enable_sleep_mode` is set.
    Raises `UserError` if vLLM has no such setting or cannot load the model.
    """

    lost = False

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.chat = Chat.load(folder)
        self._settings = settings
        self._frame = _frame(folder, self.chat, settings)
        self._engine = _start(folder, settings)
        self._limit: int = self._engine.model_config.max_model_len
        self._asleep = False
        self._jobs: dict[int, _Job] = {}
        self._done: list[tuple[int, Replies | Failure]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        from vllm.inputs import tokens_input

        if ask.given is not None:
            return self._read_given(ticket, ask)
        ids, answer = admitted(ask, self.chat.encode, self._limit)
        if answer is not None:
            self._done.append((ticket, answer))
        else:
            inputs, needed = tokens_input(ids), ask.n if ask.temperature > 0 else 1
            try:
                for sample in range(needed):
                    name, seed = f"{ticket}/{sample}", ask.seed + sample
                    self._engine.add_request(name, inputs, self._sampling(ask, seed))
            except Exception as error:  # vLLM refuses the ask
                self._done.append((ticket, Failure(f"vLLM: {' '.join(str(error).split())}")))
            else:
                self._jobs[ticket] = _Job(ask, len(ids), needed)

    def _read_given(self, ticket: int, ask: Ask) -> None:
        """Have a given text read. vLLM samples a token behind it, so that has to fit too."""
        from vllm.inputs import tokens_input

        found = to_score(ask, self.chat, self._limit - 1)
        if isinstance(found, Failure):
            self._done.append((ticket, found))
            return
        ids, start = found
        self._engine.add_request(f"{ticket}/0", tokens_input(ids), reading())
        self._jobs[ticket] = _Job(ask, start, 1)

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        for _ in range(_STEPS):
            if self._done or not self._jobs:
                break
            for output in self._engine.step():
                self._take(output)
        done, self._done = self._done, []
        return done

    def rest(self) -> bool:
        # without the setting, `sleep` frees nothing and says so in the log alone
        if not self._engine.model_config.enable_sleep_mode:
            return False
        self._engine.sleep(level=2)  # nothing is kept: weights are on disk, keys and values are old
        self._asleep = True
        return True

    def reload(self, folder: Path) -> bool:
        try:
            chat = Chat.load(folder)
            if self._jobs or _frame(folder, chat, self._settings) != self._frame:
                return False
            if self._asleep:
                self._engine.wake_up(["weights"])
            self._engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
            if _on_cpu():
                self._engine.collective_rpc(_pack_head)
            if self._asleep:
                self._engine.wake_up(["kv_cache"])
        except Exception:  # whatever keeps vLLM from it: it may be half done
            LOG.warning("vLLM did not take the weights in %s", folder, exc_info=True)
            return False
        self.chat, self._asleep = chat, False
        # keys and values of the old weights are no longer true
        return bool(self._engine.reset_prefix_cache())

    def close(self) -> None:
        self._jobs.clear()
        self._done.clear()
        self._engine.engine_core.shutdown()
        del self._engine

    def _sampling(self, ask: Ask, seed: int) -> Any:
        """How vLLM is to draw one sample of an ask."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=ask.temperature,
            top_p=ask.top_p,
            seed=seed % 2**63,
            stop=[*filter(None, ask.stop), *self.chat.stops],
            stop_token_ids=sorted({*self.chat.ends, *self._closing(ask)}),
            max_tokens=ask.max_tokens,
            logprobs=0,  # of the sampled token alone
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _closing(self, ask: Ask) -> list[int]:
        """Tokens that complete a stop string and are no text to vLLM: the end of a thought."""
        last = self.chat.thoughts.last.items()
        return [token for token, mark in last if any(stop in mark for stop in ask.stop)]

    def _read(self, ids: Sequence[int], ask: Ask) -> tuple[str, Literal["stop", "eos"] | None]:
        """Text of sampled ids as far as the first stop string, and what that ended, if one is
        there."""
        ended = bool(ids) and ids[-1] in self.chat.ends
        text = self.chat.decode(list(ids[:-1] if ended else ids))
        found = cut(text, [*filter(None, ask.stop), *self.chat.stops])
        if found is None:
            return text, None
        return found[0], "stop" if found[1] in ask.stop else "eos"

    def _take(self, output: Any) -> None:
        """One sample has ended."""
        ticket, sample = map(int, output.request_id.split("/"))
        if ticket not in self._jobs:
            return  # another sample of the ask has failed
        job = self._jobs[ticket]
        if job.ask.given is not None:
            del self._jobs[ticket]
            self._done.append((ticket, told(output, job.prompt_tokens)))
            return
        (made,) = output.outputs
        if made.finish_reason not in ("stop", "length"):
            del self._jobs[ticket]
            self._done.append((ticket, Failure(f"vLLM ended a sample: {made.finish_reason}")))
            return
        finished: Literal["stop", "eos", "length"] = "length"
        if made.finish_reason == "stop":
            finished = "stop" if made.stop_reason in job.ask.stop else "eos"
        text = made.text
        if self.chat.thoughts.ids:  # which vLLM leaves out with all special tokens
            text, by = self._read(made.token_ids, job.ask)
            finished = by or finished
        text = self.chat.begun(job.ask.prompt) + text
        job.replies[sample] = Reply(
            text, finished, len(made.token_ids), logprob=made.cumulative_logprob
        )
        if sample == 0:
            job.cached_tokens = output.num_cached_tokens or 0
        if len(job.replies) == job.needed:
            del self._jobs[ticket]
            first, *others = (reply for _, reply in sorted(job.replies.items()))
            first = replace(first, prompt_tokens=job.prompt_tokens, cached_tokens=job.cached_tokens)
            whole = job.needed == job.ask.n
            answer = (first, *others) if whole else repeated(first, job.ask.n)  # a greedy one
            self._done.append((ticket, answer))


def _start(folder: Path, settings: Mapping[str, Any]) -> Any:
    """A `vllm.LLMEngine` with the model."""
    # vLLM reads these when it is first imported: it would start processes of its own, and it writes
    # what it does to the standard output, where our results go.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from vllm import EngineArgs, LLMEngine

    known = [argument.name for argument in fields(EngineArgs) if argument.name != "model"]
    for name in settings:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"vLLM has no engine argument {name!r}{hint}")
    ours = {"enable_prefix_caching": True, "disable_log_stats": True, "use_tqdm_on_load": False}
    if _on_cpu():
        ours["enable_chunked_prefill"] = False  # vLLM 0.32 breaks down over a seeded one on a CPU
    try:
        return LLMEngine.from_engine_args(EngineArgs(model=str(folder), **{**ours, **settings}))
    except Exception as error:  # whatever keeps vLLM from starting, it is one line here
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"vLLM cannot start with {folder}: {reason}") from error


def _on_cpu() -> bool:
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def _frame(folder: Path, chat: Chat, settings: Mapping[str, Any]) -> tuple[object, ...]:
    """What vLLM has of a folder besides the weights, and would not read again with them."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    ).to_dict()
    config = {name: v for name, v in config.items() if name not in {*_NO_MATTER, *settings}}
    return config, sorted(chat.ends), chat.tokenizer.backend_tokenizer.to_str()


def _pack_head(worker: Any) -> None:
    """On a CPU an output matrix is multiplied with as a packed copy, which vLLM 0.32 makes anew for
    every matrix it reloads, and so not for one that is tied to the embeddings."""
    head = getattr(worker.model_runner.get_model(), "lm_head", None)
    if head is not None and hasattr(head, "cpu_linear"):
        head.quant_method.process_weights_after_loading(head)
