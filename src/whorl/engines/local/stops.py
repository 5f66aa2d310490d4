"""Stop strings, found in decoded text without decoding after every token."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whorl.chat import Chat
from whorl.steps import cut


class Stops:
    """Which tokens can complete a stop string, and where a text is to be cut.

    Only a token that holds the last character of a stop, or a piece of a character, can complete
    one; the others need no look at the text.
    """

    def __init__(self, chat: Chat, vocabulary: int) -> None:
        self._chat = chat
        self._vocabulary = vocabulary
        self._texts: list[str] | None = None
        self._masks: dict[tuple[str, ...], NDArray[np.bool_]] = {}

    def endings(self, stop: tuple[str, ...]) -> NDArray[np.bool_]:
        """`[vocabulary]`: tokens after which the text may end in one of `stop`."""
        mask = self._masks.get(stop)
        if mask is None:
            last = {string[-1] for string in stop if string}
            texts = self._token_texts() if last else ()
            mask = np.zeros(self._vocabulary, dtype=np.bool_)
            for token, text in enumerate(texts[: self._vocabulary]):
                mask[token] = "\ufffd" in text or not last.isdisjoint(text)
            self._masks[stop] = mask
        return mask

    def holding(self, stop: tuple[str, ...]) -> list[int]:
        """Tokens that hold a whole one of `stop`."""
        strings = [string for string in stop if string]
        if not strings:
            return []
        texts = enumerate(self._token_texts()[: self._vocabulary])
        return [token for token, text in texts if any(string in text for string in strings)]

    def find(self, ids: Sequence[int], stop: tuple[str, ...]) -> tuple[str, str] | None:
        """The text of `ids` up to the first match of `stop`, and what matched; None if nothing did.

        The match must touch the last token: earlier ends were looked at before.
        """
        window = max(len(string.encode()) for string in stop) + 4  # tokens
        window += self._chat.thoughts.longest
        tail = self._chat.decode(list(ids[-window:]))
        if not any(string in tail for string in stop):
            return None
        text = self._chat.decode(list(ids))
        return cut(text, stop)

    def _token_texts(self) -> list[str]:
        """Text of each token as it reads after another one: some tokenizers drop a space that
        opens the text."""
        if self._texts is None:
            anchor = self._chat.tokenizer("a", add_special_tokens=False)["input_ids"]
            before = self._chat.decode(anchor)
            self._texts = [
                text.removeprefix(before)
                for text in self._chat.tokenizer.batch_decode(
                    [[*anchor, token] for token in range(len(self._chat.tokenizer))],
                    skip_special_tokens=True,
                )
            ]
            for token, mark in self._chat.thoughts.last.items():
                self._texts[token] += mark
        return self._texts
