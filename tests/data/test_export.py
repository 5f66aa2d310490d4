"""What other trainers read in an export. TRL is here and reads for itself; for the others stands
what their loaders do with a file, as their sources had it: LLaMA-Factory's parser.py and
converter.py, OpenRLHF's sft_dataset.py and reward_dataset.py, Stanford Alpaca's train.py."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.data.export import Exported, Format, export_examples
from whorl.errors import UserError
from whorl.example import Example, Pair, Weighted
from whorl.models import POLICY
from whorl.prompts import solve

FORMATS = get_args(Format)
PROMPTS = st.builds(Prompt, st.text(), st.text(min_size=1))
PLAIN = st.lists(st.builds(Weighted, PROMPTS, st.text()), min_size=1, max_size=3)
PAIRS = st.lists(st.builds(Pair, PROMPTS, st.text(), st.text()), min_size=1, max_size=3)
SFT = [
    Weighted(solve("1+1?"), "1+1=2\n\nThe answer is \\boxed{2}", origin="a#/2"),
    Weighted(Prompt("", "Problem: 20-3?"), "\\boxed{17}"),
]
STEPS = [
    Pair(solve("2*3?"), "2*3=6\n\n\\boxed{6}", "2*3=5\n\n\\boxed{5}"),
    Pair(Prompt("", "Problem: 1+9+5?", "1+9=1"), "0\n\n\\boxed{15}", "1\n\n\\boxed{16}"),
]


def rows(path: Path) -> list[dict[str, Any]]:
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else [*map(json.loads, text.splitlines())]


def read_messages(turns: list[dict[str, str]], role: str, content: str) -> list[tuple[str, str]]:
    assert all(turn.keys() == {role, content} for turn in turns)
    return [(turn[role], turn[content]) for turn in turns]


def prompt_of(turns: list[tuple[str, str]], user: str = "user") -> Prompt:
    """Turns that must be a system prompt, or none, and a question."""
    *system, (role, question) = turns
    assert role == user and [role for role, _ in system] in ([], ["system"])
    return Prompt("".join(text for _, text in system), question)


def read_trl(row: dict[str, Any], _: Path) -> Example:
    parts = {name: read_messages(turns, "role", "content") for name, turns in row.items()}
    answers = {}
    for name in parts.keys() - {"prompt"}:
        ((role, answers[name]),) = parts[name]
        assert role == "assistant"
    prompt = prompt_of(parts["prompt"])
    if row.keys() == {"prompt", "chosen", "rejected"}:
        return Pair(prompt, answers["chosen"], answers["rejected"])
    assert row.keys() == {"prompt", "completion"}
    return Weighted(prompt, answers["completion"])


def read_llama_factory(row: dict[str, Any], path: Path) -> Example:
    entry = json.loads(path.with_name("dataset_info.json").read_text())[path.stem]
    assert entry["file_name"] == path.name and entry["formatting"] == "alpaca"
    columns = entry["columns"]  # a column that is not named here is not read
    assert {*columns.values()} == row.keys()
    query = [row[columns[name]] for name in ("prompt", "query") if row[columns[name]]]
    prompt = Prompt(row[columns["system"]], "\n".join(query))
    if entry["ranking"]:
        assert isinstance(row[columns["chosen"]], str) and "response" not in columns
        return Pair(prompt, row[columns["chosen"]], row[columns["rejected"]])
    return Weighted(prompt, row[columns["response"]])


def read_openrlhf(row: dict[str, Any], _: Path) -> Example:
    """The prompt of a pair is `chosen` without its last message."""
    parts = {name: read_messages(turns, "role", "content") for name, turns in row.items()}
    if row.keys() == {"chosen", "rejected"}:
        (*prompt, (_, chosen)), (*same, (_, rejected)) = parts["chosen"], parts["rejected"]
        assert prompt == same
        return Pair(prompt_of(prompt), chosen, rejected)
    assert row.keys() == {"input", "output"}
    ((role, text),) = parts["output"]
    assert role == "assistant"
    return Weighted(prompt_of(parts["input"]), text)


def read_sharegpt(row: dict[str, Any], _: Path) -> Example:
    """Human and gpt in turn, the system prompt aside; of a pair, the last turn is left to two."""
    turns = read_messages(row["conversations"], "from", "value")
    if row.keys() == {"conversations", "chosen", "rejected"}:
        answers = read_messages([row["chosen"], row["rejected"]], "from", "value")
        assert [role for role, _ in answers] == ["gpt", "gpt"]
        return Pair(prompt_of(turns, "human"), *(text for _, text in answers))
    assert row.keys() == {"conversations"}
    *before, (role, text) = turns
    assert role == "gpt"
    return Weighted(prompt_of(before, "human"), text)


def read_alpaca(row: dict[str, Any], _: Path) -> Example:
    assert row.keys() == {"instruction", "input", "output"}
    if row["input"] == "":
        return Weighted(Prompt("", row["instruction"]), row["output"])
    return Weighted(Prompt(row["instruction"], row["input"]), row["output"])


def read_chat(row: dict[str, Any], _: Path) -> Example:
    """What verl's and ART's fine-tuning read: the assistant's turn last."""
    assert row.keys() == {"messages"}
    *before, (role, text) = read_messages(row["messages"], "role", "content")
    assert role == "assistant"
    return Weighted(prompt_of(before), text)


READERS = {
    "trl": read_trl,
    "llama-factory": read_llama_factory,
    "openrlhf": read_openrlhf,
    "sharegpt": read_sharegpt,
    "alpaca": read_alpaca,
    "messages": read_chat,
}


@given(PLAIN | PAIRS, st.sampled_from(FORMATS), st.sampled_from(("x.jsonl", "x.json")))
def test_nothing_of_a_plain_example_is_lost(
    tmp_path_factory: pytest.TempPathFactory, examples: list[Example], form: Format, name: str
) -> None:
    out = tmp_path_factory.mktemp("export") / name
    if form in ("alpaca", "messages") and isinstance(examples[0], Pair):
        with pytest.raises(UserError, match="no columns for pairs"):
            export_examples(examples, out, form)
        assert not out.exists()
        return
    assert export_examples(examples, out, form) == Exported(len(examples), {}, {})
    assert [READERS[form](row, out) for row in rows(out)] == examples


@pytest.mark.parametrize("form", FORMATS)
def test_what_cannot_be_said_is_left_out_and_counted(tmp_path: Path, form: Format) -> None:
    out = tmp_path / "x.jsonl"
    begun = Weighted(Prompt("", "q", "So"), " 2")
    exported = export_examples(
        [SFT[0], begun, Weighted(SFT[1].prompt, "a step\n\n", ended=False), begun], out, form
    )
    assert exported.dropped == {
        "goes on with a turn that has begun": 2,
        "the turn does not end": 1,
    }
    assert (exported.rows, exported.changed, len(rows(out))) == (1, {}, 1)


@pytest.mark.parametrize("form", FORMATS)
def test_weights_are_refused_until_told_what_to_make_of_them(tmp_path: Path, form: Format) -> None:
    out = tmp_path / "x.jsonl"
    weighted = [Weighted(SFT[0].prompt, "2", weight) for weight in (1.0, 0.5, 2.0, 0.0, -1.0)]
    with pytest.raises(UserError, match=rf"example 2 has the weight 0\.5, which {form} cannot say"):
        export_examples(weighted, out, form)
    assert not any(tmp_path.iterdir())
    exported = export_examples(weighted, out, form, drop_weights=True)
    assert exported == Exported(3, {"weight not above 0": 2}, {"weight taken as 1": 2})


def test_turns_are_ended_if_told(tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    pair = Pair(Prompt("", "q", "One.\n\n"), "Two.\n\n", "2.\n\n", chosen_ended=False)
    with pytest.raises(UserError, match=r"nothing to export \(the turn does not end: 1\)"):
        export_examples([pair], out, "trl")
    exported = export_examples([pair], out, "trl", end_turns=True)
    assert exported == Exported(1, {}, {"turn ended": 1, "prefix made part of both completions": 1})
    assert [read_trl(row, out) for row in rows(out)] == [
        Pair(Prompt("", "q"), "One.\n\nTwo.\n\n", "One.\n\n2.\n\n")
    ]


def test_bad_sources_and_names_leave_no_file(tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    for examples, name, why in (
        ([*SFT, *STEPS], "x.jsonl", "example 3 is not of the kind of those before it"),
        ([], "x.jsonl", "nothing to export"),
        (SFT, "x.txt", "must end in .jsonl, .json or .parquet"),
    ):
        with pytest.raises(UserError, match=why) as caught:
            export_examples(examples, out.with_name(name), "trl")
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="export to another name"):
        export_examples(SFT, tmp_path / "dataset_info.json", "llama-factory")
    assert not any(tmp_path.iterdir())


def test_llama_factorys_list_keeps_its_other_data_sets(tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_text('{"identity": {"file_name": "identity.json"}}')
    for examples in (SFT, STEPS):  # the second one takes the place of the first
        export_examples(examples, tmp_path / "mine.json", "llama-factory")
    sets = json.loads(info.read_text())
    assert sets["identity"] == {"file_name": "identity.json"}
    assert sets["mine"]["ranking"] is True
    with pytest.raises(UserError, match="has another data set 'identity'"):
        export_examples(SFT, tmp_path / "identity.jsonl", "llama-factory")
    for text, why in (("[]", "is not a list of data sets"), ("{", "cannot be read")):
        info.write_text(text)
        with pytest.raises(UserError, match=why):
            export_examples(SFT, tmp_path / "mine.json", "llama-factory")
        assert info.read_text() == text


def test_openrlhf_renders_what_we_render(tmp_path: Path, tiny_model: Path) -> None:
    """It cuts the rendered prompt off the rendered conversation by length."""
    chat = Chat.load(tiny_model)
    out = tmp_path / "x.jsonl"
    export_examples(SFT, out, "openrlhf")
    for row, example in zip(rows(out), SFT, strict=True):
        prompt = chat.tokenizer.apply_chat_template(
            row["input"], tokenize=False, add_generation_prompt=True
        )
        whole = chat.tokenizer.apply_chat_template(row["input"] + row["output"], tokenize=False)
        assert prompt == chat.render(example.prompt)
        assert whole == prompt + example.text + chat.tokenizer.eos_token


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with the shipped tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama") / "model"
    tokenizer = AutoTokenizer.from_pretrained(POLICY)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def load(path: Path, tmp_path: Path) -> Any:
    from datasets import load_dataset

    return load_dataset(
        "json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )


def brief(tmp_path: Path) -> dict[str, Any]:
    """A training of one step."""
    quiet = {"report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    return {"output_dir": str(tmp_path), "max_steps": 1, "use_cpu": True, "bf16": False} | quiet


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_datasets_loads_it_as_it_stands(tmp_path: Path, form: Format, suffix: str) -> None:
    out = (tmp_path / "x").with_suffix(suffix)
    for examples in (SFT, STEPS[:1]):
        if form not in ("alpaca", "messages") or examples is SFT:
            export_examples(examples, out, form)
            assert list(load(out, tmp_path)) == rows(out)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_trl_trains_on_the_ids_that_we_train_on(tmp_path: Path, model: Path) -> None:
    from trl import SFTConfig, SFTTrainer

    out = tmp_path / "x.jsonl"
    export_examples(SFT, out, "trl")
    trainer = SFTTrainer(
        model=str(model), args=SFTConfig(**brief(tmp_path)), train_dataset=load(out, tmp_path)
    )
    chat = Chat.load(model)
    for row, example in zip(trainer.train_dataset, SFT, strict=True):
        ids, start = chat.encode_completion(example.prompt, example.text)
        assert row["input_ids"] == ids
        assert row["labels"] == [-100] * start + ids[start:]
    assert trainer.train().training_loss > 0


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_trl_prefers_the_ids_that_we_prefer_and_a_prefix_is_the_same_in_both(
    tmp_path: Path, model: Path
) -> None:
    """So the prefix cancels: what TRL counts and we do not is one and the same for both."""
    from trl import DPOConfig, DPOTrainer

    out = tmp_path / "x.jsonl"
    assert export_examples(STEPS, out, "trl").changed == {"prefix made part of both completions": 1}
    trainer = DPOTrainer(
        model=str(model), args=DPOConfig(**brief(tmp_path)), train_dataset=load(out, tmp_path)
    )
    chat = Chat.load(model)
    for row, pair in zip(trainer.train_dataset, STEPS, strict=True):
        counted = []
        for name, text in (("chosen", pair.chosen), ("rejected", pair.rejected)):
            ids, start = chat.encode_completion(pair.prompt, text)
            assert row["prompt_ids"] + row[f"{name}_ids"] == ids
            counted.append(ids[len(row["prompt_ids"]) : start])
        assert counted[0] == counted[1]
        assert bool(counted[0]) == bool(pair.prompt.prefix)
    assert trainer.train().training_loss > 0


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_trl_cannot_go_on_with_a_turn(tmp_path: Path, model: Path) -> None:
    """Why completions after a prefix are left out: TRL ends a turn that a prompt ends on. If this
    fails, TRL has learnt it, and they can be exported."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    example = Weighted(Prompt("", "1+9?", "1+9="), "10")
    row = {
        "prompt": [
            {"role": "user", "content": example.prompt.user},
            {"role": "assistant", "content": example.prompt.prefix},
        ],
        "completion": [{"role": "assistant", "content": example.text}],
    }
    trainer = SFTTrainer(
        model=str(model),
        args=SFTConfig(**brief(tmp_path)),
        train_dataset=Dataset.from_list([row]),
    )
    chat = Chat.load(model)
    ids, _ = chat.encode_completion(example.prompt, example.text)
    (prepared,) = trainer.train_dataset
    assert prepared["input_ids"] != ids
    assert prepared["input_ids"].count(chat.end[-1]) == 2
