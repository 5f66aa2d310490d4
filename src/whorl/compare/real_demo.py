"""The demo with a model of the user's: SIGMA on a few problems, sized for two processor cores."""

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

from whorl.data import synthetic
from whorl.data.problems import problem_ids, write_problems
from whorl.engines.model import find_model, read_config
from whorl.engines.roles import Engines
from whorl.engines.spec import Spec
from whorl.loop.run import Run
from whorl.recipes.sigma import Sigma
from whorl.settings.presets import PRESETS

PROBLEMS, TEST = 24, 200
"""Numbers of problems to grow trees for and to measure on; so many as half a billion parameters
take half an hour for, on two cores."""

_PRESET = PRESETS[Sigma]["laptop"]


def real_demo(
    folder: Path,
    model: str,
    *,
    critic: str = "",
    problems: Path | None = None,
    test: Path | None = None,
    seed: int = 0,
) -> Run:
    """The run of the demo with `model` as policy: one round of SIGMA by its preset `laptop`.

    critic: solves afresh what the search did not, as the preset `laptop` refines; the policy itself
        if none is named.
    problems, test: files; made-up problems, written into `folder`, for one that is not given.
    Raises `UserError` if a model cannot be used or a file cannot be read.
    """
    policy = on_this_machine(model)
    helper = on_this_machine(critic) if critic else policy
    for given in filter(None, (problems, test)):
        problem_ids(given)  # before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    if problems is None:
        problems = folder / "problems.jsonl"
        write_problems(problems, synthetic.problems("pool", PROBLEMS, seed=seed))
    if test is None:
        test = folder / "test.jsonl"
        write_problems(test, synthetic.problems("test", TEST, seed=1))
    return Run(
        folder / "run",
        problems,
        Engines(policy, critic=helper, reviser=helper, processes=len(os.sched_getaffinity(0))),
        _PRESET.recipe,
        test,
        seed=seed,
        train=_PRESET.train,
        evaluate=replace(_PRESET.evaluate, max_tokens=320),  # a made-up problem takes 100 to 200
        width=32,
        limit=PROBLEMS,
    )


def on_this_machine(model: str) -> str:
    """The engine for a model that is named without one: OpenVINO with weights in eight bits where
    it can take the model, else the embedded engine in bfloat16."""
    if ":" in model.partition("?")[0]:
        return model
    config = read_config(find_model(model).folder)
    if importlib.util.find_spec("openvino_genai"):
        from whorl.engines.openvino_graph import unsupported

        if unsupported(config) is None:
            return str(_with(model, "openvino", "weights=int8"))
    return str(_with(model, "local", "dtype=bfloat16"))


def _with(model: str, scheme: str, setting: str) -> Spec:
    named = Spec.read(model)
    query = f"{named.query}&{setting}" if named.query else setting
    return replace(named, scheme=scheme, query=query)
