"""Replies of servers as they were recorded, made small, and the ways in which they are damaged."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

VLLM = {
    "id": "cmpl-b2c6", "object": "text_completion", "created": 1764000000, "model": "models/small",
    "choices": [
        {"index": 0, "text": "3 + 12 = 15.", "finish_reason": "stop", "stop_reason": "\n\n",
         "logprobs": {"text_offset": [0, 1], "token_logprobs": [-0.1, -0.2], "tokens": ["3", " +"],
                      "top_logprobs": [{"3": -0.1}, {" +": -0.2}]}, "prompt_logprobs": None},
        {"index": 1, "text": "Anna has 15.", "finish_reason": "length", "stop_reason": None,
         "logprobs": {"text_offset": [0], "token_logprobs": [-1.5], "tokens": ["A"],
                      "top_logprobs": [{"A": -1.5}]}, "prompt_logprobs": None},
    ],
    "service_tier": None, "kv_transfer_params": None,
    "usage": {"prompt_tokens": 31, "total_tokens": 34, "completion_tokens": 3,
              "prompt_tokens_details": {"cached_tokens": 16}},
}  # fmt: skip
CHAT = {
    "id": "chatcmpl-9", "object": "chat.completion", "created": 1764000001, "model": "large",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": "The answer is \\boxed{4}.", "refusal": None,
            "reasoning_content": "Two and two.", "tool_calls": []},
         "logprobs": {"content": [{"token": "The", "logprob": -0.25, "bytes": [84, 104, 101],
                                   "top_logprobs": []}], "refusal": None}},
    ],
    "usage": {"prompt_tokens": 20, "completion_tokens": 15, "total_tokens": 35,
              "completion_tokens_details": {"reasoning_tokens": 4}},
    "system_fingerprint": "fp_1",
}  # fmt: skip
PARTS = {
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "maybe 5"}]},
        {"type": "text", "text": "The answer is \\boxed{4}."}]}}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 15},
}  # fmt: skip
LLAMA = {
    "choices": [{"text": "3 + 12 = 15.", "index": 0, "finish_reason": "stop", "logprobs": {
        "content": [{"id": 18, "token": "3", "bytes": [51], "logprob": -0.5}]}}],
    "created": 1764000002, "model": "qwen", "system_fingerprint": "b11434", "id": "chatcmpl-x",
    "usage": {"completion_tokens": 8, "prompt_tokens": 30, "total_tokens": 38,
              "prompt_tokens_details": {"cached_tokens": 29}},
    "__verbose": {"index": 0, "content": "3 + 12 = 15.", "stop_type": "word",
                  "stopping_word": "\n\n", "tokens_predicted": 8, "truncated": False},
    "timings": {"prompt_n": 1, "predicted_per_second": 100.5},
}  # fmt: skip
SCORES = {"scores": [0.9, 0.25]}
POOLED = {
    "id": "pool-1", "object": "list", "model": "prm",
    "data": [{"index": 0, "object": "pooling", "data": [[0.1, 0.9], [0.75, 0.25]]}],
    "usage": {"prompt_tokens": 40, "total_tokens": 40, "completion_tokens": 0},
}  # fmt: skip
MODELS = {"object": "list", "data": [{"id": "rig", "object": "model", "max_model_len": 4096,
                                      "meta": {"n_ctx": 4096}, "permission": []}]}  # fmt: skip
STREAM = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None,
                  "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"reasoning_content": "Two."}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "The answer"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": " is 4."}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 9}},
]  # fmt: skip
WHOLE = (VLLM, CHAT, PARTS, LLAMA)

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 10**30, -(10**30), 10**400, 1.5, 1e308, float("nan"),
    float("inf"), "", "7", "x" * 300, "\ud800", "\x1b[31m", "\ude00\ud83d", [], [None], [[]], {},
    {"text": None},
    [{"type": "image_url", "image_url": {}}], [{"type": "text"}], {"message": ["a"]}, "abort",
    "content_filter", "tool_calls", "null", "eos", "\n\n", [["deep"] * 3] * 3,
)  # fmt: skip


def damaged(said: Any, random: Random) -> Any:
    """The same JSON with some places changed, left out, doubled or put elsewhere."""
    said = _copy(said)
    for _ in range(random.randint(1, 3)):
        places = [place for place in _places(said) if isinstance(place[0], (dict, list))]
        if not places:
            return _copy(random.choice(ODD))
        holder, key = random.choice(places)
        what = random.random()
        if what < 0.6:
            holder[key] = _copy(random.choice(ODD))
        elif what < 0.75:
            del holder[key]
        elif what < 0.9 and isinstance(holder, list):
            holder.append(holder[key])
        else:
            other, name = random.choice(places)
            holder[key] = _copy(other[name])
    return _copy(random.choice(ODD)) if random.random() < 0.02 else said


def torn(body: bytes, random: Random) -> bytes:
    """The same bytes with some of them lost or changed, mostly none."""
    what = random.random()
    if what < 0.06:
        return body[: random.randrange(len(body) + 1)]
    if what < 0.12 and body:
        at = random.randrange(len(body))
        return body[:at] + bytes([random.randrange(256)]) + body[at + 1 :]
    if what < 0.14:
        return b"[" * random.choice([10, 900, 5000, 100_000])
    return body


def _copy(said: Any) -> Any:
    return json.loads(json.dumps(said))


def _places(said: Any) -> Iterator[tuple[Any, Any]]:
    inner = said.items() if isinstance(said, dict) else enumerate(said)
    for key, value in list(inner) if isinstance(said, (dict, list)) else ():
        yield said, key
        if isinstance(value, (dict, list)):
            yield from _places(value)
