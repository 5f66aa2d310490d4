"""Families of models that think: the marks of their thoughts, how they are switched on, and how
their makers sample from them.

qwen3: "Best Practices" of the model cards of Qwen3 in its thinking mode, and of Thinking-2507:
    temperature 0.6, top_p 0.95, top_k 20, never greedy, 32,768 tokens of output for most questions
    (38,912 for hard ones, 81,920 of Thinking-2507). Qwen3's template opens no thought,
    Thinking-2507's does.
deepseek-r1: README of deepseek-ai/DeepSeek-R1, "Usage Recommendations" and
    "DeepSeek-R1-Evaluation": temperature 0.6, top_p 0.95, at most 32,768 tokens, no system turn,
    every answer to begin with "<think>" and a new line. The distills' templates open it.
gpt-oss: README of openai/gpt-oss, "Recommended Sampling Parameters": temperature and top_p 1. The
    README names no length; 32,768 tokens is what its `gpt_oss/evals` allows. Marks are Harmony's.
magistral: model card of mistralai/Magistral-Small-2506, "Sampling parameters": temperature 0.7,
    top_p 0.95, 40,960 tokens. 2509 asks for 131,072, and says that it may get worse behind 40k.
    Special tokens are the marks since 2507; 2506 writes `<think>`. The system turn asks for the
    thought, so `prompts.solve.system` has to be set to the card's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Marks:
    """Marks that a model writes around a thought, where whorl has `<think>` and `</think>`.

    open, close: before the thought, and between it and what follows.
    plain: before a text without a thought.
    """

    open: str = "<think>\n"
    close: str = "\n</think>\n\n"
    plain: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """A family of models that think.

    marks: of its thoughts.
    switch: values for its chat template with which it thinks; others may be given beside `family=`.
    temperature, top_p: as its makers sample. They add top_k = 20 for Qwen3, which whorl has not:
        training has to know the distribution that was sampled from.
    thought_tokens: a thought's at most, as its makers advise or measured.
    """

    marks: Marks = Marks()
    switch: Mapping[str, object] = field(default_factory=dict)
    temperature: float = 0.6
    top_p: float = 0.95
    thought_tokens: int = 32768


FAMILIES: Mapping[str, Family] = {
    "qwen3": Family(switch={"enable_thinking": True}),
    "deepseek-r1": Family(),
    "gpt-oss": Family(
        Marks(
            "<|channel|>analysis<|message|>",
            "<|end|><|start|>assistant<|channel|>final<|message|>",
            "<|channel|>final<|message|>",
        ),
        switch={"reasoning_effort": "medium"},
        temperature=1.0,
        top_p=1.0,
    ),
    "magistral": Family(Marks("[THINK]", "[/THINK]"), temperature=0.7, thought_tokens=40960),
}
"""Families by name: what `family=` behind a model's name, `sampling.family` and `--preset` take."""
