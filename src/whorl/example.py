"""What training eats."""

from dataclasses import dataclass

from whorl.ask import Prompt


@dataclass(frozen=True, slots=True)
class Weighted:
    """A completion to learn from.

    prompt: context, `prompt.prefix` included; carries no loss.
    text: the completion; ends the assistant's turn if `ended`.
    weight: multiplies its tokens' negative log-likelihood; 1 is plain supervised fine-tuning.
    origin: `problem id` + `#` + arm + `/` + node index: where it came from.
    """

    prompt: Prompt
    text: str
    weight: float = 1.0
    ended: bool = True
    origin: str = ""
