"""The simulated server: what it promises to those who measure and test with it."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from whorl.ask import Asking
from whorl.drive import drive
from whorl.engines import open_engine
from whorl.problem import Problem
from whorl.rollout import Sampling
from whorl.search import Uct, mcts
from whorl.tree import Tree

POLICY = Path(__file__).parents[2] / "src/whorl/models/policy"
PROMPT = "Problem: Mia has 7 apples and buys 5 more.\n\n"
STEP = {"prompt": PROMPT, "n": 3, "stop": ["\n\n"], "max_tokens": 64, "seed": 7}


def post(url: str, path: str, body: dict, key: str = "") -> dict:
    fields = {"Content-Type": "application/json"}
    if key:
        fields["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url + path, json.dumps(body).encode(), fields)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def status(url: str, path: str, body: dict, key: str = "") -> int:
    try:
        post(url, path, body, key)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


def complete(url: str, **changes: object) -> dict:
    return post(url, "/completions", STEP | changes)


def texts(answer: dict) -> list[str]:
    return [choice["text"] for choice in answer["choices"]]


def test_what_it_says_follows_from_prompt_seed_and_number(rig_server):
    first, second = rig_server(), rig_server(latency=0.01)
    said = texts(complete(first))
    assert len(set(said)) == 3
    assert texts(complete(second)) == said == texts(complete(first))
    assert texts(complete(first, n=1)) == said[:1]
    assert texts(complete(first, seed=8)) != said != texts(complete(first, prompt=PROMPT + said[0]))
    greedy = texts(complete(first, temperature=0)) + texts(complete(first, temperature=0, seed=8))
    assert len(set(greedy)) == 1


def test_steps_are_the_beginning_of_solutions(rig_server):
    url = rig_server(steps=3, right=0.5)
    solutions = complete(url, stop=None, n=200, max_tokens=500)["choices"]
    steps = complete(url, n=200)["choices"]
    for whole, step in zip(solutions, steps, strict=True):
        first, blank, _ = whole["text"].partition("\n\n")
        assert step["text"] == first
        assert step["stop_reason"] == ("\n\n" if blank else None)
        assert whole["text"].endswith("}.") and whole["finish_reason"] == "stop"
    right = sum(r"\boxed{42}" in choice["text"] for choice in solutions)
    assert 70 < right < 130
    assert 2 < sum(choice["text"].count("\n\n") + 1 for choice in solutions) / 200 < 4


def test_token_ids_text_and_a_continued_chat_are_one_prompt(rig_server):
    url = rig_server(tokenizer=str(POLICY), cache=True)
    tokenizer = Tokenizer.from_file(str(POLICY / "tokenizer.json"))
    bos = json.loads((POLICY / "tokenizer_config.json").read_text())["bos_token"]
    prompt = f"{bos}{PROMPT}We add 7 and"
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    turns = [
        {"role": "user", "content": PROMPT.strip()},
        {"role": "assistant", "content": "We add 7 and"},
    ]
    chat = {key: value for key, value in STEP.items() if key != "prompt"} | {"messages": turns}
    goes_on = {"add_generation_prompt": False, "continue_final_message": True}

    by_text, by_ids = complete(url, prompt=prompt), complete(url, prompt=ids)
    continued = post(url, "/chat/completions", chat | goes_on)
    new_turn = post(url, "/chat/completions", chat)
    said = [choice["message"]["content"] for choice in continued["choices"]]
    assert texts(by_text) == texts(by_ids) == said
    for answer in (by_text, by_ids, continued):
        assert answer["usage"]["prompt_tokens"] == len(ids)
    assert new_turn["usage"]["prompt_tokens"] > len(ids)
    assert by_text["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert by_ids["usage"]["prompt_tokens_details"]["cached_tokens"] == (len(ids) - 1) // 16 * 16

    deaf = rig_server(tokenizer=str(POLICY), lacks=("continuation",))
    ignored = post(deaf, "/chat/completions", chat | goes_on)
    assert ignored["usage"]["prompt_tokens"] == new_turn["usage"]["prompt_tokens"]


def test_counts_log_probabilities_and_the_token_limit(rig_server):
    url = rig_server()
    answer = complete(url, logprobs=0)
    told = [choice["logprobs"] for choice in answer["choices"]]
    assert answer["usage"]["completion_tokens"] == sum(len(t["token_logprobs"]) for t in told)
    assert "".join(told[0]["tokens"]).startswith(texts(answer)[0])
    assert all(p <= 0 for t in told for p in t["token_logprobs"])
    cut = complete(url, max_tokens=3, n=1)
    assert cut["choices"][0]["finish_reason"] == "length"
    assert texts(cut)[0] == texts(answer)[0][: len(texts(cut)[0])]
    assert cut["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("chat", [False, True])
def test_a_stream_adds_up_to_the_answer(rig_server, chat):
    url = rig_server(per_token=0.001, slots=2)
    path = "/chat/completions" if chat else "/completions"
    body = STEP | {"messages": [{"role": "user", "content": PROMPT}]}
    whole = post(url, path, body)
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    request = urllib.request.Request(url + path, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        events = [line[6:].strip() for line in answer if line.startswith(b"data: ")]
    assert events.pop() == b"[DONE]"
    *chunks, last = map(json.loads, events)
    assert last["usage"] == whole["usage"]
    for choice in whole["choices"]:
        mine = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        said = choice["message"]["content"] if chat else choice["text"]
        assert "".join(c["delta"]["content"] if chat else c["text"] for c in mine) == said
        assert [c["finish_reason"] for c in mine[:-1]] == [None] * (len(mine) - 1)
        assert mine[-1]["stop_reason"] == choice["stop_reason"]


@pytest.mark.parametrize(
    ("lack", "expected"),
    [
        ("n", lambda answer: len(answer["choices"]) == 1),
        ("stop", lambda answer: any("\n\n" in text for text in texts(answer))),
        ("logprobs", lambda answer: answer["choices"][0]["logprobs"] is None),
        ("usage", lambda answer: "usage" not in answer),
        ("finish_reason", lambda answer: "finish_reason" not in answer["choices"][0]),
        ("stop_reason", lambda answer: "stop_reason" not in answer["choices"][0]),
    ],
)
def test_what_it_lacks_it_leaves_out_silently(rig_server, lack, expected):
    assert expected(complete(rig_server(lacks=(lack,)), logprobs=1))
    assert not expected(complete(rig_server(), logprobs=1))


def test_what_it_refuses(rig_server):
    url = rig_server(key="secret", lacks=("ids", "extras"), context=100)
    assert status(url, "/completions", STEP) == status(url, "/completions", STEP, "wrong") == 401
    for expected, changes in (
        (200, {"model": "rig"}),
        (404, {"model": "another"}),
        (400, {"prompt": [1, 2]}),
        (400, {"prompt": None}),
        (400, {"max_tokens": 101}),
        (422, {"add_generation_prompt": False}),
    ):
        assert status(url, "/completions", STEP | changes, "secret") == expected
    bare = rig_server(lacks=("completions",), limit=1)
    assert status(bare, "/completions", STEP) == 404


def test_faults_come_as_often_as_asked_for(rig_server, rig):
    faults = {"500": 0.2, "429": 0.2, "cut": 0.2, "malformed": 0.2, "count": 0.1}
    url = rig_server(faults=faults, seed=3)
    seen = dict.fromkeys([*faults, "none"], 0)
    for number in range(200):
        try:
            answer = complete(url, seed=number)
            seen["none" if len(answer["choices"]) == 3 else "count"] += 1
        except urllib.error.HTTPError as error:
            with error:
                seen[str(error.code)] += 1
                assert ("Retry-After" in error.headers) == (error.code == 429)
        except json.JSONDecodeError:
            seen["malformed"] += 1
        except OSError:
            seen["cut"] += 1
        except Exception as error:  # http.client.IncompleteRead
            assert "IncompleteRead" in repr(error)
            seen["cut"] += 1
    assert all(abs(seen[name] - 200 * share) < 25 for name, share in faults.items())
    assert rig.stats(url)["requests"] == 200


def test_samples_may_be_empty_repeated_or_slow(rig_server):
    empty = complete(rig_server(faults={"empty": 1.0}))
    assert texts(empty) == [""] * 3
    repeated = complete(rig_server(faults={"repeat": 1.0}), max_tokens=200)
    assert all(choice["finish_reason"] == "length" for choice in repeated["choices"])
    assert repeated["usage"]["completion_tokens"] == 600
    start = time.perf_counter()
    assert len(texts(complete(rig_server(faults={"slow": 1.0}, drip=0.2)))) == 3
    assert time.perf_counter() - start > 0.2


def test_slots_are_shared_and_a_full_house_says_so(rig_server, rig):
    """Twelve samples of 0.05 seconds at four a time."""
    body = json.dumps(STEP).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def one(url: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.split(":")[2][:-3]))
        writer.write(head + body)
        line = await reader.readline()
        writer.close()
        return line

    async def crowd(url: str) -> list[bytes]:
        return await asyncio.gather(*(one(url) for _ in range(4)))

    url = rig_server(latency=0.05, slots=4)
    start = time.perf_counter()
    assert all(b"200 OK" in line for line in asyncio.run(crowd(url)))
    assert time.perf_counter() - start > 0.15
    seen = rig.stats(url)
    assert (seen["peak"], seen["samples"]) == (4, 12)
    assert 0.15 < seen["busy_s"] < seen["request_s"]
    full = asyncio.run(crowd(rig_server(latency=0.1, limit=3)))
    assert sorted(line[9:12] for line in full) == [b"200", b"200", b"200", b"429"]


def test_process_reward_models(rig_server):
    url = rig_server()
    steps = ["7 + 5 = 12", "12 - 4 = 8"]
    text = "".join(step + "<extra_0>" for step in steps)
    pooled = post(url.removesuffix("/v1"), "/pooling", {"input": [text, text[:-9]]})["data"]
    assert [len(each["data"]) for each in pooled] == [2, 1]
    assert pooled[0]["data"][0] == pooled[1]["data"][0]
    assert all(sum(pair) == pytest.approx(1) for each in pooled for pair in each["data"])
    scores = post(url, "/score", {"question": "?", "steps": steps})["scores"]
    assert len(scores) == 2 and all(0 <= score <= 1 for score in scores)
    assert post(url, "/score", {"question": "?", "steps": steps[:1]})["scores"] == scores[:1]


def test_a_search_keeps_every_sample_and_depends_on_no_timing(rig_server, rig):
    """Of a server that must be asked for each sample by itself and read as a stream."""
    trees = []
    for timing in ({}, {"latency": 0.002, "spread": 1.0, "slots": 8}):
        url = rig_server(lacks=("n", "stop_reason"), **timing)
        with closing(open_engine(f"server:{url}?tokenizer={POLICY}")) as engine:
            probed = rig.stats(url)["samples"]
            found = drive(searches(), {"policy": engine})
            trees.append({finished.key: finished.result for finished in found})
            paid = rig.stats(url)["samples"] - probed
        nodes = [node for tree in trees[-1].values() for node in tree.nodes[1:]]
        assert len(nodes) > 50
        assert sum(node.copies for node in nodes) == paid
    assert {key: tree.to_json() for key, tree in trees[0].items()} == {
        key: tree.to_json() for key, tree in trees[1].items()
    }


def searches() -> Iterator[tuple[str, Asking[Tree]]]:
    def grow(problem: Problem) -> Asking[Tree]:
        tree = Tree(problem)
        yield from mcts(tree, Sampling(), Uct(simulations=8))
        return tree

    for number in range(6):
        yield f"{number}", grow(Problem(f"{number}", f"Mia has {number} apples.", "42"))
