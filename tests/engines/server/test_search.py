"""A search over servers: what goes wrong on the way leaves no trace in the trees."""

from collections.abc import Callable, Mapping
from types import ModuleType

import pytest
from tests.engines.server.conftest import Opened

from whorl.ask import Engine
from whorl.data.synthetic import problems
from whorl.drive import drive
from whorl.engines.judge import Judges
from whorl.engines.server import transport
from whorl.models import POLICY
from whorl.recipes.sigma import Sigma
from whorl.search import Uct
from whorl.tree import Tree

Server = Callable[..., str]
RECIPE = Sigma(uct=Uct(simulations=4))


def grown(engines: Mapping[str, Engine], count: int) -> dict[str, Tree]:
    """SIGMA's trees for some problems, by key."""
    judges = Judges()
    try:
        searches = (
            (problem.id, RECIPE.grow(problem)) for problem in problems("pool", count, seed=0)
        )
        found = list(drive(searches, {**engines, "judge": judges}, width=count))
    finally:
        judges.close()
    errors = [one.error for one in found if one.error]
    assert not errors, errors[0]
    return {one.key: one.result for one in found if one.result}


def test_faults_change_no_tree_and_every_sample_is_in_one(
    rig_server: Server, opened: Opened, rig: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_PAUSE", 0.01)
    calm = [rig_server(tokenizer=str(POLICY)) for _ in range(2)]
    faults = {"500": 0.03, "cut": 0.03, "429": 0.03, "malformed": 0.03}
    rough = [
        rig_server(tokenizer=str(POLICY), faults=faults, seed=seed, retry_after=0.01)
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
