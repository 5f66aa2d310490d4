"""A real vLLM server, on the shipped policy. `make test-vllm` runs it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.engines.server.real import (
    Server,
    answer,
    are_as_likely,
    given_texts,
    killed_and_back,
    says_what_the_embedded_engine_says,
)

from whorl import prompts
from whorl.ask import Ask, Prompt
from whorl.chat import SEPARATOR, Chat
from whorl.data.synthetic import problems
from whorl.engines import open_engine
from whorl.models import POLICY

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]

QUESTIONS = [problem.question for problem in problems("test", 64, seed=1)]


def vllm(model: Path, *flags: str) -> Callable[[int], list[str]]:
    """The command that serves a model."""

    def command(port: int) -> list[str]:
        said = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        said += ["--model", str(model), "--served-model-name", "model"]
        said += ["--host", "127.0.0.1", "--port", str(port)]
        said += ["--dtype", "float32", "--enforce-eager", "--block-size", "32"]
        said += ["--kv-cache-memory-bytes", str(512 << 20)]
        said += ["--no-enable-chunked-prefill"]  # or a CPU breaks down over seeds
        return [*said, *flags]

    return command


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("vllm") / "log"
    server = Server(vllm(POLICY, "--enable-prompt-tokens-details"), log)
    try:
        print(f"server: answers after {server.start():.0f} s")
        yield server
    finally:
        server.kill()


def spec(server: Server) -> str:
    return f"server:{server.url}?tokenizer={POLICY}"


def test_the_server_reads_the_token_ids_that_we_write(server: Server) -> None:
    chat = Chat.load(POLICY)
    prompt = prompts.solve(QUESTIONS[0])
    ids = chat.encode(prompt)
    settings = {"model": "model", "max_tokens": 1, "return_token_ids": True}
    forms = [{"prompt": ids}, {"prompt": chat.render(prompt), "add_special_tokens": False}]
    for form in forms:
        said = server.post("/completions", settings | form)
        assert said["choices"][0]["prompt_token_ids"] == ids


def test_greedy_text_is_that_of_the_embedded_engine(server: Server) -> None:
    says_what_the_embedded_engine_says(spec(server), QUESTIONS)


def test_a_given_text_is_as_likely_as_to_the_embedded_engine(server: Server) -> None:
    asks = given_texts(QUESTIONS[:16])
    here = open_engine(f"local:{POLICY}", processes=0)
    are_as_likely(answer(open_engine(spec(server)), asks), answer(here, asks))


def test_a_run_survives_a_server_that_is_killed_and_comes_back(
    server: Server, tmp_path: Path
) -> None:
    killed_and_back(server, spec(server), tmp_path)


def test_a_reward_model_behind_a_server_says_what_it_says_here(tmp_path: Path) -> None:
    """Qwen2.5-Math-PRM's architecture, tiny and untrained."""
    import torch
    from transformers import Qwen2Config

    from whorl.engines.prm import Qwen2ForProcessRewardModel

    tokenizer = Chat.load(POLICY).tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": [SEPARATOR]})
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.3,
    )
    Qwen2ForProcessRewardModel(config).save_pretrained(tmp_path)

    steps = ["7 + 5 = 12", "12 - 4 = 8", "The answer is 8."]
    prompts = [
        Prompt("", question, "\n\n".join(steps[:count]))
        for question in QUESTIONS[:8]
        for count in (1, 2, 3)
    ]
    asks = [Ask(prompt, role="prm") for prompt in prompts]
    pooler = json.dumps({"step_tag_id": tokenizer.convert_tokens_to_ids(SEPARATOR)})
    command = vllm(tmp_path, "--runner", "pooling", "--pooler-config", pooler)
    server = Server(command, tmp_path / "log")
    try:
        server.start()
        engine = open_engine(f"scores:{server.url}?tokenizer={tmp_path}")
        theirs = [reply.value for (reply,) in answer(engine, asks)]
    finally:
        server.kill()
    ours = [reply.value for (reply,) in answer(open_engine(f"prm:{tmp_path}", processes=0), asks)]
    assert theirs == pytest.approx(ours, abs=1e-4)
    assert max(ours) - min(ours) > 0.1
    print(f"server: {len(asks)} steps scored as the embedded reward model scores them")
