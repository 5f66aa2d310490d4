"""Examples in the columns that other trainers read; steps for reward models are in `stepwise`.

    trl             prompt + completion, or prompt + chosen + rejected, as messages: what SFTTrainer
                    and DPOTrainer (TRL 1.16) take as it is.
    llama-factory   instruction, input, system + output, or + chosen, rejected; and an entry in
                    `dataset_info.json` beside the file, without which its loader finds no data set.
    openrlhf        input + output, or chosen + rejected, as messages: `input_key input`,
                    `output_key output` and `apply_chat_template`; pairs need no key.
    sharegpt        conversations of from + value, the system prompt first; pairs as LLaMA-Factory
                    reads them, the two last turns in chosen and rejected.
    alpaca          instruction, input, output; the system prompt, if any, is the instruction and
                    the user's turn its input. It has no pairs.
    messages        messages, the answer last: what verl's and ART's supervised fine-tuning read,
                    and others; verl wants a `.parquet`. It has no pairs.

None of them can say three things of ours. All of them end the assistant's turn after a completion.
None knows a weight. None takes loss off the beginning of a turn, which is what a prefix asks for;
but in a pair the prefix stands in front of both completions, where its log-probabilities cancel in
DPO's difference (2305.18290, eq. 7), so there it becomes part of both. This holds for losses that
see nothing but that difference of sums, not for those that divide by the length (SimPO, ORPO, IPO
as TRL has it). `origin` is for our eyes and stays behind.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from whorl.ask import Prompt
from whorl.data.atomic import replacing
from whorl.errors import UserError
from whorl.example import Example, Pair

Format = Literal["trl", "llama-factory", "openrlhf", "sharegpt", "alpaca", "messages"]
ExportRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exported:
    """Counts of an export.

    rows: lines of the file.
    dropped: what was left out, reason -> count.
    changed: what is in the file, but not as it was, what was done -> count.
    """

    rows: int
    dropped: Mapping[str, int]
    changed: Mapping[str, int]


def export_examples(
    examples: Iterable[Example],
    out: Path,
    form: Format,
    *,
    drop_weights: bool = False,
    end_turns: bool = False,
) -> Exported:
    """Write examples, all of one kind, for another trainer. The file appears when it is complete.

    drop_weights: take weights above 0 as 1 and leave out the other examples, instead of refusing.
    end_turns: end the turns that go on, instead of leaving their examples out.
    Raises `UserError` at a weight other than 1 and at a second kind of example, and if nothing is
    left to write.
    """
    info = _read_info(out) if form == "llama-factory" else {}
    dropped: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    kinds: set[type] = set()

    def rows() -> Iterator[ExportRow]:
        for number, example in enumerate(examples, start=1):
            kinds.add(type(example))
            if len(kinds) > 1:
                raise UserError(
                    f"example {number} is not of the kind of those before it: {form} wants "
                    "completions or pairs, not both in one file"
                )
            if isinstance(example, Pair) and form in ("alpaca", "messages"):
                raise UserError(f"{form} has no columns for pairs; llama-factory and sharegpt do")
            if not isinstance(example, Pair) and example.weight != 1 and not drop_weights:
                raise UserError(
                    f"example {number} has the weight {example.weight:g}, which {form} cannot say: "
                    "`whorl train` reads weights; --drop-weights takes those above 0 as 1 and "
                    "leaves the others out"
                )
            if not isinstance(example, Pair) and example.taught:
                raise UserError(
                    f"example {number} is the model's own sample, to be taught by what a teacher "
                    f"says of its tokens, which {form} cannot say"
                )
            plain = _plain(example, end_turns, dropped, changed)
            if plain is not None:
                yield _COLUMNS[form](plain)

    count = write_rows(out, rows(), dropped)
    if form == "llama-factory":
        _write_info(out, info, ranking=Pair in kinds)
    return Exported(count, dropped, changed)


def write_rows(out: Path, rows: Iterable[ExportRow], dropped: Mapping[str, int]) -> int:
    """Write rows as JSON lines to a `.jsonl`, as one array to a `.json`, as a table to a
    `.parquet`; returns the number of rows.

    dropped: what `rows` has left out by its end, for the complaint if it gave nothing.
    """
    if out.suffix not in (".json", ".jsonl", ".parquet"):
        raise UserError(f"{out} must end in .jsonl, .json or .parquet: loaders go by the name")
    if out.suffix == ".parquet":
        return _write_table(out, list(rows), dropped)
    before, between, after = ("[\n", ",\n", "\n]\n") if out.suffix == ".json" else ("", "\n", "\n")
    count = 0
    with replacing(out) as file:
        for row in rows:
            file.write((between if count else before).encode())
            file.write(json.dumps(row, allow_nan=False).encode())
            count += 1
        if not count:
            raise _nothing(dropped)
        file.write(after.encode())
    return count


def _write_table(out: Path, rows: list[ExportRow], dropped: Mapping[str, int]) -> int:
    try:
        from pyarrow import Table, parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise UserError("a .parquet needs pyarrow: pip install 'whorl[hub]'") from error
    if not rows:
        raise _nothing(dropped)
    with replacing(out) as file:
        parquet.write_table(Table.from_pylist(rows), file)
    return len(rows)


def _nothing(dropped: Mapping[str, int]) -> UserError:
    reasons = "; ".join(f"{reason}: {n:,}" for reason, n in sorted(dropped.items()))
    return UserError(f"nothing to export ({reasons or 'there is nothing there'})")


def _plain(
    example: Example, end_turns: bool, dropped: Counter[str], changed: Counter[str]
) -> Example | None:
    """The example without prefix, weight and open end; None if that would be another example."""
    if isinstance(example, Pair):
        ended = example.chosen_ended and example.rejected_ended
    else:
        ended = example.ended
    reason = ""
    if not ended and not end_turns:
        reason = "the turn does not end"
    elif not isinstance(example, Pair) and example.prompt.prefix:
        reason = "goes on with a turn that has begun"
    elif not isinstance(example, Pair) and example.weight <= 0:
        reason = "weight not above 0"
    if reason:
        dropped[reason] += 1
        return None
    changed.update({"turn ended": 1} if not ended else {})
    prompt = example.prompt
    if not isinstance(example, Pair):
        changed.update({"weight taken as 1": 1} if example.weight != 1 else {})
        return replace(example, weight=1.0, ended=True)
    changed.update({"prefix made part of both completions": 1} if prompt.prefix else {})
    return Pair(
        Prompt(prompt.system, prompt.user),
        prompt.prefix + example.chosen,
        prompt.prefix + example.rejected,
    )


def _trl(example: Example) -> ExportRow:
    prompt = messages_of(example.prompt)
    if isinstance(example, Pair):
        return {
            "prompt": prompt,
            "chosen": [_answer(example.chosen)],
            "rejected": [_answer(example.rejected)],
        }
    return {"prompt": prompt, "completion": [_answer(example.text)]}


def _openrlhf(example: Example) -> ExportRow:
    """An example as OpenRLHF reads it: its DPO takes the last message off `chosen` to get the
    prompt."""
    prompt = messages_of(example.prompt)
    if isinstance(example, Pair):
        return {
            "chosen": [*prompt, _answer(example.chosen)],
            "rejected": [*prompt, _answer(example.rejected)],
        }
    return {"input": prompt, "output": [_answer(example.text)]}


def _llama_factory(example: Example) -> ExportRow:
    row = {
        "instruction": example.prompt.user,
        "input": "",
        "system": example.prompt.system,
    }
    if isinstance(example, Pair):
        return row | {"chosen": example.chosen, "rejected": example.rejected}
    return row | {"output": example.text}


def _sharegpt(example: Example) -> ExportRow:
    turns = [{"from": "human", "value": example.prompt.user}]
    if example.prompt.system:
        turns.insert(0, {"from": "system", "value": example.prompt.system})
    if isinstance(example, Pair):
        return {
            "conversations": turns,
            "chosen": {"from": "gpt", "value": example.chosen},
            "rejected": {"from": "gpt", "value": example.rejected},
        }
    return {"conversations": [*turns, {"from": "gpt", "value": example.text}]}


def _alpaca(example: Example) -> ExportRow:
    assert not isinstance(example, Pair)
    system, user = example.prompt.system, example.prompt.user
    instruction, context = (system, user) if system else (user, "")
    return {"instruction": instruction, "input": context, "output": example.text}


def _messages(example: Example) -> ExportRow:
    assert not isinstance(example, Pair)
    return {"messages": [*messages_of(example.prompt), _answer(example.text)]}


_COLUMNS: Mapping[Format, Callable[[Example], ExportRow]] = {
    "trl": _trl,
    "llama-factory": _llama_factory,
    "openrlhf": _openrlhf,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "messages": _messages,
}


def messages_of(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt as messages: the system's, if there is one, and the user's."""
    messages = [{"role": "user", "content": prompt.user}]
    if prompt.system:
        messages.insert(0, {"role": "system", "content": prompt.system})
    return messages


def _answer(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _read_info(out: Path) -> ExportRow:
    """Data sets that LLaMA-Factory knows in the folder; none if there is no list yet."""
    path = out.with_name("dataset_info.json")
    if out == path:
        raise UserError(f"{path} is where LLaMA-Factory's list goes; export to another name")
    try:
        info = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(info, dict):
        raise UserError(f"{path} is not a list of data sets as LLaMA-Factory keeps it")
    there = info.get(out.stem)
    if there is not None and (not isinstance(there, dict) or there.get("file_name") != out.name):
        raise UserError(f"{path} has another data set {out.stem!r}; export to another name")
    return info


def _write_info(out: Path, info: ExportRow, *, ranking: bool) -> None:
    """Add `out` to LLaMA-Factory's list, under its stem. Columns that are not named are not
    read."""
    columns = {"prompt": "instruction", "query": "input", "system": "system"}
    columns |= {"chosen": "chosen", "rejected": "rejected"} if ranking else {"response": "output"}
    entry = {
        "file_name": out.name,
        "formatting": "alpaca",
        "ranking": ranking,
        "columns": columns,
    }
    with replacing(out.with_name("dataset_info.json")) as file:
        file.write(json.dumps(info | {out.stem: entry}, indent=2).encode() + b"\n")
