import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.errors import UserError

SPECIALS = ("<|pad|>", "<|bos|>", "<|eos|>", "<|system|>", "<|user|>", "<|assistant|>")


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> Chat:
    return Chat.load(tiny_model)


def test_the_context_is_the_templates_turns_and_the_prefix(chat: Chat) -> None:
    assert chat.render(Prompt("", "1+1?")) == "<|user|>1+1?<|eos|><|assistant|>"
    assert (
        chat.render(Prompt("Be brief.", "1+1?", "So\n\n"))
        == "<|system|>Be brief.<|eos|><|user|>1+1?<|eos|><|assistant|>So\n\n"
    )


@given(st.builds(Prompt, st.text(), st.text(), st.text()), st.text())
def test_training_ids_are_the_ids_of_the_whole_text(chat: Chat, prompt: Prompt, text: str) -> None:
    ids, start = chat.encode_completion(prompt, text)
    whole = Prompt(prompt.system, prompt.user, prompt.prefix + text)
    assert ids == [*chat.encode(whole), chat.end[-1]]
    assert start <= len(chat.encode(prompt))
    assert ids[:start] == chat.encode(prompt)[:start]


@given(st.text())
def test_text_survives_encoding(chat: Chat, text: str) -> None:
    if not any(special in text for special in SPECIALS):
        ids = chat.encode(Prompt("", "q", text))
        assert chat.decode(ids) == "q" + text


def test_a_step_that_ends_in_a_blank_line_is_sampled_and_trained_alike(chat: Chat) -> None:
    prompt = Prompt("", "Problem: 12+5", "Mia has 12+5=17 apples.\n\n")
    step = "The answer is \\boxed{17}."
    sampled = chat.encode(Prompt("", prompt.user, step))[
        len(chat.encode(Prompt("", prompt.user))) :
    ]
    ids, start = chat.encode_completion(prompt, step)
    assert ids[:start] == chat.encode(prompt)
    assert ids[start:] == [*sampled, chat.end[-1]]


def test_a_token_across_the_boundary_is_completion(chat: Chat) -> None:
    prompt = Prompt("", "q", " app")
    ids, start = chat.encode_completion(prompt, "les", ended=False)
    straddling = chat.decode(ids[start : start + 1])
    assert straddling == " apples"  # not the context's " a" + "pp"
    assert len(ids) == start + 1


def test_an_unended_turn_has_no_end(chat: Chat) -> None:
    ended, _ = chat.encode_completion(Prompt("", "q"), "a")
    open_, _ = chat.encode_completion(Prompt("", "q"), "a", ended=False)
    assert ended == [*open_, chat.end[-1]]


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        (("config.json",), "is not a model folder: it has no config.json"),
        (("tokenizer.json", "tokenizer_config.json"), "has no tokenizer; save"),
        (("chat_template.jinja",), "has no chat template; add chat_template.jinja"),
    ],
)
def test_what_a_folder_lacks_is_said(
    tiny_model: Path, tmp_path: Path, missing: tuple[str, ...], complaint: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns(*missing))
    with pytest.raises(UserError, match=complaint) as caught:
        Chat.load(folder)
    assert str(caught.value).startswith(str(folder))


@pytest.mark.parametrize("damage", ["", "{", '{"version": "1.0"}'])
def test_a_damaged_tokenizer_is_one_line(tiny_model: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "tokenizer.json").write_text(damage)
    with pytest.raises(UserError, match="cannot be read") as caught:
        Chat.load(folder)
    assert "\n" not in str(caught.value)


def test_an_end_is_needed_and_the_templates_will_do(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    for name in ("tokenizer_config.json", "config.json", "generation_config.json"):
        config = json.loads((folder / name).read_text())
        config = {key: value for key, value in config.items() if "eos_token" not in key}
        (folder / name).write_text(json.dumps(config))
    chat = Chat.load(folder)
    assert chat.tokenizer.eos_token is None
    assert chat.tokenizer.decode(list(chat.end)) == "<|eos|>"
    endless = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(endless)
    with pytest.raises(UserError, match="has no end-of-sequence token, and its template ends no"):
        Chat.load(folder)


def test_a_prompt_without_turns_is_a_text_of_its_own(tiny_model: Path) -> None:
    tokenizer = Chat.load(tiny_model).tokenizer
    prompt = Prompt("", "", "### Instruction:\n1+1?\n\n### Response:")
    assert Chat(tokenizer).render(prompt) == prompt.prefix
    bos = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|bos|> $A", special_tokens=[("<|bos|>", bos)]
    )
    ids = Chat(tokenizer).encode(prompt)
    assert ids.count(bos) == 1 and ids[0] == bos
    assert Chat(tokenizer).decode(ids) == prompt.prefix


@pytest.mark.parametrize("name", ["generation_config.json", "config.json"])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "cannot be read: "),
        ("[1]", "should hold an object in braces"),
        ('{"eos_token_id": "x"}', 'a token\'s number, or a list of them, not "x"'),
        ('{"eos_token_id": [1, null]}', r"not \[1, null\]"),
        ('{"eos_token_id": true}', "not true"),
        ('{"eos_token_id": -1}', "not -1"),
    ],
)
def test_ends_that_cannot_be_read_are_one_line(
    tiny_model: Path, tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    if name == "config.json" and text.startswith("{") and text != "{":
        said = json.loads((folder / name).read_text()) | json.loads(text)
        text = json.dumps(said)
    (folder / name).write_text(text)
    with pytest.raises(UserError) as caught:
        Chat.load(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    if name != "config.json":  # of which the tokenizer's loader may have been the first to complain
        assert re.search(f"{name}.*{complaint}.*fetch the model again", str(caught.value))


def test_ends_that_are_not_named_are_none(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    usual = Chat.load(folder).ends
    for said in ({}, {"eos_token_id": None}, {"text_config": None}, {"eos_token_id": []}):
        (folder / "generation_config.json").write_text(json.dumps(said))
        assert Chat.load(folder).ends == usual
