"""A server that is a simulation: it speaks the OpenAI API and has no model behind it.

For load (what does a search cost when answers take a tenth of a second?) and for faults (what if a
server forgets `n`, cuts the connection, answers in broken JSON?). Every figure measured against it
is a simulated one. Standard library only; uvloop, tokenizers and jinja2 are used where they are
there and wanted.

    python benchmarks/rig.py --latency 0.1 --slots 64 --lacks n logprobs --faults cut=0.01

prints its base URL as the first line and serves until it is stopped. In Python:

    with running(Rig(latency=0.1)) as url:
        ...
        print(stats(url))

What it says is a function of the prompt, the request's seed and the number of the sample: steps of
sums, separated by blank lines, until an answer in a box. Greedy requests (temperature 0) get the
same sample whatever the seed.

    GET  /v1/models             the model's name and its context
    POST /v1/completions        prompt: text or token ids
    POST /v1/chat/completions   continues the assistant's last turn if asked as vLLM is
    POST /pooling               scores of the steps that end in <extra_0>, as vLLM gives them
    POST /v1/score              {"question", "steps": [...]} -> {"scores": [...]}, one per step
    GET  /stats                 what the server saw; see `stats`
"""

import argparse
import asyncio
import json
import math
import os
import re
import resource
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from http import HTTPStatus
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import Any, cast

LACKS = {
    "n": "it sends one choice, whatever n is",
    "stop": "stop strings are ignored",
    "temperature": "every sample is the greedy one",
    "logprobs": "log-probabilities are ignored",
    "ids": "a prompt of token ids is refused with 400",
    "usage": "token counts are left out",
    "finish_reason": "why a sample ended is left out",
    "stop_reason": "which stop string ended a sample is left out (it is vLLM's own field)",
    "extras": "fields that are not OpenAI's are refused with 422",
    "completions": "/v1/completions is not there: 404",
    "continuation": "chat begins a new turn, whatever is asked",
    "context": "/v1/models does not tell the context",
    "echo": "a prompt is not echoed with its log-probabilities",
}
FAULTS = {
    "500": "internal error",
    "503": "overloaded",
    "429": "too many requests, with Retry-After",
    "cut": "the connection is cut, half of the time inside the body",
    "slow": "the body drips in over `drip` seconds",
    "malformed": "JSON that ends too early",
    "count": "one choice fewer than asked for",
    "empty": "completions without text",
    "repeat": "a step repeated up to the token limit",
}
STEP_TOKEN = "<extra_0>"  # what Qwen2.5-Math-PRM finds behind a step
STEP_TOKEN_ID = 151651  # the same, without a tokenizer
MOST_STEPS = 8  # of a solution
PIECE = 4  # characters of a token, without a tokenizer
BLOCK = 16  # tokens that the prefix cache keeps together
END = "<|end|>"  # the end of turn's name among log-probabilities
DRIPS = 10  # pieces of a slow body
FIELDS = frozenset(  # OpenAI's own
    re.findall(
        r"\w+",
        "model prompt messages n stop max_tokens max_completion_tokens temperature top_p seed "
        "logprobs top_logprobs echo stream stream_options presence_penalty frequency_penalty "
        "logit_bias suffix best_of user",
    )
)
REASONS = {status.value: status.phrase for status in HTTPStatus}
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r")
KEY = re.compile(rb"(?i)\r\nauthorization: *([^\r]*)\r")


@dataclass(frozen=True, slots=True)
class Rig:
    """How the server behaves.

    model, context, key: its model's name, the context in tokens, the key it wants to see if any.
    tokenizer: a model folder, whose tokenizer and chat template are used; without it a token is
        four characters of text, and token ids mean nothing but themselves.
    latency, spread: seconds to the first token; the standard deviation of their logarithm.
    per_token: seconds for each further token.
    slots: samples in the making at once, further ones wait; 0 is no limit.
    limit: requests taken at once, waiting ones included; further ones get 429; 0 is no limit.
    retry_after: seconds that a 429 or 503 asks to wait; 0 says nothing.
    drip: seconds that a slow body takes.
    steps, right, answer: mean steps of a solution, the share of solutions that end in `answer`.
    runs_on: what it says behind every solution, as a server that does not know the end of a turn.
    cache: report how much of a prompt was known from earlier ones.
    llama: speak as llama.cpp's server does. `n` may be as large as `slots`, and usage counts the
        first sample alone; log-probabilities are told if at least one alternative is asked for, in
        chat's form and without the stop string; that is named of the first sample only, in
        `__verbose`, which has to be asked for.
    lacks: what the server cannot do, see `LACKS`.
    faults: share of requests that end in a fault, see `FAULTS`; `seed` says which.
    """

    model: str = "rig"
    context: int = 4096
    key: str = ""
    tokenizer: str = ""
    latency: float = 0.0
    spread: float = 0.0
    per_token: float = 0.0
    slots: int = 0
    limit: int = 0
    retry_after: int = 1
    drip: float = 1.0
    steps: float = 4.0
    right: float = 0.5
    answer: str = "42"
    runs_on: str = ""
    cache: bool = False
    llama: bool = False
    lacks: Sequence[str] = ()
    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [*set(self.lacks) - LACKS.keys(), *self.faults.keys() - FAULTS.keys()]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join([*LACKS, *FAULTS])}")


@contextmanager
def running(rig: Rig, *, port: int = 0) -> Iterator[str]:
    """A rig in a process of its own; yields the base URL, which ends in /v1."""
    command = [sys.executable, __file__, "--until-stdin-closes", "--port", str(port)]
    command += ["--settings", json.dumps({f.name: getattr(rig, f.name) for f in fields(rig)})]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        try:
            url = process.stdout.readline().decode().strip()
            if not url:
                raise RuntimeError("the rig did not start")
            yield url
        finally:
            process.kill()


def stats(url: str) -> dict[str, Any]:
    """What the rig saw since it started.

    requests: taken in; statuses: answers by status; 0 is a connection cut by either side.
    samples, tokens: generated; aborted: requests that the client left before they were answered.
    prompt_tokens, cached_tokens: read, and of those known from earlier prompts (with `cache`).
    peak: most requests in flight at once; request_s: their time in flight, summed; busy_s: seconds
    in which any was; cpu_s: CPU seconds of the process.
    """
    with urllib.request.urlopen(re.sub(r"/v1/?$", "/stats", url)) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion: the tokens' texts, what is shown of them, and why it ended."""

    pieces: Sequence[str]
    text: str
    finished: str
    stop: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks for, defaults filled in. key: the prompt's digest."""

    key: bytes
    prompt_tokens: int
    cached: int
    n: int
    most: int
    seed: int
    greedy: bool
    stop: tuple[str, ...]


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Words:
    """Text and tokens: by a tokenizer, or by counting characters."""

    def __init__(self, folder: str) -> None:
        self._tokenizer = None
        if folder:
            from jinja2.sandbox import ImmutableSandboxedEnvironment
            from tokenizers import Tokenizer

            path = Path(folder)
            self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
            source = (path / "chat_template.jinja").read_text(encoding="utf-8")
            source = re.sub(r"\{%-?\s*(?:end)?generation\s*-?%\}", "", source)
            environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
            self._template = environment.from_string(source)
            named = json.loads((path / "tokenizer_config.json").read_text(encoding="utf-8"))
            self._special = {
                name: named[name] for name in ("bos_token", "eos_token") if named.get(name)
            }

    def read(self, prompt: Any) -> Any:
        """What stands for a prompt: its token ids, or its text where there is no tokenizer."""
        if self._tokenizer is None or not isinstance(prompt, str):
            return prompt
        return self._tokenizer.encode(prompt, add_special_tokens=False).ids

    def count(self, prompt: Any) -> int:
        return len(prompt) if isinstance(prompt, list) else math.ceil(len(prompt) / PIECE)

    def pieces(self, text: str) -> list[str]:
        """The tokens of a text, as texts."""
        if self._tokenizer is None:
            return [text[i : i + PIECE] for i in range(0, len(text), PIECE)]
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return [text[start:end] for start, end in offsets]

    def text(self, prompt: Any) -> str:
        """The text of a prompt; of bare token ids, only the steps' ends are known."""
        if isinstance(prompt, str):
            return prompt
        if self._tokenizer is not None:
            return str(self._tokenizer.decode(prompt, skip_special_tokens=False))
        return " ".join(STEP_TOKEN if i == STEP_TOKEN_ID else str(i) for i in prompt)

    def render(self, messages: Sequence[Mapping[str, str]], *, goes_on: bool) -> str:
        """The conversation as text: up to the end of the last message, or a new turn after it."""
        if self._tokenizer is None:
            text = "".join(f"<|{m['role']}|>{m['content']}\n" for m in messages)
            text += "" if goes_on else "<|assistant|>"
        else:
            text = self._template.render(
                messages=messages, add_generation_prompt=not goes_on, **self._special
            )
        if goes_on:
            last = messages[-1]["content"]
            text = text[: text.rindex(last) + len(last)]
        return text


class Author:
    """Writes samples."""

    def __init__(self, rig: Rig, words: Words) -> None:
        self._rig = rig
        self._words = words
        self._ends = 256 / max(1.0, rig.steps)

    def samples(self, wish: Wish, fault: str) -> list[Sample]:
        count = 1 if "n" in self._rig.lacks else wish.n
        if fault == "count":
            count -= 1
        if fault == "empty":
            return [Sample([END], "", "stop")] * count
        return [self._sample(wish, i, repeat=fault == "repeat") for i in range(count)]

    def _sample(self, wish: Wish, number: int, *, repeat: bool) -> Sample:
        name = b"" if wish.greedy else b"%d/%d" % (wish.seed, number)
        noise = blake2b(name, key=wish.key, digest_size=64).digest()
        if repeat:
            pieces = self._words.pieces(self._step(noise, last=False) + " ")
            pieces *= 1 + wish.most // len(pieces)
            return _cut_off(pieces, wish.most)
        stops = () if "stop" in self._rig.lacks else wish.stop
        text, stop = self._solution(noise, stops)
        pieces = self._words.pieces(text + (stop or ""))
        if stop is None:
            pieces.append(END)
        if len(pieces) > wish.most:
            return _cut_off(pieces, wish.most)
        return Sample(pieces, text, "stop", stop)

    def _solution(self, noise: bytes, stops: Sequence[str]) -> tuple[str, str | None]:
        """Steps up to the first stop string, and that string; or up to the end, and None."""
        text = ""
        for number in range(MOST_STEPS):
            draw = noise[8 * number : 8 * number + 8]
            last = draw[0] < self._ends or number == MOST_STEPS - 1
            text += self._step(draw, last=last) + (self._rig.runs_on if last else "\n\n")
            found = [(text.index(stop), stop) for stop in stops if stop in text]
            if found:
                start, stop = min(found)
                return text[:start], stop
            if last:
                break
        return text, None

    def _step(self, draw: bytes, *, last: bool) -> str:
        first = int.from_bytes(draw[1:3]) % 1000
        second = int.from_bytes(draw[3:5]) % 1000
        if not last:
            return f"We add {first} and {second}, so the total is {first + second}."
        right = draw[5] < 256 * self._rig.right
        answer = self._rig.answer if right else f"{first + 1000}"
        return f"The answer is \\boxed{{{answer}}}."


def _cut_off(pieces: list[str], most: int) -> Sample:
    """A sample that reached the token limit."""
    pieces = pieces[:most]
    return Sample(pieces, "".join(pieces).removesuffix(END), "length")


class Cache:
    """The prompts seen, block by block, as a server with prefix caching remembers them."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def take(self, prompt: Sequence[Any]) -> int:
        """Remember a prompt; tokens of it that were known."""
        name = known = 0
        size = BLOCK * (PIECE if isinstance(prompt, str) else 1)
        for end in range(size, len(prompt), size):
            block = prompt[end - size : end]
            name = hash((name, block if isinstance(block, str) else tuple(block)))
            if name in self._known:
                known += BLOCK
            self._known.add(name)
        return known


class Seen:
    """What the server saw; `stats` says what is what."""

    def __init__(self) -> None:
        self.requests = self.samples = self.tokens = self.aborted = self.peak = self.in_flight = 0
        self.prompt_tokens = self.cached_tokens = 0
        self.request_s = self.busy_s = 0.0
        self.statuses: Counter[int] = Counter()
        self._since = time.perf_counter()

    def changed(self, by: int) -> None:
        """A request came (+1) or went (-1)."""
        now = time.perf_counter()
        if self.in_flight:
            self.busy_s += now - self._since
            self.request_s += self.in_flight * (now - self._since)
        self._since = now
        self.in_flight += by
        self.requests += by > 0
        self.peak = max(self.peak, self.in_flight)

    def told(self) -> dict[str, Any]:
        self.changed(0)
        shown = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return {**shown, "cpu_s": time.process_time()}


@dataclass(frozen=True, slots=True)
class Form:
    """The API's form of samples: chat or completions, with log-probabilities or without."""

    rig: Rig
    chat: bool
    logprobs: bool

    def choice(self, index: int, sample: Sample) -> dict[str, Any]:
        """A whole sample."""
        said = {"message": {"role": "assistant", "content": sample.text}}
        content = said if self.chat else {"text": sample.text}
        pieces = sample.pieces
        if self.rig.llama and sample.stop:
            ends = accumulate(map(len, pieces))
            pieces = [p for p, end in zip(pieces, ends, strict=True) if end <= len(sample.text)]
        return {"index": index, **content, "logprobs": self._told(pieces), **self._why(sample)}

    def chunk(self, index: int, sample: Sample, number: int) -> dict[str, Any]:
        """The sample's token of that number, for a stream."""
        start = sum(map(len, sample.pieces[:number]))
        piece = sample.pieces[number]
        shown = sample.text[start : start + len(piece)]
        content = {"delta": {"content": shown}} if self.chat else {"text": shown}
        ended = number == len(sample.pieces) - 1
        why = self._why(sample) if ended else {"finish_reason": None}
        return {"index": index, **content, "logprobs": self._told([piece]), **why}

    def _why(self, sample: Sample) -> dict[str, Any]:
        why = {"finish_reason": sample.finished, "stop_reason": sample.stop}
        if self.rig.llama:
            del why["stop_reason"]
        return {name: value for name, value in why.items() if name not in self.rig.lacks}

    def _told(self, pieces: Sequence[str]) -> dict[str, Any] | None:
        """Log-probabilities of tokens; each is a function of the token's text."""
        if not self.logprobs:
            return None
        values = [-(zlib.crc32(piece.encode()) % 256) / 100 for piece in pieces]
        if self.chat or self.rig.llama:
            told = zip(pieces, values, strict=True)
            return {"content": [{"token": t, "logprob": p, "top_logprobs": []} for t, p in told]}
        offsets = [0, *accumulate(map(len, pieces))][:-1]
        return {
            "tokens": pieces,
            "token_logprobs": values,
            "text_offset": offsets,
            "top_logprobs": None,
        }


@dataclass(slots=True, eq=False)
class Request:
    """A request and the way its answer takes.

    fault: the one it ends in, or empty.
    """

    connection: "Connection"
    method: str
    path: str
    key: str
    content: bytes
    fault: str = ""

    def read(self) -> dict[str, Any]:
        try:
            body = json.loads(self.content)
        except ValueError as error:
            raise Refused(400, f"the body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise Refused(400, "the body must be a JSON object")
        return body

    def answer(self, status: int, body: Any, *, extra: str = "") -> None:
        """Send a whole answer."""
        content = json.dumps(body).encode()
        self.connection.write(_head(status, f"Content-Length: {len(content)}{extra}") + content)

    async def answer_badly(self, body: Any, *, drip: float) -> None:
        """Send an answer as its fault has it."""
        content = json.dumps(body).encode()
        head = _head(200, f"Content-Length: {len(content)}")
        if self.fault == "malformed":
            content = content[: len(content) // 2]
            head = _head(200, f"Content-Length: {len(content)}")
            self.connection.write(head + content)
        elif self.fault == "cut":
            if zlib.crc32(content) % 2:
                self.connection.write(head + content[: len(content) // 2])
                await asyncio.sleep(0)
            self.connection.cut()
        else:  # slow
            self.connection.write(head)
            size = math.ceil(len(content) / DRIPS)
            pieces = [content[i : i + size] for i in range(0, len(content), size)]
            for piece in pieces:
                await asyncio.sleep(drip / DRIPS)
                self.connection.write(piece)

    def begin_stream(self) -> None:
        kind = "Content-Type: text/event-stream"
        self.connection.write(_head(200, "Transfer-Encoding: chunked", kind=kind))

    def send_event(self, event: str) -> None:
        content = f"data: {event}\n\n".encode()
        self.connection.write(b"%x\r\n%s\r\n" % (len(content), content))

    def end_stream(self) -> None:
        self.connection.write(b"0\r\n\r\n")


class Server:
    """Answers requests, and counts them."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._words = Words(rig.tokenizer)
        self._author = Author(rig, self._words)
        self._cache = Cache()
        self._random = Random(rig.seed)
        self._slots = asyncio.Semaphore(rig.slots) if rig.slots else nullcontext()
        self._seen = Seen()
        self._routes: dict[str, Callable[[Request, dict[str, Any]], Awaitable[int]]] = {
            "/v1/completions": self._completions,
            "/v1/chat/completions": self._chat,
            "/pooling": self._pooling,
            "/v1/score": self._score,
        }
        if "completions" in rig.lacks:
            del self._routes["/v1/completions"]

    async def serve(self, request: Request) -> None:
        """Answer one request."""
        if request.path == "/stats":
            request.answer(200, self._seen.told())
            return
        status = 0
        self._seen.changed(+1)
        try:
            status = await self._answer(request)
        except Refused as refused:
            status = refused.status
            asks = self._rig.retry_after and status in (429, 503)
            wait = f"\r\nRetry-After: {self._rig.retry_after}" if asks else ""
            error = {"message": str(refused), "type": "rig", "code": status}
            request.answer(status, {"error": error}, extra=wait)
        except asyncio.CancelledError:
            self._seen.aborted += 1
            raise
        finally:
            self._seen.changed(-1)
            self._seen.statuses[status] += 1

    async def _answer(self, request: Request) -> int:
        """Answer, or refuse; the status is returned, 0 if the connection was cut."""
        rig = self._rig
        if rig.key and request.key != f"Bearer {rig.key}":
            raise Refused(401, f"Incorrect API key provided: {request.key}")  # as many servers do
        if (request.method, request.path) == ("GET", "/v1/models"):
            context = {} if "context" in rig.lacks else {"max_model_len": rig.context}
            model = {"id": rig.model, "object": "model", "owned_by": "rig", **context}
            request.answer(200, {"object": "list", "data": [model]})
            return 200
        if request.path not in self._routes:
            raise Refused(404, "Not Found")
        if request.method != "POST":
            raise Refused(405, "Method Not Allowed")
        body = request.read()
        if body.get("model", rig.model) != rig.model:
            raise Refused(404, f"The model `{body['model']}` does not exist.")
        if rig.limit and self._seen.in_flight > rig.limit:
            raise Refused(429, "Too many requests")
        request.fault = self._fault()
        if request.fault.isdigit():
            raise Refused(int(request.fault), FAULTS[request.fault])
        return await self._routes[request.path](request, body)

    def _fault(self) -> str:
        """The fault that the next request ends in; mostly none."""
        draw = self._random.random() if self._rig.faults else 1.0
        for name, rate in self._rig.faults.items():
            draw -= rate
            if draw < 0:
                return name
        return ""

    async def _completions(self, request: Request, body: dict[str, Any]) -> int:
        prompt = body.get("prompt")
        if isinstance(prompt, list) and "ids" in self._rig.lacks:
            raise Refused(400, "prompt must be a string")
        if not isinstance(prompt, str) and not _are_ids(prompt):
            raise Refused(400, "prompt must be a string or a list of token ids")
        wish = self._wish(body, prompt, body.get("max_tokens", 16))
        return await self._complete(request, body, wish, chat=False)

    async def _chat(self, request: Request, body: dict[str, Any]) -> int:
        messages = body.get("messages")
        if not messages:
            raise Refused(400, "messages must not be empty")
        goes_on = bool(body.get("continue_final_message"))
        if goes_on and body.get("add_generation_prompt", True):
            raise Refused(400, "continue_final_message excludes add_generation_prompt")
        goes_on = goes_on and "continuation" not in self._rig.lacks
        text = self._words.render(messages, goes_on=goes_on)
        wish = self._wish(body, text, body.get("max_completion_tokens", body.get("max_tokens")))
        return await self._complete(request, body, wish, chat=True)

    def _wish(self, body: Mapping[str, Any], prompt: Any, most: int | None) -> Wish:
        """What a request asks for, checked as a server checks it."""
        if "extras" in self._rig.lacks and (unknown := body.keys() - FIELDS):
            raise Refused(422, f"Unexpected fields in the request: {sorted(unknown)}")
        prompt = self._words.read(prompt)
        tokens = self._words.count(prompt)
        room = self._rig.context - tokens
        if room < (most or 1):
            raise Refused(
                400,
                f"This model's maximum context length is {self._rig.context} tokens. However, you "
                f"requested {most or 1} output tokens and your prompt has {tokens} input tokens.",
            )
        if self._rig.llama and (body.get("n") or 1) > self._rig.slots:
            raise Refused(400, f"Field 'n': Value must be between 1 and {self._rig.slots}")
        name = prompt.encode() if isinstance(prompt, str) else array("q", prompt).tobytes()
        seed, stop = body.get("seed"), body.get("stop") or ()
        return Wish(
            key=blake2b(name, digest_size=32).digest(),
            prompt_tokens=tokens,
            cached=self._cache.take(prompt) if self._rig.cache else 0,
            n=body.get("n") or 1,
            most=most or room,
            seed=self._random.getrandbits(32) if seed is None else seed,
            greedy=body.get("temperature") == 0 or "temperature" in self._rig.lacks,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
        )

    async def _complete(
        self, request: Request, body: dict[str, Any], wish: Wish, *, chat: bool
    ) -> int:
        """Write the samples, take the time that takes, and answer in the API's form."""
        samples = self._author.samples(wish, request.fault)
        usage = self._usage(wish, [len(sample.pieces) for sample in samples])
        self._seen.samples += len(samples)
        head = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{self._seen.requests}",
            "object": "chat.completion" if chat else "text_completion",
            "created": int(time.time()),
            "model": self._rig.model,
        }
        if self._rig.llama and body.get("verbose"):
            first = samples[0]
            why = "word" if first.stop else {"stop": "eos", "length": "limit"}[first.finished]
            head["__verbose"] = {"stop_type": why, "stopping_word": first.stop or ""}
        falsy = chat or self._rig.llama  # what asks for none
        wanted = body.get("logprobs") or None if falsy else body.get("logprobs")
        logprobs = "logprobs" not in self._rig.lacks and wanted is not None
        form = Form(self._rig, chat, logprobs)
        if body.get("stream"):
            told = usage if (body.get("stream_options") or {}).get("include_usage") else {}
            await self._stream(request, samples, form, head | told)
            return 200
        await self._make(samples)
        choices = [form.choice(index, sample) for index, sample in enumerate(samples)]
        if body.get("echo") and logprobs and not (falsy or "echo" in self._rig.lacks):
            read = echoed(body["prompt"])
            for choice in choices:
                choice["logprobs"]["token_logprobs"][:0] = read
        return await self._finish(request, {**head, "choices": choices, **usage})

    def _usage(self, wish: Wish, lengths: Sequence[int]) -> dict[str, Any]:
        """Count what was read and generated; the answer's part that says so."""
        self._seen.tokens += sum(lengths)
        tokens = sum(lengths[:1] if self._rig.llama else lengths)
        self._seen.prompt_tokens += wish.prompt_tokens
        self._seen.cached_tokens += wish.cached
        if "usage" in self._rig.lacks:
            return {}
        total = wish.prompt_tokens + tokens
        usage: dict[str, Any] = {
            "prompt_tokens": wish.prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": total,
        }
        if self._rig.cache:
            usage["prompt_tokens_details"] = {"cached_tokens": wish.cached}
        return {"usage": usage}

    async def _make(
        self, samples: Sequence[Sample], emit: Callable[[int, int], None] | None = None
    ) -> None:
        """Take the time that the samples take; tell `emit` of each token as it is there."""
        if emit or self._rig.slots:
            made = (self._one(i, sample, emit) for i, sample in enumerate(samples))
            await asyncio.gather(*made)
        elif seconds := max((self._seconds(len(s.pieces)) for s in samples), default=0.0):
            await asyncio.sleep(seconds)

    async def _one(
        self, index: int, sample: Sample, emit: Callable[[int, int], None] | None
    ) -> None:
        async with self._slots:
            if emit is None:
                await asyncio.sleep(self._seconds(len(sample.pieces)))
                return
            await asyncio.sleep(self._seconds(1))
            for number in range(len(sample.pieces)):
                emit(index, number)
                if self._rig.per_token:
                    await asyncio.sleep(self._rig.per_token)

    def _seconds(self, tokens: int) -> float:
        rig = self._rig
        latency = rig.latency
        if rig.spread:
            latency *= math.exp(self._random.gauss(0.0, rig.spread))
        return latency + rig.per_token * (tokens - 1)

    async def _stream(
        self, request: Request, samples: Sequence[Sample], form: Form, head: dict[str, Any]
    ) -> None:
        """Send the tokens one by one, as events."""
        usage = {"usage": head.pop("usage")} if "usage" in head else {}

        def emit(index: int, number: int) -> None:
            if request.fault == "cut" and number == 1:
                request.connection.cut()
            choices = [form.chunk(index, samples[index], number)]
            request.send_event(json.dumps({**head, "choices": choices}))

        request.begin_stream()
        await self._make(samples, emit)
        if usage:
            request.send_event(json.dumps({**head, "choices": [], **usage}))
        request.send_event("[DONE]")
        request.end_stream()

    async def _pooling(self, request: Request, body: dict[str, Any]) -> int:
        """Chances of (bad, good) at each step's token: the text up to it decides."""
        given = body.get("input")
        if messages := body.get("messages"):
            given = self._words.render(messages, goes_on=messages[-1]["role"] == "assistant")
        if given is None:
            raise Refused(400, "input or messages must be given")
        inputs = [given] if isinstance(given, str) or _are_ids(given) else given
        data = []
        tokens = 0
        for index, each in enumerate(inputs):
            tokens += self._words.count(self._words.read(each))
            *steps, _ = self._words.text(each).split(STEP_TOKEN)
            chances = _chances(steps)
            scores = [[1 - chance, chance] for chance in chances]
            data.append({"index": index, "object": "pooling", "data": scores})
        await self._make([Sample([""], "", "stop")])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0}
        head = {"id": f"pool-{self._seen.requests}", "object": "list", "created": int(time.time())}
        found = {**head, "model": self._rig.model, "data": data, "usage": usage}
        return await self._finish(request, found)

    async def _score(self, request: Request, body: dict[str, Any]) -> int:
        steps = body.get("steps")
        if not isinstance(steps, list) or not isinstance(body.get("question"), str):
            raise Refused(400, "question must be a string and steps a list of strings")
        await self._make([Sample([""], "", "stop")])
        scores = _chances([body["question"] + "\n", *steps])[1:]
        if request.fault == "count":
            scores = scores[1:]
        return await self._finish(request, {"model": self._rig.model, "scores": scores})

    async def _finish(self, request: Request, body: dict[str, Any]) -> int:
        if request.fault in ("cut", "slow", "malformed"):
            await request.answer_badly(body, drip=self._rig.drip)
            return 0 if request.fault == "cut" else 200
        request.answer(200, body)
        return 200


def echoed(ids: Sequence[int]) -> list[float | None]:
    """Log-probabilities of a prompt's tokens, each a function of the token and the one before it;
    of the first there is none."""
    told = [-((97 * before + token) % 256) / 100 for before, token in pairwise(ids)]
    return [None, *told]


def _are_ids(prompt: Any) -> bool:
    return isinstance(prompt, list) and all(type(i) is int and i >= 0 for i in prompt)


def _chances(steps: Sequence[str]) -> list[float]:
    """How good each step is, from 0 to 1: a function of the text up to it."""
    digest = blake2b(digest_size=2)
    chances = []
    for step in steps:
        digest.update(step.strip().encode())
        chances.append(round(int.from_bytes(digest.digest()) / 65535, 6))
    return chances


def _head(status: int, fields: str, *, kind: str = "Content-Type: application/json") -> bytes:
    return f"HTTP/1.1 {status} {REASONS[status]}\r\n{kind}\r\n{fields}\r\n\r\n".encode()


class Connection(asyncio.Protocol):
    """One client's connection: requests one after the other. HTTP is read only as far as needed."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def cut(self) -> None:
        self._transport.abort()

    def _next(self) -> None:
        """Begin with the next request, if all of it has arrived."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[: end + 2])
        length = LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return
        body = bytes(self._buffer[end + 4 : whole])
        del self._buffer[:whole]
        method, path, _ = head.split(b" ", 2)
        key = KEY.search(head)
        self._closes = b"\r\nconnection: close" in head.lower()
        request = Request(
            self, method.decode(), path.decode(), key[1].decode() if key else "", body
        )
        self._task = asyncio.get_running_loop().create_task(self._server.serve(request))
        self._task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self._transport.abort()
        elif self._closes:
            self._transport.close()
        else:
            self._next()


async def serve(rig: Rig, host: str, port: int, until_stdin_closes: bool) -> None:
    """Print the base URL and serve."""
    loop = asyncio.get_running_loop()
    rigged = Server(rig)
    server = await loop.create_server(lambda: Connection(rigged), host, port, backlog=4096)
    print(f"http://{host}:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    if until_stdin_closes:
        # whoever started it may die without stopping it

        def watch() -> None:
            sys.stdin.read()
            os._exit(0)

        threading.Thread(target=watch, daemon=True).start()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: from other machines too")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--settings", type=json.loads, default={}, help="all of them, as JSON")
    parser.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)
    for setting in fields(Rig):
        flag = f"--{setting.name.replace('_', '-')}"
        if setting.name == "lacks":
            parser.add_argument(flag, nargs="+", choices=LACKS)
        elif setting.name == "faults":
            parser.add_argument(flag, nargs="+", metavar="NAME=SHARE", type=_fault)
        elif isinstance(setting.default, bool):
            parser.add_argument(flag, action="store_true", default=None)
        else:
            parser.add_argument(flag, type=type(setting.default))
    options = vars(parser.parse_args())
    settings = options["settings"]
    for setting in fields(Rig):
        if options[setting.name] is not None:
            settings[setting.name] = options[setting.name]
    settings["faults"] = dict(settings.get("faults", ()))
    try:
        rig = Rig(**settings)
    except ValueError as error:
        parser.error(str(error))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is a file
    run = asyncio.run
    with suppress(ImportError):
        import uvloop

        run = uvloop.run
    with suppress(KeyboardInterrupt):
        run(serve(rig, options["host"], options["port"], options["until_stdin_closes"]))


def _fault(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    return name, float(share)


if __name__ == "__main__":
    main()
