"""Chat templates of public models, through the command line: are turns rendered, continued, ended,
trained and sampled under the same ids?

    .venv/bin/python benchmarks/templates.py [NAME...]

The templates are those that TRL ships, as its authors took them from the models' repositories.
Each gets a tiny random Llama and a tokenizer that knows the template's marks. The model is trained
by `whorl train` on one solution until it knows it, and sampled by `whorl probe`, which has to give
back the solution and end where the template ends a turn. The last line is one JSON object:
[templates, rendered, ends_equal, trained_equals_sampled].
"""

import argparse
import json
import re
import tempfile
import warnings
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch
from tokenizers import AddedToken
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging
from typer.testing import CliRunner

from tiny import save_llama
from whorl import prompts
from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.chat.template import frozen
from whorl.cli import app
from whorl.models import POLICY

QUESTION = "Mia has 7 apples and buys 5 more. How many apples does she have now?"
STEP, REST = "7 + 5 = 12.\n\n", "The answer is \\boxed{12}."


@dataclass(frozen=True)
class Public:
    """A template of a public model.

    repository: of one model that comes with it. end: the mark that ends a turn, by that model's
    description. eos, bos: of its tokenizer. ids: of its `generation_config`, beside eos.
    """

    name: str
    repository: str
    end: str
    eos: str
    bos: str
    ids: tuple[str, ...]


LONG = {
    "IM": "<|im_end|>",
    "TEXT": "<|endoftext|>",
    "BEGIN": "<｜begin▁of▁sentence｜>",
    "END": "<｜end▁of▁sentence｜>",
    "-": "",
}
TABLE = """\
cohere CohereLabs/aya-expanse-8b <|END_OF_TURN_TOKEN|> = <BOS_TOKEN>
cohere2 CohereLabs/tiny-aya-earth <|END_OF_TURN_TOKEN|> = <BOS_TOKEN>
deepseek_r1_distill deepseek-ai/DeepSeek-R1-Distill-Qwen-7B END = BEGIN
deepseekv3 deepseek-ai/DeepSeek-V3 END = BEGIN
gemma google/gemma-2-2b-it <end_of_turn> <eos> <bos> <end_of_turn>
gemma3 google/gemma-3-1b-it <end_of_turn> <eos> <bos> <end_of_turn>
gemma4 google/gemma-4-E2B-it <turn|> <eos> <bos> <turn|>
gemma4_v5 google/gemma-4-E2B-it <turn|> <eos> <bos> <turn|>
glm4moe zai-org/GLM-4.5-Air <|user|> TEXT - <|user|> <|observation|>
gptoss openai/gpt-oss-20b <|return|> = <|startoftext|> <|call|>
idefics3 HuggingFaceM4/Idefics3-8B-Llama3 <end_of_utterance> = <|begin_of_text|>
lfm2 LiquidAI/LFM2-1.2B IM = <|startoftext|>
lfm2_v2 LiquidAI/LFM2-1.2B IM = <|startoftext|>
lfm2_2_5 LiquidAI/LFM2.5-230M IM = <|startoftext|>
lfm2_2_5_vl LiquidAI/LFM2.5-VL-3B IM = <|startoftext|>
llama3 meta-llama/Meta-Llama-3-8B-Instruct <|eot_id|> = <|begin_of_text|>
llama3_1 meta-llama/Llama-3.1-8B-Instruct <|eot_id|> = <|begin_of_text|>
llama3_2 meta-llama/Llama-3.2-3B-Instruct <|eot_id|> = <|begin_of_text|>
llava_next llava-hf/llava-v1.6-mistral-7b-hf </s> = <s>
muse_glimmer meta-models/Muse-Glimmer-30B <|eot|> = <|begin_of_text|>
nemotron_3_nano nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B IM = <s>
nemotron_3_super nvidia/NVIDIA-Nemotron-3-Super-120B-A12B IM = <s>
phi3 microsoft/Phi-3-mini-4k-instruct <|end|> TEXT <s> <|end|> <|assistant|>
phi3_5 microsoft/Phi-3.5-mini-instruct <|end|> TEXT <s> <|end|> <|assistant|>
qwen2_5 Qwen/Qwen2.5-Math-7B IM TEXT -
qwen2_5_vl Qwen/Qwen2.5-VL-3B-Instruct IM = -
qwen3 Qwen/Qwen3-0.6B IM = - TEXT
qwen3_instruct_2507 Qwen/Qwen3-4B-Instruct-2507 IM = - TEXT
qwen3_vl Qwen/Qwen3-VL-2B-Instruct IM = -
qwen3_5_think Qwen/Qwen3.5-4B IM = -
qwen3_5_nothink Qwen/Qwen3.5-2B IM = -
qwen3_6 Qwen/Qwen3.6-27B IM = -
qwen3_8 Qwen/Qwen3.8-27B IM = -
smolvlm HuggingFaceTB/SmolVLM-Instruct <end_of_utterance> = <|im_start|>
"""


def table() -> list[Public]:
    """The rows of `TABLE`: name, repository, end, eos (= is the end), bos and ids."""
    found = []
    for row in TABLE.splitlines():
        name, repository, *marks = row.split(" ")
        end, eos, bos, *ids = (LONG.get(mark, mark) for mark in marks)
        found.append(Public(name, repository, end, end if eos == "=" else eos, bos, tuple(ids)))
    return found


_MARK = re.compile(r"<[|｜]?[^<>{}\"' ]{2,40}>|\[gMASK\]")
_WORDS = re.compile(
    r"<(?:/|SYS|description|enum|name|required|type|function|parameter|tool|arg_|atem)"
)
_WRITTEN = ("<think>", "</think>")  # in the vocabulary, and text all the same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these templates")
    wanted = set(parser.parse_args().names)
    warnings.simplefilter("ignore")
    logging.disable_progress_bar()
    chosen = [public for public in table() if not wanted or public.name in wanted]
    counts = dict.fromkeys(("rendered", "ends_equal", "trained_equals_sampled"), 0)
    print(f"{'template':22} {'rendered':9} {'ends':5} {'trained = sampled':18} repository")
    for public in chosen:
        with tempfile.TemporaryDirectory() as folder:
            passed = try_out(public, Path(folder))
        for name, well in zip(counts, passed, strict=True):
            counts[name] += well
        shown = ["yes" if well else "NO" for well in passed]
        print(f"{public.name:22} {shown[0]:9} {shown[1]:5} {shown[2]:18} {public.repository}")
    print(json.dumps({"templates": len(chosen), **counts}))


def try_out(public: Public, folder: Path) -> tuple[bool, bool, bool]:
    """Whether a template's prompts are those that transformers renders, before an assistant's turn
    and in it; whether a turn ends as it does there; and whether training and sampling agree."""
    model, trained = folder / "model", folder / "trained"
    make(public, model)
    chat = Chat.load(model)
    return (
        rendered(chat, model),
        ends_equal(chat, public),
        trained_equals_sampled(chat, model, trained),
    )


def make(public: Public, folder: Path) -> None:
    """A random model with the public template and its marks."""
    source = (files("trl") / "chat_templates" / f"{public.name}.jinja").read_text(encoding="utf-8")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(POLICY / "tokenizer.json"), eos_token=public.eos
    )
    if public.bos:
        tokenizer.add_special_tokens({"bos_token": public.bos})
    named = {*_MARK.findall(source), public.eos, public.end, public.bos, *public.ids}
    marks = sorted(mark for mark in named if mark and not _WORDS.match(mark))
    tokenizer.add_tokens(
        [AddedToken(mark, special=mark not in _WRITTEN, normalized=False) for mark in marks]
    )
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.chat_template = source
    ends = [tokenizer.convert_tokens_to_ids(mark) for mark in (public.eos, *public.ids)]
    torch.manual_seed(0)
    save_llama(folder, tokenizer, hidden_size=48, max_position_embeddings=4096, eos_token_id=ends)


def rendered(chat: Chat, model: Path) -> bool:
    """Against transformers' own rendering, under the same date."""
    own = AutoTokenizer.from_pretrained(model)
    own.chat_template = frozen(own.chat_template)
    for system in ("Be brief.", ""):
        said = [*([("system", system)] if system else []), ("user", QUESTION)]
        text = own.apply_chat_template(
            chat.turns.messages(said), tokenize=False, add_generation_prompt=True
        )
        for prefix in ("", STEP):
            prompt = Prompt(system, QUESTION, prefix)
            ids = own(text + prefix, add_special_tokens=False)["input_ids"]
            if chat.render(prompt) != text + prefix or chat.encode(prompt) != ids:
                return False
    return True


def ends_equal(chat: Chat, public: Public) -> bool:
    """Training's last id is the mark that the model's description names, sampling stops at it, and
    a finished turn is followed by just what training puts there, as transformers renders it."""
    mark = chat.tokenizer.convert_tokens_to_ids(public.end)
    messages = chat.turns.messages([("user", QUESTION), ("assistant", STEP + REST)])
    whole = chat.tokenizer.apply_chat_template(messages, tokenize=False)
    after = whole.rpartition(REST)[2].strip() or public.end
    said = chat.tokenizer.decode(list(chat.end))
    return chat.end[-1] == mark and mark in chat.ends and after.startswith(said)


def trained_equals_sampled(chat: Chat, model: Path, trained: Path) -> bool:
    """`whorl train` teaches one solution by heart; then `whorl probe` gives it back, in as many
    tokens as it was trained on, and ends it by itself."""
    prompt = prompts.solve(QUESTION)
    ids, start = chat.encode_completion(prompt, STEP + REST)
    row = {
        "prompt": [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user},
        ],
        "completion": [{"role": "assistant", "content": STEP + REST}],
    }
    examples = trained.with_suffix(".jsonl")
    examples.write_text(json.dumps(row) + "\n")
    settings = [part for one in ("epochs=150", "lr=0.01") for part in ("--set", one)]
    call("train", "--model", model, "--examples", examples, "--out", trained, *settings)
    after = Chat.load(trained)
    same = after.encode_completion(prompt, STEP + REST) == (ids, start)
    said = call("probe", trained, "--question", QUESTION)
    told = f"({len(ids) - start:,} tokens, ended by eos)"
    return same and STEP + REST in said and told in said


def call(*words: object) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.output


if __name__ == "__main__":
    main()
