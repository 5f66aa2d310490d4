"""Segmenters: where a step of a solution ends."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Protocol, TypeVar

T = TypeVar("T")


class Segmenter(Protocol):
    """A rule that cuts a solution into steps.

    stop: strings at which a sampled step ends.
    glue: what follows a step that ended at a stop string, so that prefix + next step reads as the
        model would have written it.
    tokens: sampled tokens after which a step ends at the latest; 0: not by their number.
    nats: so uncertain, per sampled token, must the last piece of a step have been for the step to
        end behind it; 0: it does not matter.
    """

    @property
    def stop(self) -> tuple[str, ...]: ...

    @property
    def glue(self) -> str: ...

    @property
    def tokens(self) -> int: ...

    @property
    def nats(self) -> float: ...

    def whole(self, text: str) -> bool:
        """Whether a step may end behind `text`, which a stop string followed; else it goes on."""

    def split(self, text: str) -> list[str]:
        """Steps of `text`; `"".join(split(text)) == text`, and no step is empty."""


@dataclass(frozen=True, slots=True)
class BlankLine:
    """One step per paragraph (2501.01478, section 3; the rule SPHERE's reward model expects too).

    min_chars: paragraphs shorter than this, in characters, are merged into the next one.

    A step does not end inside of a formula, a code block or a list, nor where something is
    announced: behind a heading, a label or a colon; see `going_on`. A formula alone is no step.
    """

    min_chars: int = 20
    stop: tuple[str, ...] = ("\n\n",)
    glue: str = "\n\n"
    tokens: ClassVar[int] = 0
    nats: ClassVar[float] = 0.0

    def whole(self, text: str) -> bool:
        bare = text.strip()
        return bool(bare) and len(bare) >= self.min_chars and not going_on(bare)

    def split(self, text: str) -> list[str]:
        steps: list[str] = []
        held = ""
        for piece in _PARAGRAPH.findall(text):
            held += piece
            if self.whole(held):
                steps.append(held)
                held = ""
        if held and steps and not held.strip():
            steps[-1] += held
        elif held:
            steps.append(held)
        return steps


@dataclass(frozen=True, slots=True)
class StepMarker:
    """One step per "Step k:" at the beginning of a line (MARGE, 2505.12500), in bold and as a
    heading too; in a solution without any, per "k." there."""

    stop: tuple[str, ...] = ("\nStep ", "\n**Step ", "\n### Step ", "\n## Step ")
    glue: str = "\n"
    tokens: ClassVar[int] = 0
    nats: ClassVar[float] = 0.0

    def whole(self, text: str) -> bool:
        return True

    def split(self, text: str) -> list[str]:
        marker = _STEP if _STEP.search(text) else _NUMBER
        starts = [match.start() for match in marker.finditer(text)]
        cuts = [0, *(at for at in starts if at), len(text)]
        return [text[i:j] for i, j in pairwise(cuts) if i < j]


@dataclass(frozen=True, slots=True)
class AfterMarker:
    """A step ends right after the next "Step k:", as the states of MARGE's step-based runs do. To
    be used with a `lead` that ends in "Step 1:"."""

    stop: tuple[str, ...] = ()
    glue: str = ""
    tokens: ClassVar[int] = 0
    nats: ClassVar[float] = 0.0

    def whole(self, text: str) -> bool:
        return True

    def split(self, text: str) -> list[str]:
        return [piece for piece in _TO_MARKER.findall(text) if piece]


@dataclass(frozen=True, slots=True)
class Words:
    """A step is `size` words and the space before each: with `size=1` and `states=5`, MARGE's
    states of equal length."""

    size: int = 1
    stop: tuple[str, ...] = ()
    glue: str = ""
    tokens: ClassVar[int] = 0
    nats: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError("size must be at least 1")

    def whole(self, text: str) -> bool:
        return True

    def split(self, text: str) -> list[str]:
        words = [piece for piece in re.split(r"(?<=\S)(?=\s)", text) if piece]
        return ["".join(words[at : at + self.size]) for at in range(0, len(words), self.size)]


@dataclass(frozen=True, slots=True)
class Tokens:
    """A step is `size` sampled tokens, wherever they end. Text that is there already is cut at the
    end of the word behind every 4 * `size` characters, which is about as much.

    As they may end inside of an answer, a step ends the solution where the policy ends its turn, or
    where the step closes a box; behind that nobody ended it, and nothing teaches to.

    size: sampled tokens of a step.
    stop: strings that end a sample beside that; none.
    glue: what joins two steps; nothing.
    """

    size: int = 64
    stop: tuple[str, ...] = ()
    glue: str = ""
    nats: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError("size must be at least 1")

    @property
    def tokens(self) -> int:
        return self.size

    def whole(self, text: str) -> bool:
        return True

    def split(self, text: str) -> list[str]:
        return re.findall(rf"(?s).{{1,{4 * self.size}}}\S*", text)


@dataclass(frozen=True, slots=True)
class Entropy:
    """A step ends behind a decision: sampled in pieces of `size` tokens, it goes on until a piece
    was uncertain, so siblings part where the model might say one thing or another.

    nats: mean of -log p over the piece's tokens, at temperature 1, from which a piece is uncertain:
        one sample's estimate of the entropy there (2506.11902 forks at tokens by the same -log p).

    It needs an engine that tells log-probabilities. Text that is there already is cut as `Tokens`
    cuts it.
    """

    size: int = 16
    nats: float = 0.5
    stop: tuple[str, ...] = ()
    glue: str = ""

    def __post_init__(self) -> None:
        if self.size < 1 or self.nats <= 0:
            raise ValueError("size must be at least 1, and nats above 0")

    @property
    def tokens(self) -> int:
        return self.size

    def whole(self, text: str) -> bool:
        return True

    def split(self, text: str) -> list[str]:
        return Tokens(self.size).split(text)


def going_on(text: str) -> bool:
    """Whether what `text` began must follow: a code block or a formula is open, its last paragraph
    announces something (a heading or a label by itself, a colon at its end, "Sure!") or is one item
    of a list, or all of it is a formula. What is long already need not."""
    if len(text) > _LONGEST:
        return False
    formula = "\\" in text or "$$" in text  # most steps have none, and this is asked of every one
    if text.count("```") % 2 or text.count("~~~") % 2 or (formula and _open_formula(text)):
        return True
    last = text.rpartition("\n\n")[2].strip()
    if "\n" not in last and (last.rstrip("*_").endswith(":") or _is_label(last)):
        return True
    if last[:1] in "-*+•" and _BULLET.match(last) and len(_BULLET.findall(last)) == 1:
        return True
    return formula and bool(_FORMULA.fullmatch(text))


def _is_label(line: str) -> bool:
    if line[:1] in _ASSENTS and _ASSENT.fullmatch(line):
        return True
    if len(line) > 24 and line[0] not in _LABELS and "step" not in line.casefold():
        return False  # as most lines: no label is longer that does not begin so
    return _LABEL.fullmatch(line) is not None


def _open_formula(text: str) -> bool:
    """Whether a formula began in one of the last paragraphs and did not end: what began further
    back never will, as LaTeX allows none a blank line."""
    late = "\n\n".join(text.rsplit("\n\n", _FORMULA_PARAGRAPHS)[-_FORMULA_PARAGRAPHS:])
    return (
        ("\\[" in late and text.count("\\[") > text.count("\\]"))
        or ("$$" in late and text.count("$$") % 2 == 1)
        or ("\\begin{" in late and text.count("\\begin{") > text.count("\\end{"))
    )


_LONGEST = 1_500  # characters of a step behind which nothing is waited for any more
_FORMULA_PARAGRAPHS = 4  # models do put blank lines into formulas, but few

_PARAGRAPH = re.compile(r".*?(?:\n\s*\n\s*|\Z)", re.DOTALL)
_MACRO = r"\\(?:text(?:bf|it)|(?:sub){0,2}section\*?|paragraph\*?)\{"
_MARK = r"(?:#{1,6}[ \t]+)?(?:\*\*|__)?"
_ANY_MARK = (
    rf"[ \t]{{0,3}}(?:>[ \t]?)?(?:[-*+•][ \t]+)?(?:#{{1,6}}[ \t]+)?(?:\*{{1,3}}|__?|{_MACRO})?"
)
_ONE = r"(?i:one|two|three|four|five|six|seven|eight|nine|ten)"
_STEP_K = (
    rf"(?:S(?:tep|TEP)[ \t]+(?:#?\d{{1,3}}|{_ONE})\b"
    r"|步骤[ \t]?\d{1,3}|第[ \t]?\d{1,3}[ \t]?步)"
)
_CLOSED = r"(?:\*{1,3}|\})?"
_STEP = re.compile(rf"(?m)^{_ANY_MARK}{_STEP_K}")
_NUMBER = re.compile(rf"(?m)^{_MARK}\d{{1,2}}[.)](?:\*\*|__)?[ \t]")
_TO_MARKER = re.compile(
    rf"(?ms).*?(?:Step \d+:(?:\*\*)?|^{_ANY_MARK}{_STEP_K}{_CLOSED}[:：.]?{_CLOSED}|\Z)"
)
_LABEL = re.compile(
    r"#{1,6}[ \t].*|(\*\*|__)[^\n]*\1[.:]?|-{3,}|\*{3,}"
    r"|\d{1,2}[.)](?:[ \t]+(?:\*\*|__)[^\n*]*(?:\*\*|__)[.:]?)?"
    rf"|{_MACRO}[^{{}}\n]*\}}[.:]?"
    r"|(?:let's|let us|let me|to solve|we (?:will|can))\b.*\bstep[- ]by[- ]step\b.*"
    rf"|(?:Step[ \t]+(?:\d{{1,3}}|{_ONE})|Solution|Explanation|Reasoning|Calculation)[.:]?",
    re.IGNORECASE,
)
_LABELS = "#*_-\\0123456789"
_ASSENT = re.compile(
    r"(?:sure|certainly|of course|absolutely|ok(?:ay)?|alright|great|understood)\b[^\d=]{0,120}",
    re.IGNORECASE,
)
_ASSENTS = "scoaguSCOAGU"
_BULLET = re.compile(r"(?m)^[ \t]*(?:[-*+•])[ \t]+")
_FORMULA = re.compile(r"\\\[.*\\\]|\$\$.*\$\$", re.DOTALL)


def split_evenly(items: Sequence[T], count: int) -> list[Sequence[T]]:
    """`items` cut into `count` runs of nearly equal length, the longer ones first; fewer runs if
    there are fewer items."""
    count = min(count, len(items))
    length, longer = divmod(len(items), count) if count else (0, 0)
    cuts = [run * length + min(run, longer) for run in range(count + 1)]
    return [items[start:end] for start, end in pairwise(cuts)]


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Index at which the first of the stop strings begins, None if the text has none."""
    return min((at for string in stop if (at := text.find(string)) >= 0), default=None)


def cut(text: str, stop: Sequence[str]) -> tuple[str, str] | None:
    """The text before the first of the stop strings, and that string; None if the text has none."""
    found = [(at, string) for string in stop if (at := text.find(string)) >= 0]
    if not found:
        return None
    at, string = min(found)
    return text[:at], string


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, without the space around them; none is empty."""
    return [stripped for part in text.split("\n\n") if (stripped := part.strip())]


def same_words(text: str) -> str:
    """Key of a text for comparison: blanks and case do not count."""
    return " ".join(text.split()).casefold()


def unformatted(text: str) -> str:
    """`text` without its formatting: texts that differ in formatting only become equal."""
    text = re.sub(r"(\d)\.0+\b", r"\1", text.casefold())
    text = re.sub(r"\\(?:boxed|text|mathrm)\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\\(?:left|right|[()\[\] ,;!])|[.,:;](?!\d)|[\s$`]|\*\*", "", text)
