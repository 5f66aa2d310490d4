"""The embedded engine: continuous batching of asks over a Llama in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from whorl.ask import Ask, Failure, Replies, Reply
from whorl.chat import Chat
from whorl.engines.admission import admitted, scored, to_score
from whorl.engines.local.llama import Llama, Piece
from whorl.engines.local.prefix import Prefixes
from whorl.engines.local.rows import Rows
from whorl.engines.local.sampling import draw, key, uniform
from whorl.engines.local.stops import Stops

_STEPS = 32  # decode steps per slice at most
_PREFILL_TOKENS = 1024  # new prompt tokens per forward pass, padding included
_PADDING = 128  # tokens
_ALIKE = 32  # tokens

# Samples in the running batch. More are faster, by a seventh in a search, if memory allows them.
_ROWS = (128, 256)
_ROWS_BYTES = 512 << 20  # of their keys and values, if each has a thousand tokens

_ROW = np.dtype(
    [
        ("key", np.uint64),
        ("position", np.int64),  # of the last token
        ("token", np.int64),
        ("count", np.int64),  # sampled tokens
        ("allowed", np.int64),  # sampled tokens at most
        ("temperature", np.float64),
        ("top_p", np.float64),
        ("logprob", np.float64),
        ("endings", np.int64),  # row of the table of ending tokens
    ]
)


@dataclass(slots=True, eq=False)
class _Job:
    """An ask in work: its prompt's ids, and the replies that are there."""

    ticket: int
    ask: Ask
    ids: tuple[int, ...]
    allowed: int  # sampled tokens at most, for the model's limit too
    stop: tuple[str, ...]
    replies: list[Reply | None]
    begun: int = 0  # samples
    cached: int = 0  # tokens of the prompt that were known when its first sample began
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.missing = len(self.replies)


_Wanted = dict[tuple[int, ...], list[tuple[_Job, int]]]
"""Jobs and which of their samples, by the ids of their prompt."""


class Local:
    """Answers asks with the model in `folder`, a Llama-family one with safetensors weights.

    Asks enter and leave a running batch of at most `max_rows` samples, by default as many as the
    model's size suggests. In float32 what it samples for an ask depends on the ask alone: not on
    its neighbours, nor on what is cached; in bfloat16, up to the rounding of sums.
    `cache_bytes` bounds the memory for the prompts' keys and values that are kept for later asks.
    Each `poll` does a slice of the work. Raises `UserError` if the tokenizer cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_rows: int | None = None,
        cache_bytes: int = 512 << 20,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.chat = Chat.load(folder)
        self.dtype = dtype
        with torch.inference_mode():
            self._model = Llama(folder, dtype=dtype)
            max_rows = max_rows or _rows(self._model)
            self._kv = Rows(
                self._model.layers,
                max_rows + 1,  # one to spare, for exchanges
                self._model.kv_heads,
                self._model.head_dim,
                dtype=dtype,
            )
            self._prefixes = Prefixes(self._kv.memory, capacity=cache_bytes)
        self._stops = Stops(self.chat, self._model.vocabulary)
        self._ends = np.zeros(self._model.vocabulary, dtype=np.bool_)
        self._ends[[end for end in self.chat.ends if end < len(self._ends)]] = True
        self._max_rows = max_rows
        self._worth_filling = -(-max_rows // 16)  # free rows: prefills are cheaper together
        self._waiting: deque[_Job] = deque()
        self._to_score: deque[tuple[int, list[int], int]] = deque()  # ticket, ids, prompt's tokens
        self._done: list[tuple[int, Replies | Failure]] = []
        self._jobs: list[tuple[_Job, int]] = []  # of each running row: whose, and which sample
        self._rows = np.zeros(max_rows, dtype=_ROW)
        self._sampled = np.zeros((max_rows, 64), dtype=np.int32)
        self._endings: dict[tuple[str, ...], int] = {}
        self._ending_table = np.zeros((0, self._model.vocabulary), dtype=np.bool_)

    def submit(self, ticket: int, ask: Ask) -> None:
        limit = self._model.limit
        if ask.given is not None:
            found = to_score(ask, self.chat, limit)
            if isinstance(found, Failure):
                self._done.append((ticket, found))
            else:
                self._to_score.append((ticket, *found))
            return
        ids, answer = admitted(ask, self.chat.encode, limit, known=self._model.vocabulary)
        if answer is not None:
            self._done.append((ticket, answer))
        else:
            allowed = min(ask.max_tokens, limit - len(ids))
            stop = (*filter(None, ask.stop), *self.chat.stops)
            self._waiting.append(_Job(ticket, ask, tuple(ids), allowed, stop, [None] * ask.n))

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        with torch.inference_mode():
            for _ in range(_STEPS):
                room = self._max_rows - len(self._jobs)
                if self._to_score and room:
                    self._score(room)
                free = room >= self._worth_filling or not self._jobs
                if free and self._done and not self._waiting:
                    break  # the caller may have more
                wanted = self._admit(room) if free else {}
                if not wanted and not self._jobs:
                    break
                self._step(wanted)
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        self._waiting.clear()
        self._to_score.clear()
        self._jobs.clear()
        self._done.clear()
        del self._model, self._kv, self._prefixes

    def _score(self, room: int) -> None:
        """Score given texts, as many as a pass takes, in `room` rows behind the running ones. What
        they leave there is overwritten by the next samples, and no prompt is remembered."""
        work = [self._to_score.popleft()]
        longest = len(work[0][1])
        while self._to_score and len(work) < room:
            longest = max(longest, len(self._to_score[0][1]))
            if longest * (len(work) + 1) > _PREFILL_TOKENS:
                break
            work.append(self._to_score.popleft())
        piece = _piece([(tuple(ids), 0) for _, ids, _ in work], len(self._jobs))
        told = self._model.likelihoods(piece, self._kv)
        for (ticket, _, start), each in zip(work, told, strict=True):
            self._done.append((ticket, scored(each[start - 1 :].tolist(), start)))

    def _admit(self, room: int) -> _Wanted:
        """Waiting samples for `room` free rows, by their prompts."""
        wanted: _Wanted = {}
        while self._waiting and room:
            job = self._waiting[0]
            taken = range(job.begun, min(job.ask.n, job.begun + room))
            wanted.setdefault(job.ids, []).extend((job, sample) for sample in taken)
            job.begun = taken.stop
            room -= len(taken)
            if job.begun == job.ask.n:
                self._waiting.popleft()
        return wanted

    def _step(self, wanted: _Wanted) -> None:
        """One more token for every row, and the first one for new samples."""
        running = len(self._jobs)
        new = [self._read(row, *each) for row, each in enumerate(self._load(wanted), running)]
        pieces = [
            _piece(new[begin:end], running + begin)
            for begin, end in _chunks([len(ids) - known for ids, known in new])
        ]
        if running:
            rows = self._rows[:running]
            tokens, starts = torch.from_numpy(rows["token"]), torch.from_numpy(rows["position"])
            pieces.insert(0, Piece(tokens[:, None], starts, torch.zeros_like(starts), 0))
        # Two pieces share a pass: the running rows and new prompts cost less together.
        passes = [pieces[begin : begin + 2] for begin in range(0, len(pieces), 2)]
        told = [self._model.forward(each, self._kv) for each in passes]
        # joined only where there are several: of a large vocabulary that is a costly copy
        scores = torch.cat(told) if len(told) > 1 else told[0]
        if new:
            scores = scores[[*range(running), *self._fork([ids for ids, _ in new], wanted)]]
        self._advance(scores)
        if new:
            self._arrange()

    def _load(self, wanted: _Wanted) -> list[tuple[tuple[int, ...], int]]:
        """What is known of new prompts into rows after the running ones, one each: the prompts in
        the order of their rows, those with fewer new tokens first, and how many are known."""
        known = {ids: self._prefixes.known(ids) for ids in wanted}
        for ids, samples in wanted.items():
            for job, sample in samples:
                if not sample:
                    job.cached = known[ids] if (job, sample) == samples[0] else len(ids)
        new = sorted(known.items(), key=lambda item: len(item[0]) - item[1])
        if new:
            running = self._rows["position"][: len(self._jobs)]
            self._kv.reserve(max(*map(len, wanted), running.max(initial=0) + 1), len(running))
        for row, (ids, _) in enumerate(new, start=len(self._jobs)):
            self._prefixes.load(ids, self._kv.memory, row)
        return new

    def _read(self, row: int, ids: tuple[int, ...], known: int) -> tuple[tuple[int, ...], int]:
        """Read what is new in a prompt up to the last tokens that a pass takes; returns the prompt
        and how much of it is known now. A pass takes memory by the square of its tokens."""
        while len(ids) - known > _PREFILL_TOKENS:
            until = min(known + _PREFILL_TOKENS, len(ids) - _PREFILL_TOKENS)
            self._model.forward([_piece([(ids[:until], known)], row)], self._kv)
            known = until
        return ids, known

    def _fork(self, prompts: Sequence[tuple[int, ...]], wanted: _Wanted) -> list[int]:
        """The samples of prompts that have been read into the rows after the running ones: rows of
        their own for all but the first. Returns, for each new row, that of its prompt."""
        first = len(self._jobs)
        self._jobs += [wanted[ids][0] for ids in prompts]
        sources = list(range(first, len(self._jobs)))
        for source, ids in enumerate(prompts, start=first):
            self._prefixes.save(ids, self._kv.memory, source)
            forks = wanted[ids][1:]
            here = len(self._jobs)
            self._kv.copy(source, list(range(here, here + len(forks))), len(ids))
            self._jobs += forks
            sources += [source] * len(forks)
        for row in range(first, len(self._jobs)):
            self._open(row)
        return sources

    def _open(self, row: int) -> None:
        job, sample = self._jobs[row]
        ask = job.ask
        if job.stop not in self._endings:
            self._endings[job.stop] = len(self._endings)
            table = (self._ending_table, self._stops.endings(job.stop)[None])
            self._ending_table = np.concatenate(table)
        self._rows[row] = (
            key(ask.seed, sample),
            len(job.ids) - 1,
            0,
            0,
            job.allowed,
            ask.temperature,
            ask.top_p,
            0.0,
            self._endings[job.stop],
        )
        width = self._sampled.shape[1]
        if job.allowed > width:
            wider = np.zeros((self._max_rows, max(job.allowed, 2 * width)), dtype=np.int32)
            wider[:, :width] = self._sampled
            self._sampled = wider

    def _arrange(self) -> None:
        """Put rows of about the same length next to each other: neighbours attend together, over as
        many slots as the longest of them has. Only rows in a wrong place are moved."""
        here = self._rows["position"][: len(self._jobs)] // _ALIKE
        there = np.sort(here)
        wrong = np.flatnonzero(here != there)
        slots = wrong[np.argsort(there[wrong], kind="stable")]
        movers = wrong[np.argsort(here[wrong], kind="stable")]
        if not len(wrong):
            return
        source = dict(
            zip(slots.tolist(), movers.tolist(), strict=True)
        )  # slot -> row that goes there
        lengths = self._rows["position"].copy()
        while source:
            start, mover = source.popitem()
            slot = start
            self._kv.copy(start, [self._max_rows], int(lengths[start]))  # the spare row
            while mover != start:
                self._kv.copy(mover, [slot], int(lengths[mover]))
                slot, mover = mover, source.pop(mover)
            self._kv.copy(self._max_rows, [slot], int(lengths[start]))
        self._rows[slots] = self._rows[movers]
        self._sampled[slots] = self._sampled[movers]
        jobs = [self._jobs[mover] for mover in movers]
        for slot, job in zip(slots, jobs, strict=True):
            self._jobs[slot] = job

    def _advance(self, scores: Tensor) -> None:
        """Sample a token for each row; take out the rows that end with it."""
        rows = self._rows[: len(self._jobs)]
        draws = torch.from_numpy(uniform(rows["key"], rows["count"]))
        temperature, top_p = torch.from_numpy(rows["temperature"]), torch.from_numpy(rows["top_p"])
        drawn, told = draw(scores, draws, temperature, top_p)
        tokens = drawn.numpy()
        self._sampled[np.arange(len(rows)), rows["count"]] = tokens
        rows["token"] = tokens
        rows["position"] += 1
        rows["count"] += 1
        rows["logprob"] += told.numpy()
        maybe = (
            self._ending_table[rows["endings"], tokens]
            | self._ends[tokens]
            | (rows["count"] >= rows["allowed"])
        )
        ended = [row for row in np.flatnonzero(maybe).tolist() if self._finish(row)]
        if ended:
            self._compact(ended)

    def _finish(self, row: int) -> bool:
        """Write the row's reply if it has ended."""
        job, sample = self._jobs[row]
        state = self._rows[row]
        count = int(state["count"])
        ids: list[int] = self._sampled[row, :count].tolist()
        finished: Literal["stop", "eos", "length"] = "length"
        if self._ends[ids[-1]]:
            finished, text = "eos", self.chat.decode(ids[:-1])
        elif job.stop and (cut := self._stops.find(ids, job.stop)) is not None:
            text, by = cut
            finished = "stop" if by in job.ask.stop else "eos"
        elif count >= job.allowed:
            text = self.chat.decode(ids)
        else:
            return False
        if finished == "stop":  # it is a step, which the next ask will continue
            self._prefixes.save((*job.ids, *ids[:-1]), self._kv.memory, row)
        text = self.chat.begun(job.ask.prompt) + text
        reply = Reply(text, finished, count, logprob=float(state["logprob"]))
        if not sample:
            reply = replace(reply, prompt_tokens=len(job.ids), cached_tokens=job.cached)
        job.replies[sample] = reply
        job.missing -= 1
        if not job.missing:
            replies = tuple(reply for reply in job.replies if reply is not None)
            self._done.append((job.ticket, replies))
        return True

    def _compact(self, ended: Sequence[int]) -> None:
        """Move the last rows into the places of those that ended."""
        left = len(self._jobs) - len(ended)
        gone = set(ended)
        holes = [row for row in ended if row < left]
        movers = [row for row in range(left, len(self._jobs)) if row not in gone]
        for hole, mover in zip(holes, movers, strict=True):
            self._kv.copy(mover, [hole], int(self._rows["position"][mover]))
            self._jobs[hole] = self._jobs[mover]
        self._rows[holes] = self._rows[movers]
        self._sampled[holes] = self._sampled[movers]
        del self._jobs[left:]


def _rows(model: Llama) -> int:
    size = 2 * model.layers * model.kv_heads * model.head_dim * model.dtype.itemsize
    fewest, most = _ROWS
    return min(most, max(fewest, _ROWS_BYTES // (1000 * size)))


def _piece(prompts: Sequence[tuple[tuple[int, ...], int]], first: int) -> Piece:
    """What is new in prompts of which so many tokens are known, for rows from `first` on."""
    tails = [ids[known:] for ids, known in prompts]
    ids = torch.zeros(len(tails), max(map(len, tails)), dtype=torch.long)
    for row, tail in zip(ids, tails, strict=True):
        row[: len(tail)] = torch.tensor(tail)
    starts = torch.tensor([known for _, known in prompts])
    return Piece(ids, starts, torch.tensor([len(tail) - 1 for tail in tails]), first)


def _chunks(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of ascending `lengths` that are padded together: within the budget of a forward pass,
    and with less padding than a pass of its own would cost."""
    begin = 0
    for end in range(1, len(lengths) + 1):
        here = lengths[begin : end + 1]
        size = len(here) * here[-1]
        if end == len(lengths) or size > _PREFILL_TOKENS or size - sum(here) > _PADDING:
            yield begin, end
            begin = end
