"""Searches on a real Ray cluster of several raylets on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'whorl[cluster]'")

from tests.compare.watching import Heard  # noqa: E402

from whorl import settings  # noqa: E402
from whorl.cli.plan import describe_run  # noqa: E402
from whorl.compare.comparison import Comparison  # noqa: E402
from whorl.compare.methods import methods, select_methods  # noqa: E402
from whorl.compare.play import play_comparison  # noqa: E402
from whorl.data.problems import write_problems  # noqa: E402
from whorl.data.synthetic import problems  # noqa: E402
from whorl.engines.cluster import Address, crew  # noqa: E402
from whorl.engines.cluster.crew import on_cluster  # noqa: E402
from whorl.engines.cluster.fleet import Fleet  # noqa: E402
from whorl.engines.cluster.worker import Setup  # noqa: E402
from whorl.engines.journal import Journal  # noqa: E402
from whorl.engines.roles import Engines  # noqa: E402
from whorl.errors import UserError  # noqa: E402
from whorl.evaluate import Decoding  # noqa: E402
from whorl.loop.folder import RunFolder  # noqa: E402
from whorl.loop.grow import Grown, GrowPlan, grow, ready  # noqa: E402
from whorl.loop.run import Run  # noqa: E402
from whorl.loop.split import problems_of  # noqa: E402
from whorl.models import POLICY  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.timeout(600),
]

T = TypeVar("T")

DEADLY = """
import os, signal
from dataclasses import dataclass
from pathlib import Path
from whorl.recipes.rft import Rft

@dataclass(frozen=True)
class Deadly(Rft):
    victim: str = ""

    def grow(self, problem, last=None):
        tree = yield from super().grow(problem, last)
        if problem.id == self.victim:
            os.kill(os.getpid(), signal.SIGKILL)
        return tree
"""


SERVER = """
import os, sys

rig, seen, folder, *given = sys.argv[1:]
with open(seen, "a") as file:
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    file.write(f"{os.getpid()} {folder} {' '.join(given)} {gpus}\\n")
if "broken" in folder:
    sys.exit("no such weights")
port = next(each for each in given if each.startswith("--port="))
os.execv(sys.executable, [
    *(sys.executable, rig, "--host", "0.0.0.0", port, "--model", "whorl"),
    *("--latency", "0.1", "--tokenizer", folder),
])
"""


LARGE = """
from whorl.recipes.rft import Rft

class Large(Rft):
    def grow(self, problem, last=None):
        tree = yield from super().grow(problem, last)
        tree.nodes[0].note = "x" * 4_000_000
        return tree
"""


def started(start: Callable[..., T], cpus: int, **more: Any) -> T:
    """Start a machine of so many processors. A raylet gives up on the agents beside it after 15 s,
    whatever else the computer does."""
    said = {
        "num_cpus": cpus,
        "object_store_memory": 80 << 20,
        "include_log_monitor": False,
        "no_monitor": True,
    }
    for _ in range(5):
        with suppress(Exception):
            return start(**said, **more)
    return start(**said, **more)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without room for workers, and one machine with room for two."""
    from ray.cluster_utils import Cluster

    def head(**said: Any) -> Any:
        return Cluster(initialize_head=True, head_node_args=said)

    made = started(head, 0, include_dashboard=False)
    started(made.add_node, 2)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def url(rig: Any) -> Iterator[str]:
    with rig.running(rig.Rig(latency=0.02, slots=32)) as found:
        yield found


@pytest.fixture
def run(tmp_path: Path, url: str) -> Callable[..., Run]:
    write_problems(tmp_path / "p.jsonl", problems("pool", 40, seed=0, levels=[1]))

    def made(name: str, recipe: str = "rft", **changed: Any) -> Run:
        own = {"uct": {"simulations": 1}} if recipe == "sigma" else {"samples": 4}
        said = settings.read_recipe({"name": recipe, **own, **changed})
        folder, file = tmp_path / name, tmp_path / "p.jsonl"
        return Run(folder, file, Engines(*[f"server:{url}"] * 3), said, width=4)

    return made


Act = Callable[[Any, int], None]


def grown(run: Run, cluster: Any = None, act: Act = lambda crew, ended: None) -> Grown:
    """Grow the trees of a run, here or on a cluster. act: called with the crew and how many have
    ended, whenever one has."""
    place = {}
    if cluster:
        address = Address.read(f"{cluster.address}?tries=2")
        place = {"place": lambda engines: on_cluster(address, run.folder.parent, engines)}
    with ready(run, **place) as prepared, RunFolder.open(run.folder, {}, version="t") as folder:
        drive = prepared.crew.drive

        def watched(*args: Any, **kwargs: Any) -> Iterator[Any]:
            for ended, finished in enumerate(drive(*args, **kwargs), 1):
                yield finished
                act(prepared.crew, ended)

        prepared.crew.drive = watched  # type: ignore[method-assign]
        return grow(folder, problems_of(run), GrowPlan.of(run), prepared.crew)


def test_trees_are_those_of_one_machine_whoever_dies_joins_and_leaves(
    cluster: Any, run: Callable[..., Run]
) -> None:
    alone, many = run("alone"), run("many")
    assert grown(alone).trees == 40
    nodes: list[Any] = []

    def trouble(crew: Any, ended: int) -> None:
        if ended == 5:
            os.kill(int(crew.hands[0].said["pid"]), signal.SIGKILL)
            nodes.append(started(cluster.add_node, 1))
        elif ended == 20:
            cluster.remove_node(nodes[0])

    found = grown(many, cluster, trouble)
    assert nodes
    assert (found.trees, found.failures) == (40, {})
    assert (many.folder / "trees.jsonl").read_bytes() == (alone.folder / "trees.jsonl").read_bytes()


def test_what_kills_workers_is_set_aside_and_the_rest_is_grown(
    cluster: Any, run: Callable[..., Run], tmp_path: Path
) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    victim = next(problems_of(run("x"))).id
    found = grown(run("deadly", f"{tmp_path}/deadly.py:Deadly", victim=victim), cluster)
    assert found.trees == 39
    ((key, why),) = found.failures.items()
    assert key.startswith(victim) and "set aside: workers died over it" in why


def test_trees_that_are_more_than_the_object_store_holds_all_come_home(
    cluster: Any, run: Callable[..., Run], tmp_path: Path
) -> None:
    (tmp_path / "large.py").write_text(LARGE)
    large = run("large", f"{tmp_path}/large.py:Large")
    found = grown(large, cluster, lambda crew, ended: time.sleep(1.0) if ended == 1 else None)
    assert (found.trees, found.failures) == (40, {})
    assert (large.folder / "trees.jsonl").stat().st_size > 160_000_000  # of 80 MiB a machine


def test_a_run_goes_on_with_other_workers_in_the_middle_of_its_trees(
    cluster: Any, run: Callable[..., Run]
) -> None:
    alone, many = run("alone", "sigma"), run("many", "sigma")
    assert grown(alone).trees == 80

    class Stop(Exception):
        pass

    def stop(crew: Any, ended: int) -> None:
        if ended == 10:
            raise Stop

    with pytest.raises(Stop):
        grown(many, cluster, stop)
    before = (many.folder / "trees.jsonl").read_bytes().count(b"\n")
    found = grown(many)  # on one machine
    assert found.trees == 80 > before >= 10
    assert found.recalled > 0
    assert (many.folder / "trees.jsonl").read_bytes() == (alone.folder / "trees.jsonl").read_bytes()


def test_what_ray_says_of_a_dead_worker_is_not_among_what_the_command_prints(
    cluster: Any, run: Callable[..., Run], tmp_path: Path
) -> None:
    like = run("printed")
    command = grow_on(cluster.address, like, 1)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    trees = like.folder / "trees.jsonl"
    try:
        while child.poll() is None and not (trees.exists() and trees.stat().st_size):
            time.sleep(0.02)
        workers(cluster)[0].kill()
        out, _ = child.communicate()
    finally:
        child.kill()
    said = json.loads(out)  # one object and nothing else
    assert said["exit"] == 0 and said["printed"] == []
    assert trees.read_bytes().count(b"\n") == 40


@pytest.fixture
def serving(rig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Simulated servers in vLLM's place; what each was started with, its process first."""
    script, seen = tmp_path / "server.py", tmp_path / "served.txt"
    script.write_text(SERVER)
    program = (sys.executable, str(script), rig.__file__, str(seen))
    monkeypatch.setattr("whorl.engines.cluster.fleet.PROGRAM", program)
    monkeypatch.setattr("whorl.engines.cluster.fleet.LOOK", 0.5)
    monkeypatch.setattr("whorl.engines.cluster.fleet.ROOM", 1.0)
    return lambda: seen.read_text().splitlines()


def alive(served: list[str]) -> list[int]:
    """Processes of servers that run."""
    return [int(line.split()[0]) for line in served if psutil.pid_exists(int(line.split()[0]))]


def gone(served: Callable[[], list[str]]) -> bool:
    """Whether no server runs, or soon none does."""
    end = time.monotonic() + 30
    while alive(served()) and time.monotonic() < end:
        time.sleep(0.1)
    return not alive(served())


def test_trees_grow_on_servers_that_ray_starts_whichever_of_them_die(
    cluster: Any, run: Callable[..., Run], rig: Any, serving: Callable[[], list[str]]
) -> None:
    alone, many = run("alone"), run("many")
    with rig.running(rig.Rig(tokenizer=str(POLICY))) as there:
        assert grown(replace(alone, engines=Engines(f"server:{there}"))).trees == 40

    def trouble(crew: Any, ended: int) -> None:
        if ended == 3:
            os.kill(alive(serving())[0], signal.SIGKILL)
            while len(serving()) < 3:  # it comes back where it was
                time.sleep(0.1)
        elif ended == 12:
            for replica in actors_of(cluster, "Replica"):  # these come back elsewhere
                replica.kill()

    policy = f"replicas:{POLICY}?count=2&gpus=0&max_model_len=2048"
    found = grown(replace(many, engines=Engines(policy)), cluster, trouble)
    assert (found.trees, found.failures) == (40, {})
    assert (many.folder / "trees.jsonl").read_bytes() == (alone.folder / "trees.jsonl").read_bytes()
    assert len(serving()) == 5
    assert all("--served-model-name=whorl --max-model-len=2048" in line for line in serving())
    assert gone(serving)


def test_servers_take_the_weights_of_the_next_round(
    cluster: Any,
    tmp_path: Path,
    serving: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engines = Engines(f"replicas:{POLICY}?gpus=0")
    monkeypatch.chdir(tmp_path)  # the raylets were started in another folder
    learned, broken = Path("learned"), Path("broken")
    for folder in (learned, broken):
        shutil.copytree(POLICY, folder)
    with on_cluster(Address.read(cluster.address), tmp_path, engines) as crews:
        crews.crew("policy")
        crews.follow(engines.taught(learned))
        crews.crew("policy")
        first, second = serving()
        assert (str(POLICY), str(learned)) == (first.split()[1], second.split()[1])
        assert alive(serving()) == [int(second.split()[0])]
        crews.rest()  # a model is about to be trained
        assert gone(serving)
        crews.follow(engines.taught(broken))
        with pytest.raises(UserError, match="ended 3 times before it answered: no such weights"):
            crews.crew("policy")
        crews.follow(Engines(f"replicas:{POLICY}?count=2&gpus=4"))
        with pytest.raises(UserError, match=r"no room for 2 servers of .* with 4 GPUs each"):
            crews.crew("policy")


def test_each_server_has_gpus_of_its_own(
    cluster: Any, tmp_path: Path, serving: Callable[[], list[str]]
) -> None:
    node = started(cluster.add_node, 0, num_gpus=4)
    engines = Engines(f"replicas:{POLICY}?count=2&tensor_parallel_size=2")
    with on_cluster(Address.read(cluster.address), tmp_path, engines) as crews:
        crews.crew("policy")
        gpus = [line.split()[-1].split(",") for line in serving()]
    assert sorted(each for some in gpus for each in some) == ["0", "1", "2", "3"]
    cluster.remove_node(node)


def test_a_dry_run_opens_engines_where_the_run_would(
    cluster: Any,
    run: Callable[..., Run],
    serving: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    like = replace(run("dry"), engines=Engines(f"replicas:{POLICY}?gpus=0"))
    place = partial(on_cluster, Address.read(cluster.address), like.folder.parent)
    describe_run(like, settings.as_table, place)
    assert "the engines open; nothing was written" in capsys.readouterr().out
    assert len(serving()) == 1 and gone(serving)
    assert not like.folder.exists() and not [*like.folder.parent.glob(".probe*")]


def test_a_stage_ends_though_its_last_workers_were_sent_away(
    cluster: Any, run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = Engines(run("x").engines.policy)
    with (
        on_cluster(Address.read(cluster.address), tmp_path, engines) as crews,
        Journal(tmp_path / "journal.db") as journal,
    ):
        crew = crews.crew("policy")
        moves = iter([True])  # as when a server comes up elsewhere just then
        monkeypatch.setattr(Fleet, "moved", lambda self: next(moves, False))
        assert [*crew.drive([], journal)] == []


def test_a_cluster_of_this_machine_alone_leaves_another_one_in_peace(
    cluster: Any, run: Callable[..., Run]
) -> None:
    like = run("beside")
    seen = []
    with subprocess.Popen(
        grow_on("local:1", like, 4),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"RAY_ADDRESS": cluster.address},
    ) as child:
        while child.poll() is None:
            seen += workers(cluster)
            time.sleep(0.1)
    assert (child.returncode, seen) == (0, [])
    assert (like.folder / "trees.jsonl").read_bytes().count(b"\n") == 40


def grow_on(address: str, like: Run, width: int) -> list[str]:
    """The command that grows the trees of a run on a cluster."""
    return [
        *(sys.executable, "-m", "whorl", "grow", "--recipe", "rft", "--set", "samples=4"),
        *("--problems", str(like.problems), "--policy", like.engines.policy, "--json"),
        *("--run", str(like.folder), "--cluster", address, "--width", str(width)),
    ]


def workers(cluster: Any) -> list[psutil.Process]:
    """Processes of the workers of this cluster alone."""
    return actors_of(cluster, "Worker")


def actors_of(cluster: Any, kind: str) -> list[psutil.Process]:
    """Processes of this cluster's actors of a kind."""
    raylets = [node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()]
    found = []
    for child in [child for pid in raylets for child in psutil.Process(pid).children()]:
        with suppress(psutil.Error):  # it may end as it is looked at
            if " ".join(child.cmdline()).startswith(f"ray::{kind}"):
                found.append(child)
    return found


@pytest.mark.slow
def test_a_comparison_comes_out_as_on_one_machine(cluster: Any, tmp_path: Path) -> None:
    write_problems(tmp_path / "p.jsonl", problems("pool", 3, seed=0, levels=[1]))
    write_problems(tmp_path / "t.jsonl", problems("test", 8, seed=1, levels=[1]))
    comparison = Comparison(
        tmp_path / "p.jsonl",
        tmp_path / "t.jsonl",
        Engines(f"local:{POLICY}", processes=0, stay=True),
        select_methods(methods("tiny"), ["rft"], ["rft.recipe.samples=2", "rft.shares=[1]"]),
        600,
        seeds=1,
        evaluate=Decoding(n=2, temperature=0.8, max_tokens=120),
    )
    address = Address.read(cluster.address)
    wheres = {"alone": {}, "many": {"where": partial(on_cluster, address, tmp_path)}}
    found = {}
    for name, where in wheres.items():
        with RunFolder.open(tmp_path / name, {}, version="t") as folder:
            found[name] = play_comparison(folder, comparison, Heard(), **where)
    alone, many = (tmp_path / name for name in wheres)
    files = [path.relative_to(alone) for path in alone.rglob("*.jsonl") if "event" not in path.name]
    assert len([path for path in files if path.name == "trees.jsonl"]) > 1
    for path in files:
        assert (many / path).read_bytes() == (alone / path).read_bytes(), path
    assert found["many"].base == found["alone"].base


def test_what_makes_a_machine_unfit_is_said_with_its_name(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, node = Address.read(cluster.address), os.uname().nodename

    def refused(engines: Engines) -> str:
        with (
            pytest.raises(UserError) as error,
            on_cluster(address, tmp_path, engines) as crews,
        ):
            crews.crew("policy")
        return str(error.value)

    lacking = refused(Engines(f"local:{tmp_path}/nothing"))
    assert lacking.startswith(f"{node} (process ") and "nothing" in lacking
    server = Engines("server:http://127.0.0.1:9/v1")
    with monkeypatch.context() as patch:
        patch.setattr(
            "whorl.engines.cluster.actors.sources", lambda: {"whorl": "0.0.9", "python": "3.10"}
        )
        other = refused(server)
    assert "has whorl 0." in other and "and this machine has 0.0.9" in other
    shared = Setup(server, ("policy",), str(tmp_path), ("/nowhere/.probe", "1"))
    with pytest.raises(UserError, match=r"does not see /nowhere: .* storage that all machines"):
        ray.init(cluster.address, ignore_reinit_error=True, log_to_driver=False)
        crew._Crew(address, Fleet()).open(shared)
    ray.shutdown()
