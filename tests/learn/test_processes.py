"""Several processes, as `torchrun` and `accelerate launch` start them: one training, one result."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
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


def start(launcher: list[str], *commands: list[str]) -> subprocess.Popen[str]:
    """Carry out commands, one after the other, in processes of a launcher."""
    program = ["-m", "whorl", *commands[0]]
    if len(commands) > 1:
        program = [SEVERAL, json.dumps(commands)]
    return subprocess.Popen(
        [sys.executable, *launcher, *program],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def run(launcher: list[str], *commands: list[str]) -> None:
    process = start(launcher, *commands)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert errors.count("wrote ") == len(commands)  # one process speaks


@pytest.fixture(scope="module")
def commands(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Command]:
    """A command for each task, in a folder of its own, after two processes, and of some two that
    share the weights, have trained in `two` and in `sharded`."""
    home = tmp_path_factory.mktemp("processes")
    found = {task: Command(tiny_model, home / task, task) for task in TASKS}
    run(TORCHRUN, *(command.arguments("two") for command in found.values()))
    (home / "fsdp.yaml").write_text(FSDP)
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(home / "fsdp.yaml")]
    run(launcher, *(found[task].arguments("sharded") for task in SHARDED))
    return found


def losses(out: Path) -> tuple[float, float | None]:
    result = json.loads((out / "training.json").read_text())["result"]
    return result["loss"], result["held_out"]


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_come_to_what_one_comes_to(
    tiny_model: Path, commands: dict[str, Command], apart: Apart, task: str
) -> None:
    command, folder = commands[task], commands[task].folder
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
    tiny_model: Path, tmp_path: Path, apart: Apart
) -> None:
    killed = [Command(tiny_model, tmp_path / task, task) for task in ("likelihood", "preference")]
    for command in killed:
        process = start(TORCHRUN, command.arguments("out", "epochs=12"))
        kill_at_a_checkpoint(process, command.folder / "out.partial")
        assert not (command.folder / "out").exists()
    outs = ("out", "undisturbed")
    run(TORCHRUN, *(each.arguments(out, "epochs=12") for each in killed for out in outs))
    for command in killed:
        assert apart(command.folder / "out", command.folder / "undisturbed") == 0


def kill_at_a_checkpoint(process: subprocess.Popen[str], partial: Path) -> None:
    """Kill a launcher and all that it started once they have written a checkpoint."""
    deadline = time.monotonic() + 200
    while not any(partial.glob("checkpoint-*/trainer_state.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    launched = psutil.Process(process.pid)
    for each in (*launched.children(recursive=True), launched):
        each.kill()
    process.communicate()


@pytest.mark.parametrize("task", SHARDED)
def test_sharded_weights_come_to_the_same(
    tiny_model: Path, commands: dict[str, Command], apart: Apart, task: str
) -> None:
    """FSDP2 on the CPU; the result is an ordinary folder."""
    command = commands[task]
    alone, sharded = command.alone("alone"), command.folder / "sharded"
    assert apart(sharded, alone) < ROUNDING < 1e-3 * apart(sharded, tiny_model)
    assert losses(sharded) == pytest.approx(losses(alone), abs=1e-6)
    assert sorted(p.name for p in sharded.iterdir()) == sorted(p.name for p in alone.iterdir())
    assert AutoModelForCausalLM.from_pretrained(sharded).num_parameters()
    assert Chat.load(sharded).tokenizer.chat_template


def test_trouble_is_told_once(tiny_model: Path, tmp_path: Path) -> None:
    """The launcher adds a word of its own; the command's line stands there once."""
    command = Command(tiny_model, tmp_path / "likelihood", "likelihood")
    process = start(TORCHRUN, command.arguments("out", "objective.kl=0"))
    _, errors = process.communicate(timeout=100)
    assert process.returncode != 0
    assert len(re.findall("^error: 33% of the examples have a negative weight", errors, re.M)) == 1
    assert [path.name for path in command.folder.glob("out*")] == ["out.events.jsonl"]
