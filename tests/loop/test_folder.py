"""The run folder: one run, one set of settings, one process at a time."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from whorl.errors import UserError
from whorl.loop.folder import RunFolder

SETTINGS = {"seed": 0, "search": {"children": 3, "kinds": ("a", "b")}, "policy": "local:x"}


def start(path: Path, settings: dict[str, object] | None = None) -> RunFolder:
    return RunFolder.open(path, SETTINGS if settings is None else settings, version="0.1.0")


def test_a_new_folder_says_what_it_was_started_with(tmp_path: Path) -> None:
    with start(tmp_path / "runs" / "a") as folder:
        assert folder.settings["search"] == {"children": 3, "kinds": ["a", "b"]}
    manifest = json.loads((tmp_path / "runs" / "a" / "manifest.json").read_text())
    assert manifest["whorl"] == "0.1.0" and manifest["created"].endswith("+00:00")
    assert sorted(os.listdir(folder.path)) == ["lock", "manifest.json"]


def test_the_same_settings_go_on(tmp_path: Path) -> None:
    with start(tmp_path) as folder:
        folder.trees.write_text("a tree")
        before = (tmp_path / "manifest.json").read_bytes()
    with start(tmp_path) as again:
        assert again.settings == folder.settings
        assert again.trees.read_text() == "a tree"
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_a_folder_tells_which_version_started_it(tmp_path: Path) -> None:
    start(tmp_path).close()
    with RunFolder.open(tmp_path, SETTINGS, version="0.2.0") as folder:
        assert folder.version == "0.1.0"


def test_files_have_their_places(tmp_path: Path) -> None:
    with start(tmp_path) as folder:
        places = [folder.journal, folder.trees, folder.failures, folder.examples, folder.metrics]
    assert [place.name for place in places] == [
        "journal.db",
        "trees.jsonl",
        "failures.jsonl",
        "examples.jsonl",
        "metrics.jsonl",
    ]
    assert all(place.parent == tmp_path for place in places)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"search": {"children": 5, "kinds": ["a", "b"]}}, "search.children: 5 here, 3 in the run"),
        ({"policy": "local:y"}, 'policy: "local:y" here, "local:x" in the run'),
        ({"top": 1}, "top: 1 here, not set in the run"),
        ({"top": None}, "top: null here, not set in the run"),
        ({"search": {}}, "search.children: not set here, 3 in the run"),
        ({"seed": False}, "seed: false here, 0 in the run"),
        (dict.fromkeys("abcde", 1), "; and 2 more"),
    ],
)
def test_other_settings_are_refused_with_what_differs(
    tmp_path: Path, other: dict[str, object], named: str
) -> None:
    start(tmp_path).close()
    with pytest.raises(UserError) as caught:
        start(tmp_path, {**SETTINGS, **other})
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    start(tmp_path).close()  # the refusal let go of the folder


def test_how_weights_are_computed_may_change(tmp_path: Path) -> None:
    """A run whose training ran out of memory goes on with fewer tokens in a pass."""
    start(tmp_path, {"train": {"tokens": 4096, "checkpointing": False, "lr": 1e-5}}).close()
    start(tmp_path, {"train": {"tokens": 1024, "checkpointing": True, "lr": 1e-5}}).close()
    held = {"holdout": 0.1, "save_steps": 0}
    start(tmp_path / "held", {"train": held}).close()
    with pytest.raises(UserError, match=r"train\.save_steps: 5 here"):
        start(tmp_path / "held", {"train": held | {"save_steps": 5}})
    with pytest.raises(UserError, match=r"train\.lr: 0\.1 here"):
        start(tmp_path, {"train": {"tokens": 4096, "checkpointing": False, "lr": 0.1}})


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="not a run folder"):
        start(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match="is a file"):
        start(tmp_path / "a")


def test_what_an_interrupted_start_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("123\n")
    (tmp_path / "manifest.json.partial").write_text("{")
    start(tmp_path).close()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"settings": 3, "whorl": "1"}'])
def test_a_broken_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    for attempt in (lambda: start(tmp_path), lambda: RunFolder.read(tmp_path)):
        with pytest.raises(UserError, match=r"manifest\.json is broken"):
            attempt()


def test_a_finished_run_can_be_read_without_its_settings(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        RunFolder.read(tmp_path)
    with start(tmp_path):
        folder = RunFolder.read(tmp_path)  # while it runs, too
    assert folder.settings["policy"] == "local:x"
    folder.close()


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with start(tmp_path):
        with pytest.raises(UserError, match=f"in use by process {os.getpid()} on "):
            start(tmp_path)
        with pytest.raises(UserError, match="in use"):
            start(tmp_path, {})
    start(tmp_path).close()


HOLDER = """
import sys, time
from pathlib import Path
from whorl.loop.folder import RunFolder

folder = RunFolder.open(Path(sys.argv[1]), {}, version="0.1.0")
print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_process_lets_go_of_the_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        with pytest.raises(UserError, match=f"in use by process {child.pid} on "):
            start(tmp_path, {})
        os.kill(child.pid, signal.SIGKILL)
    start(tmp_path, {}).close()


FULL = """
import resource
import sys
from pathlib import Path
from whorl.errors import UserError
from whorl.loop.folder import RunFolder

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # writing fails, as on a full disk
try:
    RunFolder.open(Path(sys.argv[1]), {}, version="0.1.0")
except UserError as error:
    print(error)
"""


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    start(tmp_path / "old", {}).close()
    for path in (tmp_path / "old", tmp_path / "new"):
        command = [sys.executable, "-c", FULL, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        assert "cannot be written: File too large" in done.stdout
        assert done.stdout.count("\n") == 1
        start(path, {}).close()  # once there is room
