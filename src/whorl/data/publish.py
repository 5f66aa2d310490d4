"""A harvested set as a data set of the Hugging Face Hub: a folder with its card, uploaded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from filecmp import cmp
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from whorl.data.atomic import filling
from whorl.data.examples import write_examples
from whorl.errors import UserError, reason
from whorl.example import Example, Pair

ROWS, README = "data/train.jsonl", "README.md"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""Classes of size, as the hub names them."""


@dataclass(frozen=True, slots=True)
class Card:
    """Content of the card of a data set, beside the rows.

    made: who made it, of which trees; settings: of the search, and of the harvest, flat.
    counts: tables by title, such as what was left out.
    remarks: what a reader must know to judge them.
    """

    recipe: str
    objective: str
    made: str
    settings: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    remarks: Sequence[str] = ()


def write_dataset(examples: Iterable[Example], folder: Path, card: Card) -> int:
    """Write the rows, in TRL's columns with weights and origins, and the card into a new folder;
    returns the number of rows. Raises `UserError` if the folder holds files, or if there are no
    examples."""
    rows = iter(examples)
    first = next(rows, None)
    if first is None:
        raise UserError("there are no examples to publish; `whorl harvest` writes them")
    with filling(folder, "the data set") as place:
        count = write_examples(place / ROWS, chain([first], rows), every=True)
        text = _text(card, count, pairs=isinstance(first, Pair))
        (place / README).write_text(text, encoding="utf-8")
    return count


def holds_dataset(examples: Iterable[Example], folder: Path, card: Card) -> int:
    """Number of rows of the data set in `folder`, if it is what `write_dataset` would write and
    holds nothing else; 0 if not."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return 0
    with TemporaryDirectory() as place:
        anew = Path(place) / "set"
        rows = write_dataset(examples, anew, card)
        names = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        same = names == {Path(ROWS), Path(README)} and all(
            cmp(folder / name, anew / name, shallow=False) for name in names
        )
    return rows if same else 0


def _text(card: Card, rows: int, *, pairs: bool) -> str:
    size = next((name for limit, name in SIZES if rows < limit), "n>1M")
    columns = {
        "prompt": "the conversation so far, as messages",
        **(
            {"chosen, rejected": "two completions, the first preferred"}
            if pairs
            else {
                "completion": "the assistant's turn, as messages",
                "weight": "of its likelihood; 1 where it is not there; may be negative",
            }
        ),
        "prefix": "what the assistant's turn begins with, which carries no loss; often empty",
        "origin": "problem id, arm and node of the tree it came from",
    }
    head = [
        "---",
        "task_categories: [text-generation]",
        f"tags: [whorl, math, {'preference' if pairs else 'sft'}]",
        f"size_categories: ['{size}']",
        "configs:",
        "- config_name: default",
        f"  data_files: [{{split: train, path: {ROWS}}}]",
        "---",
    ]
    parts = [
        f"# {rows:,} {'preferences' if pairs else 'solutions'} harvested by whorl",
        f"Recipe `{card.recipe}`, objective `{card.objective}`. {card.made}",
        "Read with `datasets.load_dataset`. Do not measure on the questions that it holds.",
        _section("Columns", columns),
        *(_section(title, counts) for title, counts in card.counts.items() if counts),
        *(
            ["## Read with care\n\n" + "\n".join(f"- {line}" for line in card.remarks)]
            if card.remarks
            else []
        ),
        *([_section("Settings", card.settings)] if card.settings else []),
    ]
    return "\n".join(head) + "\n\n" + "\n\n".join(parts) + "\n"


def _section(title: str, lines: Mapping[str, object]) -> str:
    rows = "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in lines.items())
    return f"## {title}\n\n| | |\n| --- | --- |\n{rows}"


def _cell(value: object) -> str:
    said = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(said.split()).replace("|", "\\|").replace("<", "&lt;")


def push_to_hub(folder: Path, repository: str, *, public: bool) -> str:
    """Upload the folder of a data set as `OWNER/NAME`, which is made if it is not there; returns
    its address. Who uploads is known to huggingface_hub, by `hf auth login` or `HF_TOKEN`.

    Raises `UserError` if the hub refuses, or cannot be reached.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise UserError("pushing needs huggingface_hub: pip install 'whorl[hub]'") from error
    hub = HfApi()
    try:
        hub.create_repo(repository, repo_type="dataset", private=not public, exist_ok=True)
        made = hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            repo_type="dataset",
            commit_message="Examples harvested by whorl",
        )
    except Exception as error:  # of the client, of the network, of the hub
        raise UserError(f"{repository} was not written to: {reason(error)}") from error
    return str(made.commit_url)
