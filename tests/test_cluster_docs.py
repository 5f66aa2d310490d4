"""Examples of docs/cluster.md are sound as far as a parser can tell."""

import re
import subprocess
from pathlib import Path
from textwrap import dedent

import yaml

TEXT = (Path(__file__).parents[1] / "docs" / "cluster.md").read_text()


def test_scripts_are_bash() -> None:
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", TEXT, re.MULTILINE)
    scripts = [dedent(block) for block in blocks if "#!/bin/bash" in block]
    assert len(scripts) == 2
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script.strip(), text=True, capture_output=True)
        assert not done.stderr, done.stderr


def test_manifests_are_yaml_and_their_commands_bash() -> None:
    job, task = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
    assert job["kind"] == "RayJob"
    assert job["spec"]["entrypoint"].startswith("whorl run ")
    done = subprocess.run(["bash", "-n"], input=task["run"], text=True, capture_output=True)
    assert not done.stderr, done.stderr
