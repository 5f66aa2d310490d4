from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.example import Weighted
from whorl.learn.batches import Encoded, collate, encode, plan
from whorl.learn.losses import IGNORED


@given(
    st.lists(st.integers(1, 500), max_size=300),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_a_plan_holds_every_example_once_an_epoch(
    lengths: list[int], size: int, epochs: int, seed: int
) -> None:
    batches = plan(lengths, size=size, epochs=epochs, seed=seed)
    assert all(1 <= len(batch) <= size for batch in batches)
    per_epoch = len(batches) // epochs
    for epoch in range(epochs):
        seen = [i for batch in batches[epoch * per_epoch : (epoch + 1) * per_epoch] for i in batch]
        assert sorted(seen) == list(range(len(lengths)))
    assert batches == plan(lengths, size=size, epochs=epochs, seed=seed)


def test_batches_hold_similar_lengths_in_an_order_of_their_own() -> None:
    lengths = [1 + i * 7 % 400 for i in range(400)]
    batches = plan(lengths, size=8, epochs=2, seed=0)
    padding = sum(max(lengths[i] for i in b) * len(b) for b in batches) / (2 * sum(lengths))
    assert padding < 1.05
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest != sorted(longest)
    assert batches[:50] != batches[50:]


def test_collating_pads_and_labels_the_completion_only() -> None:
    batch = collate(
        [
            Encoded(torch.tensor([5, 6, 7], dtype=torch.int32), 1, 0.5),
            Encoded(torch.tensor([8, 9, 8, 9], dtype=torch.int32), 3, 1.0),
        ]
    )
    assert batch["ids"].tolist() == [[5, 6, 7, 0], [8, 9, 8, 9]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7, IGNORED], [IGNORED] * 3 + [9]]
    assert batch["weights"].tolist() == [0.5, 1.0]


def test_encoding_drops_by_reason(tiny_model: Path) -> None:
    chat = Chat.load(tiny_model)
    fits = Weighted(Prompt("", "1+1?"), "2")
    length = len(chat.encode_completion(fits.prompt, fits.text)[0])
    corpus = encode(
        [fits, Weighted(Prompt("", "1+1?"), "2 3"), Weighted(Prompt("", "q"), "", ended=False)],
        chat,
        max_length=length,
    )
    assert corpus.dropped == {"too long": 1, "empty": 1}
    assert [len(example.ids) for example in corpus.examples] == [length]
    assert corpus.tokens == 2  # "2" and the end of the turn
