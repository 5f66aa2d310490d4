"""The first hour of a new user: how soon commands speak, whether help is right, what an install
takes, and whether a budget holds.

Prints one JSON object as its last line:

commands: commands there are.
help_examples_ok: share of the examples in help that run as they stand, in one fresh folder.
first_output_s: seconds to the first line of the slowest command; each is tried three times.
light_install_mb: size of a fresh environment with `pip install whorl`; null without --install.
budget_overrun: the most that a budget was overrun by, as a share of it, over all recipes and
    budgets of 2 to 200 times what a search costs, with 256 searches in flight; where it was by less
    than one search, 0 counts.
finished_share: the least share of the trees that the same budget finishes with one search in
    flight.

    python benchmarks/first_hour.py --install
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typer.testing import CliRunner

from whorl.budget import SPENT, Budget
from whorl.budget.purse import Purse
from whorl.cli import EXAMPLES, app
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.recipe import Recipe, arms_of
from whorl.recipes import RECIPES, find_recipe

ROOT = Path(__file__).parents[1]
ROLES = ("policy", "critic", "reviser", "teacher", "small", "prm", "judge")
TIMES = (2, 3, 5, 10, 20, 50, 100, 200)
LONG = ("demo", "compare")
"""Commands whose examples take minutes and are left out unless --all."""
SPOKEN = (
    "grow --recipe rft --problems problems.jsonl --policy policy --run a",
    "run run.toml",
    "run run.toml --dry-run",
    "evaluate --model policy --problems test.jsonl --out e.jsonl",
    "train --model policy --examples runs/a/examples.jsonl --out again",
    "harvest runs/a",
    "export --format trl runs/a --out b.jsonl",
    "probe policy",
    "prompts --recipe sigma",
    "compare --preset smoke --run c",
    "demo --smoke --run d",
    "judge pairs.jsonl",
    "report runs/a",
    "show runs/a",
    "status runs/a",
    "view runs/a --port 0",
    "merge runs/a",
    "plan run.toml",
    "table before.jsonl after.jsonl",
    "adopt openr.jsonl --run o",
    "fetch policy --out f",
    "problems --split pool -n 5 --out q.jsonl",
    "init --problems problems.jsonl --policy policy --out r.toml",
)


def bring_own_files(folder: Path) -> None:
    """What only the owner of a folder can bring: a table, answers to judge, trees of OpenR."""
    (folder / "mine.csv").write_text("problem,solution\nWhat is 1+1?,2\n")
    pair = {"id": "a", "gold": "1/2", "prediction": "\\boxed{0.5}"}
    (folder / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    end = {"text": "It is \\boxed{4}.", "mc_value": 1.0, "children": []}
    root = {"text": "What is 2 + 2?", "mc_value": 1.0, "children": [end]}
    line = {"question": root["text"], "answer": "4", "tree": root}
    (folder / "openr.jsonl").write_text(json.dumps(line) + "\n")


def run_examples(url: str, left_out: tuple[str, ...] = ()) -> tuple[int, dict[str, str]]:
    """Run the examples of all commands in the current folder; who needs what another one writes
    comes again after it. Returns how many there are, and what those said that never ran.

    url: of a server, in place of the one at port 8000 that examples name.
    """
    waiting = [each for name, own in EXAMPLES.items() if name not in left_out for each in own]
    count, refused = len(waiting), {}
    while waiting:
        before, refused = waiting, {}
        for example in before:
            words = shlex.split(example.partition(" | ")[0])[1:]
            words = [word.replace("http://localhost:8000/v1", url) for word in words]
            if words[0] == "view" and "--bundle" not in words:  # serves until it is stopped
                if "http://" not in (said := first_line(words, Path.cwd())):
                    refused[example] = said
                continue
            result = CliRunner().invoke(app, words)
            if result.exit_code:
                refused[example] = result.output
        waiting = list(refused)
        if len(waiting) == len(before):
            break
    return count, refused


@contextmanager
def object_store() -> Iterator[None]:
    """An S3 server on this machine (moto's), with the bucket that examples name."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    said = {"ENDPOINT_URL": f"http://{host}:{port}", "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}
    os.environ |= {f"AWS_{name}": value for name, value in said.items()}
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    fsspec.filesystem("s3").mkdir("bucket")
    try:
        yield
    finally:
        server.stop()


def first_output(words: list[str], folder: Path) -> float:
    """Seconds until a command says its first line; it is ended then."""
    start = time.monotonic()
    first_line(words, folder)
    return time.monotonic() - start


def first_line(words: list[str], folder: Path) -> str:
    """The first line that a command says; it is ended then."""
    with subprocess.Popen(
        [sys.executable, "-m", "whorl", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        child.kill()
    return said


def light_install(folder: Path) -> int:
    """Megabytes of a fresh environment with a wheel of this whorl and what it needs."""
    pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT))
    subprocess.run(pip, check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    subprocess.run([folder / "env" / "bin" / "pip", "install", "-q", wheel], check=True)
    bytes_of = (path.lstat().st_size for path in (folder / "env").rglob("*"))
    return round(sum(bytes_of) / 1e6)


def driven(recipe: Recipe, tokens: int | None, width: int, problems: int) -> tuple[int, list[int]]:
    """Trees that a budget of tokens lasts for, and what each search cost."""
    purse = Purse(Budget(tokens=tokens), samples_at_most=recipe.samples_at_most)
    engines = dict.fromkeys(ROLES, purse.wrap(Function(toy.answer)))
    searches = ((problem.id, recipe.grow(problem)) for problem in toy.problems(problems))
    trees, costs = 0, []
    for found in drive(searches, engines, width=width, lasts_for=purse.lasts_for):
        costs.append(sum(found.cost.values()))
        trees += found.error is None
        if found.error != SPENT.error:
            purse.finish()
    return trees, costs


def budgets() -> Iterator[tuple[float, float]]:
    """The overrun of each recipe and budget, and the share of width 1's trees."""
    for name in RECIPES:
        recipe = next(iter(arms_of(find_recipe(name)()).values()))
        _, costs = driven(recipe, None, 1, 30)
        for times in TIMES:
            tokens = times * sum(costs) // len(costs)
            alone, _ = driven(recipe, tokens, 1, 2 * times + 20)
            trees, spent = driven(recipe, tokens, 256, 2 * times + 20)
            over = sum(spent) - tokens
            share = 0.0 if over < sum(costs) / len(costs) else over / tokens
            print(f"{name}: {times} times: {trees} trees, {alone} alone, {over:+} tokens")
            yield share, trees / alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", help="install into a fresh environment")
    parser.add_argument("--all", action="store_true", help="examples that take minutes too")
    chosen = parser.parse_args()
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import rig  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as name, rig.running(rig.Rig()) as url:
        folder = Path(name)
        os.chdir(folder)
        bring_own_files(folder)
        with object_store():
            count, refused = run_examples(url, () if chosen.all else LONG)
        for example, said in refused.items():
            print(f"{example}: {said.strip()}")
        seconds = {
            words: min(first_output(shlex.split(words), folder) for _ in range(3))
            for words in SPOKEN
        }
        for words, took in seconds.items():
            print(f"{took:.2f} s: whorl {words}")
        os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as name:
        size = light_install(Path(name)) if chosen.install else None
    overruns, shares = zip(*budgets(), strict=True)
    said = {
        "commands": len(EXAMPLES),
        "help_examples_ok": round(1 - len(refused) / count, 3),
        "first_output_s": round(max(seconds.values()), 2),
        "light_install_mb": size,
        "budget_overrun": round(max(overruns), 4),
        "finished_share": round(min(shares), 3),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
