from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from whorl import prompts
from whorl.chat import Chat
from whorl.models import lessons
from whorl.models.plans import ALL
from whorl.models.tokenizer import train_tokenizer


def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(lessons.corpus(Random(0), ALL, stories=300))


SHARED = Chat(tokenizer())


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    ids = SHARED.tokenizer.encode(text, add_special_tokens=False)
    assert SHARED.tokenizer.decode(ids) == text


@given(st.integers(0, 10**9), st.sampled_from(["", " ", "=", "x"]))
def test_every_digit_is_one_token(number: int, before: str) -> None:
    tokens = SHARED.tokenizer.tokenize(f"{before}{number}.")
    assert tokens[-1 - len(str(number)) : -1] == list(str(number))


def test_a_blank_line_is_one_token_even_between_words() -> None:
    tokens = SHARED.tokenizer.tokenize("Now Ada has 3 cards.\n\nThe answer")
    assert tokens.count("ĊĊ") == 1
    assert len(SHARED.tokenizer.tokenize("\n\n")) == 1


@pytest.mark.parametrize("word", ["Expected", "Verdict", " replace", " keep", "Alternatives"])
def test_the_fixed_words_of_a_critique_are_single_tokens(word: str) -> None:
    assert len(SHARED.tokenizer.tokenize(word)) == 1


def test_what_is_sampled_under_is_what_is_trained_under() -> None:
    rng = Random(1)
    for story in [next(lessons.pretraining(rng, ALL)) for _ in range(50)]:
        steps = [f"{step}\n\n" for step in story.solution[:-1]] + [story.solution[-1]]
        ask = prompts.solve(story.question)
        whole, _ = SHARED.encode_completion(ask, "".join(steps))
        for cut in range(len(steps)):
            prefix = "".join(steps[:cut])
            begun = prompts.Prompt(ask.system, ask.user, prefix)
            ids = SHARED.encode(begun)
            assert whole[: len(ids)] == ids
            again, start = SHARED.encode_completion(begun, "".join(steps[cut:]))
            assert (again, start) == (whole, len(ids))


def test_the_template_marks_the_assistants_turn_for_training() -> None:
    chat = [
        {"role": "user", "content": "Problem: 1+1"},
        {"role": "assistant", "content": "It is 2."},
    ]
    encoded = SHARED.tokenizer.apply_chat_template(
        chat, return_dict=True, return_assistant_tokens_mask=True
    )
    marked = [
        i for i, mark in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mark
    ]
    assert SHARED.tokenizer.decode(marked) == "It is 2.<|eos|>"
    prompt = SHARED.render(prompts.Prompt("Be kind.", "Problem: 1+1"))
    assert prompt == "<|bos|>Problem: 1+1\n\n"
