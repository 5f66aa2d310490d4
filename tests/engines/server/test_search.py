"""A search over servers: what goes wrong on the way leaves no trace in the trees."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from tests.engines.server.conftest import Opened

from whorl.ask import Engine
from whorl.data.synthetic import problems
from whorl.drive import Finished, drive
from whorl.engines.journal import Journal
from whorl.engines.judge import Judges
from whorl.engines.server import transport
from whorl.models import POLICY
from whorl.recipes.sigma import Sigma
from whorl.search import Uct
from whorl.tree import Tree

Server = Callable[..., str]
RECIPE = Sigma(uct=Uct(simulations=4))


def searched(engines: Mapping[str, Engine], count: int) -> list[Finished[Tree]]:
    """SIGMA's searches of some problems, as they ended."""
    judges = Judges()
    try:
        searches = (
            (problem.id, RECIPE.grow(problem)) for problem in problems("pool", count, seed=0)
        )
        return list(drive(searches, {**engines, "judge": judges}, width=count))
    finally:
        judges.close()


def grown(engines: Mapping[str, Engine], count: int) -> dict[str, Tree]:
    """The trees of searches of which none may fail, by key."""
    found = searched(engines, count)
    errors = [one.error for one in found if one.error]
    assert not errors, errors[0]
    return {one.key: one.result for one in found if one.result}


def test_faults_change_no_tree_and_every_sample_is_in_one(
    rig_server: Server, opened: Opened, rig: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_PAUSE", 0.01)
    monkeypatch.setattr(transport, "_UNSAID", 0.01)
    calm = [rig_server(tokenizer=str(POLICY)) for _ in range(2)]
    faults = {"500": 0.03, "cut": 0.03, "429": 0.03, "malformed": 0.03}
    rough = [
        rig_server(tokenizer=str(POLICY), faults=faults, seed=seed, retry_after=0)
        for seed in (4, 5)
    ]
    trees = []
    for policy, teacher in (calm, rough):
        asked, helper = opened(policy), opened(teacher)
        before = rig.stats(policy)["samples"]
        trees.append(grown({"policy": asked, "critic": helper, "reviser": helper}, 8))
        sampled = rig.stats(policy)["samples"] - before
        kept = sum(
            node.copies
            for tree in trees[-1].values()
            for node in tree.nodes
            if node.author == "policy"  # the root has no author
        )
        if policy is calm[0]:
            assert sampled == kept
    assert trees[0] == trees[1]
    assert len(trees[0]) == 8


def test_what_a_failed_ask_has_brought_is_not_asked_for_again(
    rig_server: Server,
    opened: Opened,
    rig: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Over a server that sends a sample at a time, of which some requests fail for good."""
    monkeypatch.setattr(transport, "_PAUSE", 0.01)
    monkeypatch.setattr(transport, "_TRIES", 1)
    sampled, failed = 0, []
    for faults in ({"500": 0.1}, {}):
        url = rig_server(tokenizer=str(POLICY), lacks=["n"], faults=faults, seed=4)
        engine = opened(url)
        before = rig.stats(url)["samples"]
        with Journal(tmp_path / "journal.db") as journal:
            helper = journal.wrap(engine)
            found = searched({"policy": helper, "critic": helper, "reviser": helper}, 8)
        sampled += rig.stats(url)["samples"] - before
        failed.append(sum(one.error is not None for one in found))
        with closing(sqlite3.connect(tmp_path / "journal.db")) as file:
            rows = file.execute("SELECT replies FROM answer WHERE role != 'judge'")
            replies = [reply for (text,) in rows for reply in json.loads(text)]
        assert sum(tokens > 0 for _, _, tokens, *_ in replies) == sampled
    assert failed[0] > 0 == failed[1]
