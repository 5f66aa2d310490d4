"""A model's own marks of a thought: what it reads, and what its samples become."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chat.conftest import Make

from whorl.answer.thoughts import CLOSE, OPEN
from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.chat.thoughts import Thoughts
from whorl.prompts.families import FAMILIES, Marks

TURNS = (
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{%- endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n"
)
OPENED = TURNS + "<think>\n{% endif %}"
CLOSED = TURNS + "<think>\n\n</think>\n\n{% endif %}"
PLAIN = TURNS + "{% endif %}"
HARMONY = (
    "{%- for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final"
    "{% endif %}<|message|>{{ m.content }}{{ '<|return|>' if loop.last and m.role == 'assistant' "
    "else '<|end|>' }}{%- endfor %}{%- if add_generation_prompt %}<|start|>assistant{% endif %}"
)
IM = ("<|im_start|>", "<|im_end|>")
CHANNELS = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>")
ASKED = Prompt("", "1 + 1?")
THOUGHT = OPEN + "Hm, 2." + CLOSE


def after(chat: Chat, text: str) -> str:
    """What stands behind the beginning of the assistant's turn where it has said `text`."""
    start = chat.render(ASKED)
    whole = chat.render(Prompt("", ASKED.user, text))
    assert whole.startswith(start)
    return whole.removeprefix(start)


@pytest.mark.parametrize("words", [(), ("<think>", "</think>")])
def test_a_thought_that_the_template_opens_is_not_opened_twice(
    tokenizer: Make, words: tuple[str, ...]
) -> None:
    chat = Chat(tokenizer(OPENED, *IM, words=words))
    assert chat.begun(ASKED) == OPEN  # so a sample reads as one that opened it itself
    assert chat.begun(Prompt("", "1 + 1?", "First, ")) == ""
    assert after(chat, OPEN + "Hm") == "Hm"
    assert after(chat, "<think>Hm") == "Hm"
    assert after(chat, THOUGHT + "It is 2.") == "Hm, 2.\n</think>\n\nIt is 2."
    assert after(chat, "It is 2.") == "</think>\n\nIt is 2."  # without a thought it is closed
    ids, start = chat.encode_completion(ASKED, "It is 2.")
    assert ids[:start] == chat.encode(ASKED)
    assert chat.decode(ids[start:-1]).startswith("</think>\n\nIt is 2.")


def test_a_template_that_opens_none_or_an_empty_one_leaves_texts_as_they_are(
    tokenizer: Make,
) -> None:
    for template in (PLAIN, CLOSED):
        chat = Chat(tokenizer(template, *IM))
        assert chat.begun(ASKED) == ""
        assert after(chat, THOUGHT + "It is 2.") == THOUGHT + "It is 2."
        assert after(chat, "It is 2.") == "It is 2."


@pytest.mark.parametrize(
    ("name", "template", "marks", "said"),
    [
        ("magistral", PLAIN, (*IM, "[THINK]", "[/THINK]"), "[THINK]Hm, 2.[/THINK]It is 2."),
        (
            "gpt-oss",
            HARMONY,
            CHANNELS,
            "<|channel|>analysis<|message|>Hm, 2.<|end|><|start|>assistant<|channel|>final"
            "<|message|>It is 2.",
        ),
        ("qwen3", PLAIN, (*IM, "<think>", "</think>"), THOUGHT + "It is 2."),
    ],
)
def test_marks_that_are_special_tokens_are_no_text_and_yet_are_read(
    tokenizer: Make, name: str, template: str, marks: tuple[str, ...], said: str
) -> None:
    chat = Chat(tokenizer(template, *marks))
    assert chat.thoughts.marks == FAMILIES[name].marks
    ids = chat.tokenizer.encode(said, add_special_tokens=False)
    assert chat.decode(ids) == THOUGHT + "It is 2."
    assert after(chat, THOUGHT + "It is 2.") == said
    assert chat.encode(Prompt("", ASKED.user, THOUGHT + "It is 2."))[-len(ids) :] == ids
    trained, start = chat.encode_completion(ASKED, THOUGHT + "It is 2.")
    assert trained[start : start + len(ids)] == ids
    half, start = chat.encode_completion(Prompt("", ASKED.user, OPEN + "Hm, "), "2." + CLOSE + "2")
    assert chat.decode(half[start:-1]).endswith("2." + CLOSE + "2")


def test_a_final_channel_without_a_thought_is_no_text(tokenizer: Make) -> None:
    chat = Chat(tokenizer(HARMONY, *CHANNELS))
    said = "<|channel|>final<|message|>It is 2."
    assert chat.decode(chat.tokenizer.encode(said, add_special_tokens=False)) == "It is 2."
    assert after(chat, "It is 2.") == said


@given(st.lists(st.text("ab \n", max_size=6), min_size=2, max_size=2))
def test_ours_undoes_own(parts: list[str]) -> None:
    thought, rest = parts
    for family in FAMILIES.values():
        thoughts = Thoughts(family.marks, "")
        text = OPEN + thought + CLOSE + rest
        assert thoughts.ours(thoughts.own(text)) == text
        if family.marks == Marks():
            assert thoughts.own(text) == text


def test_a_stop_at_the_end_of_a_thought_is_one_in_the_models_marks() -> None:
    assert Thoughts(FAMILIES["magistral"].marks, "").own_stop("</think>") == "[/THINK]"
    assert Thoughts(FAMILIES["qwen3"].marks, "").own_stop("</think>") == "</think>"
    assert Thoughts(FAMILIES["magistral"].marks, "").own_stop("\n\n") == "\n\n"
