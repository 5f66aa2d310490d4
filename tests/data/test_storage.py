"""Files, runs and trees in an object store: a real S3 server (moto's), through the commands."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'whorl[s3]'")
pytest.importorskip("moto", reason="moto is not installed: pip install 'moto[s3]' flask flask-cors")

from whorl.cli import app
from whorl.cli.urls import local
from whorl.data.forest import read_trees
from whorl.data.problems import write_problems
from whorl.data.purpose import read_purpose
from whorl.data.storage import fetched, url_of
from whorl.data.synthetic import problems
from whorl.errors import UserError
from whorl.loop.folder import RunFolder
from whorl.loop.runfile import read_run
from whorl.problem import Problem
from whorl.tree import ROOT, Node, Tree

pytestmark = pytest.mark.filterwarnings("ignore")  # boto's own

Store = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """Names of all files below a URL of an empty bucket, `s3://whorl`."""
    import fsspec

    said = {"ENDPOINT_URL": server, "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}
    for name, value in (said | {"DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    fsspec.filesystem("s3").clear_instance_cache()
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    s3.mkdir("whorl")
    yield lambda url: sorted(s3.find(url))
    s3.rm("whorl", recursive=True)


def whorl(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder of two rounds with a tree each."""
    with RunFolder.open(tmp_path / "run", {"recipe": {"name": "rft"}}, version="0") as folder:
        for number in (1, 2):
            tree = Tree(Problem(f"p{number}", f"1+{number}?", "2"))
            tree.add(Node(ROOT, "\\boxed{2}", terminal=True, reward=1.0))
            home = folder.path / f"round-{number}"
            home.mkdir()
            (home / "trees.jsonl").write_text(tree.to_json() + "\n")
    return folder.path


def test_a_run_is_copied_there_and_back_and_not_while_it_is_in_use(
    store: Store, run: Path, tmp_path: Path
) -> None:
    said = RunFolder.read(run)
    with RunFolder.open(run, said.settings, version=said.version):
        busy = whorl("copy", run, "s3://whorl/runs/a")
    assert busy.exit_code == 2 and "is in use by" in busy.stderr and not store("s3://whorl")
    assert whorl("copy", run, "s3://whorl/runs/a").exit_code == 0
    assert store("s3://whorl") == [
        "whorl/runs/a/manifest.json",
        "whorl/runs/a/round-1/trees.jsonl",
        "whorl/runs/a/round-2/trees.jsonl",
    ]
    back = tmp_path / "back"
    assert whorl("copy", "s3://whorl/runs/a", back).exit_code == 0
    for name in ("manifest.json", "round-1/trees.jsonl", "round-2/trees.jsonl"):
        assert (back / name).read_bytes() == (run / name).read_bytes()
    again = whorl("copy", "s3://whorl/runs/a", back)
    assert again.exit_code == 2 and "is there already" in again.stderr


def test_only_what_means_something_to_a_process_stays_behind(store: Store, run: Path) -> None:
    for name in ("clock-problems.jsonl", "street-walks.jsonl", "a.lock", "b.partial", "c.db-wal"):
        (run / name).write_text("x")
    assert whorl("copy", run, "s3://whorl/runs/b").exit_code == 0
    assert [name.rpartition("/")[2] for name in store("s3://whorl")[:2]] == [
        "clock-problems.jsonl",
        "manifest.json",
    ]
    assert store("s3://whorl")[-1].endswith("/street-walks.jsonl") and len(store("s3://whorl")) == 5


def test_trees_are_exported_to_a_url_and_shown_and_harvested_from_there(
    store: Store, run: Path, tmp_path: Path
) -> None:
    url = "s3://whorl/trees"
    done = whorl("export", "--format", "parquet", run, "--out", url)
    assert done.exit_code == 0 and f"wrote {url}" in done.stderr, done.output
    names = [f"whorl/trees/round={number}/trees.parquet" for number in (1, 2)]
    assert store(url) == names
    shown = whorl("show", url)
    assert shown.exit_code == 0 and "p1" in shown.stdout and "p2" in shown.stdout
    out = tmp_path / "examples.jsonl"
    assert whorl("harvest", url, "--recipe", "rft", "--out", out).exit_code == 0
    assert len(out.read_text().splitlines()) == 2
    needed = whorl("harvest", url, "--recipe", "rft")
    assert needed.exit_code == 2 and "name --out" in needed.stderr
    there = "s3://whorl/made/examples.jsonl"
    assert whorl("harvest", run, "--out", there).exit_code == 0
    assert "whorl/made/examples.jsonl" in store("s3://whorl/made")
    with local("train", {"examples": Path(there), "out": tmp_path / "m"}) as given:
        assert len(given["examples"].read_text().splitlines()) == 2
        found = read_purpose(given["examples"])
        assert found is not None and found[0] == "rft"


def test_a_run_in_a_store_is_looked_at(store: Store, run: Path, tmp_path: Path) -> None:
    url = "s3://whorl/runs/a"
    assert whorl("copy", run, url).exit_code == 0
    for command in (
        ("view", url, "--bundle", tmp_path / "pages"),
        ("report", url, "--out", tmp_path / "a.html"),
        ("report", url, "--out", "s3://whorl/pages/a.html"),
    ):
        done = whorl(*command)
        assert done.exit_code == 0, done.output
    assert "1+1?" in (tmp_path / "a.html").read_text()
    assert (tmp_path / "pages" / "index.html").exists()
    assert store("s3://whorl/pages") == ["whorl/pages/a.html"]


def test_problems_are_read_from_a_url_and_again_when_they_have_changed(
    store: Store, tmp_path: Path
) -> None:
    file, url = tmp_path / "p.jsonl", "s3://whorl/p.jsonl"
    for count in (3, 5):
        write_problems(file, problems("pool", count, seed=0, levels=[1]))
        assert whorl("copy", file, url).exit_code == 0
        copy = fetched(url)
        assert copy.read_bytes() == file.read_bytes() and copy.name == "p.jsonl"
    config = tmp_path / "run.toml"
    config.write_text(
        f'run = "{tmp_path}/r"\nproblems = "{url}"\n'
        'engines.policy = "policy"\nrecipe.name = "rft"\n'
    )
    assert read_run(config).problems == copy == fetched(url)
    with local("grow", {"problems": Path(url), "run": tmp_path / "new"}) as given:
        assert given == {"problems": copy, "run": tmp_path / "new"}


def test_many_at_once_fetch_one_url(store: Store, tmp_path: Path) -> None:
    """As the jobs of an array do, which start together."""
    file, url = tmp_path / "p.jsonl", "s3://whorl/p.jsonl"
    write_problems(file, problems("pool", 200, seed=0, levels=[1]))
    assert whorl("copy", file, url).exit_code == 0
    with ThreadPoolExecutor(8) as pool:
        copies = list(pool.map(fetched, [url] * 24))
    assert {copy.read_bytes() for copy in copies} == {file.read_bytes()}
    assert len(set(copies)) == 1


def test_what_cannot_be_there_or_is_not_is_one_line(
    store: Store, run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "p.jsonl"
    write_problems(file, problems("pool", 3, seed=0, levels=[1]))
    grow = ("grow", "--recipe", "rft", "--policy", "policy", "--problems")
    for command, words in (
        ((*grow, file, "--run", "s3://whorl/runs/a"), "s3://whorl/runs/a: run has to be a path"),
        ((*grow, "s3://whorl/gone.jsonl", "--run", tmp_path / "new"), "there is nothing"),
        (("copy", "s3://nowhere/gone", tmp_path / "x"), "s3://nowhere/gone: "),
        (("copy", run, tmp_path / "x"), "one of the two should be a URL"),
        (("copy", run, "gs://bucket/x"), "gs://bucket/x: what reads such URLs is not installed"),
    ):
        told = whorl(*command)
        assert told.exit_code == 2 and words in told.stderr, told.output
        assert told.stderr.strip().count("\n") == 0
    assert not (tmp_path / "new").exists() and not Path("s3:").exists()


def test_paths_that_only_look_like_urls_are_paths(tmp_path: Path) -> None:
    assert url_of(Path("s3://a/b")) == url_of("s3://a/b") == "s3://a/b"
    for path in ("a/b", "c:/b", "file:///tmp", "nothing://a", "/s3://a"):
        assert url_of(path) == ""
    with pytest.raises(UserError, match="row 0"):
        (tmp_path / "t.parquet").write_text(json.dumps({}))
        list(read_trees(tmp_path / "t.parquet"))
