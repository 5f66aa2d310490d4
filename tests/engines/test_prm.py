"""Process reward models as engines: what they say, whatever shares the batch; what they refuse."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForTokenClassification,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Model,
)

from whorl import prompts
from whorl.ask import Ask, Failure, Prompt
from whorl.chat import Chat
from whorl.chat.named import TEMPLATES
from whorl.engines import open_engine
from whorl.engines.prm import Prm, Qwen2ForProcessRewardModel
from whorl.errors import UserError
from whorl.prompts.wording import SETS

STEPS = ["Anna has 3 + 12 = 15.", "Straße 7 * 8 = 56.", "6", "The answer is 50."]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
}


def collect(engine, asks):
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    answers = {}
    while len(answers) < len(asks):
        answers |= engine.poll(0.0)
    return [answers[ticket] for ticket in range(len(asks))]


def ask(*steps: str, n: int = 1) -> Ask:
    return Ask(Prompt("", "Anna has 3 apples.", "\n\n".join(steps)), role="prm", n=n)


@pytest.fixture(scope="module")
def ours(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random token-classification Llama."""
    folder = tmp_path_factory.mktemp("prm")
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(tokenizer), num_labels=2, **SIZES)
    LlamaForTokenClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def qwens(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with the parts of Qwen2.5-Math-PRM."""
    folder = tmp_path_factory.mktemp("qwen")
    torch.manual_seed(1)
    config = Qwen2Config(vocab_size=400, **SIZES)
    Qwen2ForProcessRewardModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with_token = Chat.load(folder).tokenizer
    with_token.add_special_tokens({"additional_special_tokens": ["<extra_0>"]})
    with_token.save_pretrained(folder)
    return folder


def test_the_value_is_the_probability_at_the_last_token_of_the_step(ours: Path) -> None:
    asks = [ask(*STEPS[: k + 1]) for k in range(4)]
    values = [reply.value for (reply,) in collect(Prm(ours), asks)]
    chat, model = Chat.load(ours), LlamaForTokenClassification.from_pretrained(ours).eval()
    for asked, value in zip(asks, values, strict=True):
        words = prompts.solve(asked.prompt.user)
        ids = torch.tensor([chat.encode(replace(words, prefix=asked.prompt.prefix))])
        with torch.inference_mode():
            right = model(ids).logits[0, -1].softmax(-1)[1]
        assert value == pytest.approx(float(right), abs=1e-5)
    assert len({round(value, 3) for value in values}) > 2  # it does look at the step


def test_qwens_separator_stands_behind_every_step_and_is_read(qwens: Path) -> None:
    asks = [ask(*STEPS[: k + 1]) for k in range(3)]
    values = [reply.value for (reply,) in collect(Prm(qwens), asks)]
    chat = Chat.load(qwens)
    text = chat.render(prompts.solve("Anna has 3 apples.", SETS["qwen"]))
    text += "".join(f"{step}<extra_0>" for step in STEPS[:3])
    ids = chat.tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    (separators,) = (ids[0] == chat.tokenizer.convert_tokens_to_ids("<extra_0>")).nonzero(
        as_tuple=True
    )
    weights = Qwen2ForProcessRewardModel.from_pretrained(qwens).state_dict()
    backbone = Qwen2Model.from_pretrained(qwens).eval()
    with torch.inference_mode():
        hidden = backbone(ids).last_hidden_state[0, separators]
        inner = (hidden @ weights["score.0.weight"].T + weights["score.0.bias"]).clamp(min=0)
        logits = inner @ weights["score.2.weight"].T + weights["score.2.bias"]
    assert values == pytest.approx(logits.softmax(-1)[:, 1].tolist(), abs=1e-5)


def test_qwens_prm_is_asked_as_its_model_card_says(tokenizer: PreTrainedTokenizerFast) -> None:
    """Token by token: a conversation of the card's instruction, the bare question and the steps,
    each with the separator behind it, up to the last separator."""
    theirs = copy.deepcopy(tokenizer)
    theirs.chat_template = TEMPLATES["qwen"]
    marks = ["<|im_start|>", "<|im_end|>", "<extra_0>"]
    theirs.add_special_tokens({"additional_special_tokens": marks})
    steps = ["Sue starts with \\(24\\).", "She buys 3:\n\\[24 + 3 = 27\\]", "\\boxed{27}"]
    said = [
        {
            "role": "system",
            "content": "Please reason step by step, and put your final answer within \\boxed{}.",
        },
        {"role": "user", "content": "Sue has 24 apples and buys 3."},
        {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
    ]
    text = theirs.apply_chat_template(said, tokenize=False, add_generation_prompt=False)
    whole = theirs.encode(text, add_special_tokens=False)
    (separator,) = theirs.encode("<extra_0>", add_special_tokens=False)
    asked = Prompt("", "Sue has 24 apples and buys 3.", "\n\n".join(steps) + "\n\n")
    found = Chat(theirs).encode_steps(asked)
    assert found.count(separator) == len(steps)
    assert found[-1] == separator
    assert found == whole[: len(found)]
    assert theirs.decode(whole[len(found) :]).strip() == "<|im_end|>"  # which no separator sees


@pytest.mark.parametrize("kind", ["ours", "qwens"])
def test_a_value_does_not_depend_on_the_batch(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    asks = [ask(*(STEPS * k)[: 2 * k]) for k in range(1, 9)]
    together = collect(Prm(folder), asks)
    alone = collect(Prm(folder, tokens=1), asks)
    shuffled = collect(Prm(folder, tokens=300), asks[::-1])[::-1]
    for replies in zip(together, alone, shuffled, strict=True):
        values = [reply.value for (reply,) in replies]
        assert values == pytest.approx([values[0]] * 3, abs=2e-6)


def test_the_blank_line_after_a_step_changes_nothing_and_a_poll_is_bounded(ours: Path) -> None:
    engine = Prm(ours, tokens=200)
    asks = [ask("7 * 8 = 56."), ask("7 * 8 = 56.", ""), *[ask(*STEPS)] * 20]
    for ticket, asked in enumerate(asks):
        engine.submit(ticket, asked)
    answered = engine.poll(0.0)
    assert 1 <= len(answered) < len(asks)
    answers = dict(answered)
    while len(answers) < len(asks):
        answers |= engine.poll(0.0)
    assert answers[0][0].value == pytest.approx(answers[1][0].value, abs=2e-6)


def test_every_sample_wanted_is_the_same_score_of_a_prompt_that_is_read_once(ours: Path) -> None:
    engine = Prm(ours)
    read = len(engine.chat.encode_step(ask("7").prompt))
    (replies,) = collect(engine, [ask("7", n=3)])
    assert len(replies) == 3 and len({reply.value for reply in replies}) == 1
    assert {(reply.tokens, reply.text) for reply in replies} == {(0, "")}
    assert [reply.prompt_tokens for reply in replies] == [read, 0, 0]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (ask(), "no step to score"),
        (Ask(Prompt("", "q", "a step")), "writes none; it is no policy"),
        (ask(*STEPS * 30), "the model takes 512"),
    ],
)
def test_what_cannot_be_scored_fails(ours: Path, asked: Ask, why: str) -> None:
    refused, scored = collect(Prm(ours), [asked, ask("7")])
    assert isinstance(refused, Failure) and why in refused.error
    assert 0 < scored[0].value < 1


def test_it_runs_in_a_process_of_its_own(ours: Path) -> None:
    engine = open_engine(f"prm:{ours}", processes=1)
    beside = collect(engine, [ask(*STEPS)])
    engine.close()
    assert beside == collect(open_engine(f"prm:{ours}", processes=0), [ask(*STEPS)])


def test_folders_of_another_kind_are_refused(
    ours: Path, llama, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="LlamaForCausalLM does not classify tokens"):
        open_engine(f"prm:{llama()}")
    with pytest.raises(UserError, match="is a process reward model; write prm:"):
        open_engine(f"local:{ours}")
    with pytest.raises(UserError, match="no model folder 'nowhere'; write prm:FOLDER"):
        open_engine("prm:nowhere")
    config = LlamaConfig(vocab_size=len(tokenizer), num_labels=3, **SIZES)
    LlamaForTokenClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="it has 3 labels instead of two"):
        open_engine(f"prm:{tmp_path}")


def test_a_damaged_folder_is_one_line(ours: Path, tmp_path: Path) -> None:
    for file in ours.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(UserError, match="cannot be loaded: ") as caught:
        open_engine(f"prm:{tmp_path}", processes=0)
    assert "\n" not in str(caught.value)
