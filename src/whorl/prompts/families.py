"""Families of models that think: the marks of their thoughts, how they are switched on, and how
their makers sample from them."""

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
    thought_tokens: a thought's at most, as its makers measured it.
    """

    marks: Marks = Marks()
    switch: Mapping[str, object] = field(default_factory=dict)
    temperature: float = 0.6
    top_p: float = 0.95
    thought_tokens: int = 32768


FAMILIES: Mapping[str, Family] = {
    # model cards of Qwen/Qwen3-8B and Qwen/Qwen3-4B-Thinking-2507, "Best Practices": 32,768 tokens
    # of output for most questions; its template opens no thought, that of Thinking-2507 does
    "qwen3": Family(switch={"enable_thinking": True}),
    # deepseek-ai/DeepSeek-R1, "Usage Recommendations": temperature 0.6, top-p 0.95, no system turn,
    # every answer to begin with "<think>\n", which the distills' templates open
    "deepseek-r1": Family(),
    # openai/gpt-oss, "Recommended Sampling Parameters", and the Harmony response format
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
    # mistralai/Magistral-Small-2507: special tokens since then, before it `<think>`; the system
    # turn asks for the thought, so `prompts.solve.system` has to be set to the card's
    "magistral": Family(
        Marks("[THINK]", "[/THINK]"), temperature=0.7, top_p=0.95, thought_tokens=40960
    ),
}
"""Families by name: what `family=` behind a model's name, `sampling.family` and `--preset` take."""
