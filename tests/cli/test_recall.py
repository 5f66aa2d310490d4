"""`whorl probe --recall`: does a model know the questions of a file by heart?"""

import json
from pathlib import Path

from whorl.data.problems import write_problems
from whorl.problem import Problem


def test_a_file_is_probed_and_bad_input_is_one_line(whorl, easy: Path, tmp_path: Path) -> None:
    done = whorl("probe", "policy", "--recall", easy, "--limit", 3, "--share", 0.5, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["questions"] == 3 and said["failed"] == 0 and said["share"] == 0.5
    assert 0 <= said["exact"] <= 3 and 0 <= said["right"] <= 3
    assert "3 questions, 50 % of their words shown" in done.stdout
    write_problems(tmp_path / "short.jsonl", [Problem("p", "1+1?", "2")])
    for file, why in ((tmp_path / "short.jsonl", "none has two words"), (tmp_path / "no", "no")):
        refused = whorl("probe", "policy", "--recall", file)
        assert refused.exit_code == 2 and why in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1, "no word of opening a model"
