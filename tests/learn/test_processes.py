"""Several processes, as `torchrun` and `accelerate launch` start them: one training, one result."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tests.learn.several import play_as_one_of_two
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.cli import app
from whorl.data.examples import write_examples
from whorl.example import Pair, Weighted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # starting takes long where others run

Apart = Callable[[Path, Path], float]

SINGLE = [
    Weighted(
        Prompt("", f"Problem: Mia has {n} apples and buys {n % 4}."),
        f"Mia has {n}+{n % m}={n + n % m} apples.",
        weight,
    )
    for n in range(10, 22)
    for m, weight in ((4, 1.0), (5, 0.5), (3, -0.25))
]
PAIRS = [
    Pair(example.prompt, example.text, "Mia has apples." + "\n\nThe answer is." * (number % 3))
    for number, example in enumerate(SINGLE)
]
TASKS = {
    "likelihood": (SINGLE, ["objective.kl=0.5"]),
    "preference": (PAIRS, ["objective.nll=0.1"]),
    "held out": (PAIRS, ["holdout=0.3"]),
    "adapters": (SINGLE, ["objective.kl=0.5", "lora.rank=4"]),
}
SHARDED = ("likelihood", "preference", "held out")
STEPS = ["batch=16", "epochs=2", "lr=1e-3", "warmup=0.0", "save_steps=2", "tokens=100"]
"""So few tokens in a pass that every process has several of them in a step."""

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
FSDP = """\
distributed_type: FSDP
use_cpu: true
num_processes: 2
mixed_precision: 'no'
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_transformer_layer_cls_to_wrap: LlamaDecoderLayer
  fsdp_state_dict_type: FULL_STATE_DICT
  fsdp_reshard_after_forward: true
"""

ROUNDING = 1e-6
"""Largest difference between weights, of steps that move them by more than a thousand times that:
processes add up a step's gradient in another order, and AdamW makes much of small differences."""


SEVERAL = str(Path(__file__).with_name("several.py"))
"""What a launcher starts: commands one after the other, as starting takes longest."""
PRELOADED = ["whorl.learn.train", "transformers.models.llama.modeling_llama"]


@dataclass(frozen=True)
class Command:
    """`whorl train` of one task."""

    model: Path
    folder: Path
    task: str

    def __post_init__(self) -> None:
        self.folder.mkdir()
        write_examples(self.folder / "examples.jsonl", TASKS[self.task][0])

    def alone(self, out: str) -> Path:
        """In this process."""
        done = CliRunner().invoke(app, self.arguments(out))
        assert done.exit_code == 0, done.stderr
        return self.folder / out

    def arguments(self, out: str, *more: str) -> list[str]:
        folders = ("--model", self.model, "--out", self.folder / out)
        told = [*STEPS, *TASKS[self.task][1], *more]
        return [
            *("train", "--examples", str(self.folder / "examples.jsonl"), *map(str, folders)),
            *(part for setting in told for part in ("--set", setting)),
        ]


def launch(launcher: list[str], *commands: list[str]) -> tuple[int, str]:
    """Carry out commands, one after the other, in processes of a launcher; with what it exits, and
    what they say."""
    done = subprocess.run(
        [sys.executable, *launcher, SEVERAL, json.dumps(commands)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
    )
    return done.returncode, done.stderr


@dataclass(frozen=True)
class Launched:
    """What launchers left behind. by_task: commands, whose outputs are there. refused: a command
    that `code` and `errors` are of."""

    by_task: dict[str, Command]
    refused: Command
    code: int
    errors: str


@pytest.fixture(scope="module")
def launched(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Launched:
    """A command for each task, in a folder of its own, after two processes, and of some two that
    share the weights, have trained in `two` and in `sharded`; the two were told to do more then,
    which is refused."""
    home = tmp_path_factory.mktemp("processes")
    found = {task: Command(tiny_model, home / task, task) for task in TASKS}
    refused = Command(tiny_model, home / "refused", "likelihood")
    wrong = refused.arguments("out", "objective.kl=0")
    code, errors = launch(TORCHRUN, *(each.arguments("two") for each in found.values()), wrong)
    assert errors.count("wrote ") == len(found), errors  # one process speaks
    (home / "fsdp.yaml").write_text(FSDP)
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(home / "fsdp.yaml")]
    finished, said = launch(launcher, *(found[task].arguments("sharded") for task in SHARDED))
    assert (finished, said.count("wrote ")) == (0, len(SHARDED)), said
    return Launched(found, refused, code, errors)


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[BaseProcess]]:
    """Starts two processes that carry out commands, told what launchers tell those that they start.
    They are forks of one that has loaded what training takes, so they begin at once."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def start(*commands: list[str]) -> list[BaseProcess]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        said = tmp_path / "said.txt"
        both = [
            context.Process(target=play_as_one_of_two, args=(rank, port, said, commands))
            for rank in range(2)
        ]
        for process in both:
            process.start()
        return both

    return start


def losses(out: Path) -> tuple[float, float | None]:
    result = json.loads((out / "training.json").read_text())["result"]
    return result["loss"], result["held_out"]


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_come_to_what_one_comes_to(
    tiny_model: Path, launched: Launched, apart: Apart, task: str
) -> None:
    command, folder = launched.by_task[task], launched.by_task[task].folder
    alone, two = command.alone("alone"), folder / "two"
    assert apart(two, alone) < ROUNDING < 1e-3 * apart(two, tiny_model)
    assert losses(two) == pytest.approx(losses(alone), abs=1e-6)
    assert sorted(p.name for p in two.iterdir()) == sorted(p.name for p in alone.iterdir())
    outs = ["alone", "two", *(["sharded"] if task in SHARDED else [])]
    made = {"examples.jsonl", *outs, *(f"{out}.events.jsonl" for out in outs)}
    assert {p.name for p in folder.iterdir()} == made
    begun = (folder / "two.events.jsonl").read_text().count('"event":"begin"')
    assert begun == 1  # the first process alone tells


def test_two_killed_processes_go_on_to_the_same_weights(
    tiny_model: Path, tmp_path: Path, apart: Apart, two: Callable[..., list[BaseProcess]]
) -> None:
    killed = [Command(tiny_model, tmp_path / task, task) for task in ("likelihood", "preference")]
    for command in killed:
        both = two(command.arguments("out", "epochs=12"))
        kill_at_a_checkpoint(both, command.folder / "out.partial")
        assert not (command.folder / "out").exists()
    outs = ("out", "undisturbed")
    both = two(*(each.arguments(out, "epochs=12") for each in killed for out in outs))
    for process in both:
        process.join(600)
    said = (tmp_path / "said.txt").read_text()
    assert [process.exitcode for process in both] == [0, 0], said
    assert said.count("wrote ") == 4  # one process speaks
    for command in killed:
        assert apart(command.folder / "out", command.folder / "undisturbed") == 0


def kill_at_a_checkpoint(both: list[BaseProcess], partial: Path) -> None:
    """Kill processes once they have written a checkpoint."""
    deadline = time.monotonic() + 200
    while not any(partial.glob("checkpoint-*/trainer_state.json")):
        assert all(process.is_alive() for process in both) and time.monotonic() < deadline
        time.sleep(0.01)
    for process in both:
        process.kill()
    for process in both:
        process.join()


@pytest.mark.parametrize("task", SHARDED)
def test_sharded_weights_come_to_the_same(
    tiny_model: Path, launched: Launched, apart: Apart, task: str
) -> None:
    """FSDP2 on the CPU; the result is an ordinary folder."""
    command = launched.by_task[task]
    alone, sharded = command.alone("alone"), command.folder / "sharded"
    assert apart(sharded, alone) < ROUNDING < 1e-3 * apart(sharded, tiny_model)
    assert losses(sharded) == pytest.approx(losses(alone), abs=1e-6)
    assert sorted(p.name for p in sharded.iterdir()) == sorted(p.name for p in alone.iterdir())
    assert AutoModelForCausalLM.from_pretrained(sharded).num_parameters()
    assert Chat.load(sharded).tokenizer.chat_template


def test_trouble_is_told_once(launched: Launched) -> None:
    """The launcher adds a word of its own; the command's line stands there once."""
    assert launched.code != 0
    told = "^error: 33% of the examples have a negative weight"
    assert len(re.findall(told, launched.errors, re.M)) == 1
    assert not list(launched.refused.folder.glob("out*"))
