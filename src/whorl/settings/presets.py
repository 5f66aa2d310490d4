"""Presets: what each paper says of a whole run, its search, training, rounds and evaluation.

`run`, `train`, `grow` and `compare` start from these, and a run file changes what it names. Where a
value comes from, and where a paper is silent so that it is ours, is in docs/papers.md, "Presets".
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Protocol, runtime_checkable

from whorl.errors import UserError
from whorl.evaluate.setup import Decoding
from whorl.example import Distillation, Objective, Preference
from whorl.learn.training import Lora, Training
from whorl.prompts.wording import SETS
from whorl.recipe import Recipe, unsound
from whorl.recipes import (
    Distill,
    Dpo,
    Grpo,
    Marge,
    OnPolicyDistill,
    Process,
    Rft,
    Sigma,
    Sphere,
    StepDpo,
    TreeGrpo,
    TreePo,
    TreeRl,
    TreeRpo,
    name_of,
)
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.steps import AfterMarker, BlankLine, Segmenter, Words


@dataclass(frozen=True, slots=True)
class Preset:
    """A whole run as a paper describes it: the recipe, and every other setting of a run that the
    paper has a say in.

    train, rounds, patience, questions, evaluate, protocol: see `loop.run.Run`.
    """

    recipe: Recipe
    train: Training = Training()  # noqa: RUF009 (frozen)
    rounds: int = 1
    patience: int = 0
    questions: int | None = None
    evaluate: Decoding = Decoding()  # noqa: RUF009 (frozen)
    protocol: str = "whorl"


@runtime_checkable
class WithPresets(Protocol):
    """A class of recipes from elsewhere that has presets of its own."""

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        """Presets by name; the first is the default."""


def presets_of(kind: type[Recipe]) -> Mapping[str, Preset]:
    """The presets of a class of recipes, the default first; none for a class from elsewhere that
    has none of its own."""
    if kind in PRESETS:
        return PRESETS[kind]
    return kind.presets() if isinstance(kind, WithPresets) else {}


def default_of(recipe: Recipe) -> Preset:
    """The default preset of a recipe's class; without presets, what is usual for its defaults, or
    for the recipe itself where a setting has no default."""
    kind = type(recipe)
    settings = fields(kind)  # type: ignore[arg-type]
    needed = any(f.default is MISSING and f.default_factory is MISSING for f in settings)
    return next(iter(presets_of(kind).values()), None) or usual(recipe if needed else kind())


def usual(recipe: Recipe) -> Preset:
    """The preset of a recipe that says nothing of training: one round, trained as is usual for its
    objective. Raises `UserError` if it has none."""
    if fault := unsound(recipe):
        raise UserError(f"{name_of(recipe)} is no recipe: {fault}")
    return Preset(recipe, usual_training(recipe.objective))


def usual_training(objective: Objective) -> Training:
    """The training that is usual for an objective: SIGMA's for plain likelihood, MARGE's for
    likelihood under a penalty, ours for preferences."""
    return _fit(objective, SFT, POLICY_GRADIENT, DPO)


def usual_tiny(recipe: Recipe) -> Preset:
    """As `usual`, for the shipped models; a recipe's setting `sampling` is cut to their size."""
    recipe = _cut(recipe, 48, 256, steps=TINY_STEPS)
    train = _fit(recipe.objective, TINY, replace(GENTLE, epochs=2), GENTLE)
    return Preset(recipe, train, evaluate=Decoding(max_tokens=256))


def laptop(recipe: Recipe, *, rounds: int = 1) -> Preset:
    """A recipe for a model of half a billion parameters and a few processor cores: solutions of
    chat models, cut to what they seldom exceed, and low-rank training."""
    gentle = replace(LAPTOP, lr=2e-5)
    train = _fit(recipe.objective, LAPTOP, gentle, gentle)
    return Preset(_cut(recipe, 192, 512), train, rounds, evaluate=Decoding(max_tokens=512))


def gpu(paper: Preset) -> Preset:
    """A paper's search and rounds for a model of 7 billion parameters and one GPU of 80 GB: the
    model is trained by low-rank adapters, in bfloat16."""
    train = _fit(
        paper.recipe.objective, ONE_GPU, replace(ONE_GPU, lr=1e-5), replace(ONE_GPU, lr=5e-6)
    )
    return replace(paper, train=train, protocol="whorl")


def _cut(
    recipe: Recipe, step_tokens: int, solution_tokens: int, steps: Segmenter | None = None
) -> Recipe:
    """The recipe with shorter steps and solutions, if its sampling is a setting; and steps that end
    elsewhere, if `steps` says so."""
    sampling = getattr(recipe, "sampling", None)
    if not isinstance(sampling, Sampling):
        return recipe
    steps = steps or sampling.steps
    cut = replace(sampling, step_tokens=step_tokens, solution_tokens=solution_tokens, steps=steps)
    return replace(recipe, sampling=cut)  # type: ignore[type-var]


def _fit(
    objective: Objective, plain: Training, penalised: Training, preference: Training
) -> Training:
    if isinstance(objective, Preference):
        return preference
    return penalised if isinstance(objective, Distillation) or objective.kl else plain


SFT = Training(epochs=3, lr=1e-5, batch=128, max_length=4096, warmup=0.03)
POLICY_GRADIENT = Training(
    epochs=2, lr=1e-6, batch=1024, batch_of="states", max_length=2048, warmup=0.1
)
DPO = Training(epochs=1, lr=5e-7, batch=64, max_length=2048, warmup=0.1)
ONCE = replace(POLICY_GRADIENT, epochs=1, batch_of="examples")
READ = Training(epochs=1, lr=1e-6, batch=1024, max_length=2048, warmup=0.1)
STEPS = Training(epochs=1, lr=1e-5, batch=64, lora=Lora(rank=64, alpha=128.0))

# Of real models, with low-rank adapters: these learn at ten times the rate of all weights
LAPTOP = Training(
    epochs=2,
    lr=2e-4,
    batch=16,
    max_length=1024,
    warmup=0.1,
    lora=Lora(16, alpha=32.0),
    bf16=True,
    tokens=1024,  # with a vocabulary of 150,000, 4,096 at once take 16 GB
)
ONE_GPU = replace(
    LAPTOP,
    lr=1e-4,
    batch=64,
    max_length=2048,
    lora=Lora(64, alpha=128.0),
    tokens=16384,
    checkpointing=True,
)

# Of the shipped models; chosen on `dev` problems, see docs/results.md
TINY = Training(epochs=3, lr=1e-3, batch=32, max_length=1024, warmup=0.05)
GENTLE = replace(TINY, lr=1e-4)  # where a likelihood may be lowered, 1e-3 breaks the model
TINY_STEPS = BlankLine(min_chars=0)  # a step of the shipped models may be as short as "3*4=12."

_SIGMA = Preset(Sigma(show_q="none", words=SETS["prose"]), SFT, protocol="dart")
_SIGMA_CODE = Sigma(
    mode="whole_path",
    best="first",
    shown="end",
    show_gold=True,
    show_q="path",
    check=False,
    retries=0,
    critic_tokens=1000,
    reviser_tokens=1000,
    words=SETS["script"],
)
_SIGMA_TINY = Sigma(
    uct=Uct(simulations=8),
    critic_tokens=128,
    reviser_tokens=64,
    gates=("keep", "unusable", "formatting"),  # what the teacher was trained to be used with
)
_MARGE_CODE = Marge(
    Sampling(temperature=0.8, top_p=0.95, solution_tokens=2048, steps=AfterMarker()),
    lead="Step 1:",
    thresholds=(0.55, 0.51),
    start="drop",
    window=(0.3, 0.7),
    mastered=0.99,
    penalty="linear",
)
_MARGE_LLAMA = replace(
    _MARGE_CODE,
    sampling=replace(_MARGE_CODE.sampling, steps=Words()),
    lead="",
    states=5,
    pool=24,
    window=(0.1, 1.1),
)
_MARGE_QWEN25 = replace(
    _MARGE_CODE,
    sampling=replace(_MARGE_CODE.sampling, temperature=1.0, top_p=1.0),
    rule="fixed",
)

_PROCESS = Preset(Process(), STEPS, rounds=4, patience=2, questions=1000)
_MARGE = Preset(Marge(), POLICY_GRADIENT, rounds=10, patience=2)
_GRPO = Preset(
    Grpo(), replace(POLICY_GRADIENT, epochs=1, batch_of="examples"), rounds=10, patience=2
)
_SPHERE = Preset(Sphere(), DPO)
_NARROW = Uct(children=2, simulations=4, depth=12)  # of three, the most for a token: docs/real.md
_SHORT = Uct(simulations=8, depth=12)
_SHORT_OF_FOUR = replace(Process().uct, simulations=8, depth=12)

PRESETS: Mapping[type[Recipe], Mapping[str, Preset]] = {
    Sigma: {
        "paper": _SIGMA,
        "paper_deepseek": replace(_SIGMA, train=replace(SFT, lr=5e-5)),
        "paper_mistral": replace(_SIGMA, train=replace(SFT, lr=4e-6)),
        "code": replace(_SIGMA, recipe=_SIGMA_CODE),
        "laptop": laptop(
            Sigma(
                _NARROW,
                temperatures=(0.7,),
                mode="afresh",
                retries=1,
                # for who sets another mode
                show_q="none",
                words=SETS["prose"],
                critic_tokens=256,
                reviser_tokens=256,
            )
        ),
        "gpu": gpu(_SIGMA),
        "tiny": usual_tiny(_SIGMA_TINY),
    },
    Process: {
        "paper": _PROCESS,
        "laptop": laptop(Process(_SHORT_OF_FOUR), rounds=2),
        "gpu": gpu(_PROCESS),
        "tiny": replace(usual_tiny(Process()), rounds=2),
    },
    Marge: {
        "paper": _MARGE,
        "code": Preset(_MARGE_CODE, POLICY_GRADIENT, rounds=12),
        "code_llama": Preset(
            _MARGE_LLAMA, replace(POLICY_GRADIENT, epochs=4, batch=2048), rounds=12
        ),
        "code_qwen25": Preset(_MARGE_QWEN25, replace(POLICY_GRADIENT, batch=512), rounds=12),
        "laptop": laptop(Marge(pool=8, samples=4, states=6), rounds=2),
        "gpu": gpu(_MARGE),
        "tiny": replace(usual_tiny(Marge()), rounds=2),
    },
    Sphere: {
        "paper": _SPHERE,
        "laptop": laptop(
            Sphere(
                candidates=3,
                depth=12,
                score="rollouts",
                rollouts=1,
                floor=0.0,  # one rollout says 0 or 1, and the worst step is one that says 0
                tries=1,
                small_candidates=4,
            )
        ),
        "gpu": gpu(_SPHERE),
        "tiny": replace(usual_tiny(Sphere(score="rollouts")), train=replace(GENTLE, batch=8)),
    },
    Rft: {
        "paper": Preset(Rft(), SFT),
        "laptop": laptop(Rft(samples=4)),
        "gpu": gpu(Preset(Rft(), SFT)),
        "tiny": usual_tiny(Rft(Sampling(temperature=1.0))),
    },
    StepDpo: {
        "paper": Preset(StepDpo(), DPO),
        "laptop": laptop(StepDpo(_SHORT_OF_FOUR)),
        "gpu": gpu(Preset(StepDpo(), DPO)),
        "tiny": usual_tiny(StepDpo()),
    },
    Dpo: {
        "paper": Preset(Dpo(), DPO),
        "laptop": laptop(Dpo(samples=8)),
        "gpu": gpu(Preset(Dpo(), DPO)),
        "tiny": usual_tiny(Dpo()),
    },
    Grpo: {
        "paper": _GRPO,
        "laptop": laptop(Grpo(samples=8)),
        "gpu": gpu(_GRPO),
        "tiny": usual_tiny(Grpo()),
    },
    Distill: {
        "paper": Preset(Distill(), SFT),
        "laptop": laptop(Distill()),
        "gpu": gpu(Preset(Distill(), SFT)),
        "tiny": usual_tiny(Distill()),
    },
    OnPolicyDistill: {
        "paper": Preset(
            OnPolicyDistill(Sampling(temperature=1.0, solution_tokens=2048)), READ, rounds=10
        ),
        "tiny": replace(
            usual_tiny(OnPolicyDistill()), train=replace(TINY, epochs=1, lr=3e-4), rounds=4
        ),
    },
    TreeRpo: {
        "paper": Preset(TreeRpo(), ONCE, rounds=10),
        "tiny": usual_tiny(TreeRpo(children=3)),
    },
    TreeGrpo: {
        "paper": Preset(TreeGrpo(), ONCE, rounds=10),
        "tiny": usual_tiny(TreeGrpo(chains=4)),
    },
    TreeRl: {
        "paper": Preset(TreeRl(), replace(ONCE, lr=1.5e-6, max_length=10240), rounds=10),
        "tiny": usual_tiny(TreeRl(Sampling(temperature=1.0), depth=16)),
    },
    TreePo: {
        "paper": Preset(TreePo(), replace(ONCE, max_length=8192), rounds=10),
        "tiny": usual_tiny(TreePo(paths=8)),
    },
}
"""The presets of whorl's own recipes, the default first."""
