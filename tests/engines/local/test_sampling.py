"""A drawn token lies where its number says, whatever the vocabulary's size."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.engines.local.sampling import draw

SIZES = st.sampled_from([1, 2, 127, 128, 129, 256, 1000])


@given(size=SIZES, seed=st.integers(0, 10_000), u=st.floats(1e-9, 1.0), t=st.floats(0.1, 2.0))
def test_the_cumulative_mass_reaches_the_number_at_the_token(
    size: int, seed: int, u: float, t: float
) -> None:
    scores = torch.randn(1, size, generator=torch.Generator().manual_seed(seed)) * 6
    scores[0, size // 2 + 1 :] -= torch.inf  # as if they were no tokens
    token, told = draw(scores, *_settings([u], t))
    chance = (scores / t).double().softmax(-1)[0]
    reached = chance.cumsum(0)
    assert chance[token] > 0
    assert reached[token] - chance[token] - 1e-6 <= u <= reached[token] + 1e-6
    assert torch.allclose(told, scores.log_softmax(-1)[0, token])


@settings(max_examples=20)
@given(u=st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=9), t=st.floats(0.1, 2.0))
def test_a_row_is_drawn_as_if_it_were_alone(u: list[float], t: float) -> None:
    """With a vocabulary of which few rows are worked on at once, in sixteen bits as in 32."""
    scores = (
        torch.randn(len(u), 100_000, generator=torch.Generator().manual_seed(0)) * 4
    ).bfloat16()
    together = draw(scores, *_settings(u, t))
    alone = [
        draw(row[None].float(), *_settings([own], t)) for row, own in zip(scores, u, strict=True)
    ]
    for all_of_it, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.equal(all_of_it, torch.cat(parts))


def test_what_is_no_number_is_told_and_ends_nothing() -> None:
    scores = torch.zeros(3, 300)
    scores[0, 5], scores[1] = torch.nan, -torch.inf
    tokens, told = draw(scores, *_settings([1.0, 0.5, 0.5], 0.7))
    assert bool((tokens < 300).all())
    assert told.isfinite().tolist() == [False, False, True]


def test_the_coldest_temperatures_are_greedy() -> None:
    scores = torch.randn(1, 300, generator=torch.Generator().manual_seed(0)) * 6
    for cold in (1e-6, 1e-40, 5e-324):
        assert draw(scores, *_settings([0.7], cold))[0] == scores.argmax(-1)


def test_the_most_probable_tokens_only() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().expand(50, 4)
    numbers = torch.linspace(0.01, 1.0, 50, dtype=torch.double)
    top_p = torch.full((50,), 0.7, dtype=torch.double)
    tokens, _ = draw(scores, numbers, torch.ones(50, dtype=torch.double), top_p)
    assert set(tokens.tolist()) == {0, 1}


def _settings(u: list[float], t: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Numbers, temperatures and top_p of as many rows."""
    ones = torch.ones(len(u), dtype=torch.double)
    return torch.tensor(u, dtype=torch.double), ones * t, ones
