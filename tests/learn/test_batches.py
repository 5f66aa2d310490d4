import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whorl.example import Likelihood, Objective, Preference
from whorl.learn.batches import Steps, deal, empty_batch, plan_steps
from whorl.learn.corpus import Encoded, TokenPath
from whorl.learn.losses import batch_loss
from whorl.learn.pack import Packing

GROUPS = st.lists(
    st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=6), min_size=1, max_size=12),
    min_size=1,
    max_size=12,
)


def encode(groups: list[list[list[int]]]) -> list[list[Encoded]]:
    number = iter(range(10**6))
    return [
        [Encoded((TokenPath(np.array(ids, np.int32), 1),), 1.0, next(number)) for ids in group]
        for group in groups
    ]


@given(GROUPS, st.integers(1, 9), st.integers(1, 3), st.integers(0, 9))
def test_a_plan_holds_every_example_once_an_epoch(
    groups: list[list[list[int]]], size: int, epochs: int, seed: int
) -> None:
    encoded = encode(groups)
    planned = plan_steps(encoded, size=size, epochs=epochs, seed=seed)
    assert len(planned) == epochs
    every = sorted(example.first for group in encoded for example in group)
    for steps in planned:
        assert sorted(example.first for step in steps for example in step) == every
        assert all(1 <= len(step) <= size for step in steps)
    again = plan_steps(encoded, size=size, epochs=epochs, seed=seed)
    assert [[e.first for e in s] for s in planned[-1]] == [[e.first for e in s] for s in again[-1]]


@given(GROUPS, st.integers(1, 9), st.integers(0, 9))
def test_a_batch_of_states_holds_all_completions_of_each(
    groups: list[list[list[int]]], size: int, seed: int
) -> None:
    encoded = encode(groups)  # the first id of each is its context
    kept = {example.first: number for number, group in enumerate(encoded) for example in group}

    def state(example: Encoded) -> tuple[int, int]:
        return kept[example.first], int(example.paths[0].ids[0])

    (steps,) = plan_steps(encoded, size=size, epochs=1, seed=seed, of="states")
    assert sorted(e.first for step in steps for e in step) == sorted(kept)
    held = [{state(example) for example in step} for step in steps]
    assert all(1 <= len(states) <= size for states in held)
    assert sum(map(len, held)) == len({state(e) for group in encoded for e in group})


@given(GROUPS, st.integers(12, 20))
def test_questions_stay_together_where_they_fit(groups: list[list[list[int]]], size: int) -> None:
    encoded = encode(groups)
    ((*steps,),) = plan_steps(encoded, size=size, epochs=1, seed=0)
    for group in encoded:
        numbers = {example.first for example in group}
        assert sum(bool(numbers & {e.first for e in step}) for step in steps) == 1


def test_no_two_epochs_are_in_the_same_order() -> None:
    encoded = encode([[[1, n]] for n in range(50)])
    first, second = plan_steps(encoded, size=5, epochs=2, seed=0)
    assert [[e.first for e in step] for step in first] != [[e.first for e in s] for s in second]


@given(GROUPS, st.integers(1, 4))
def test_processes_get_equally_many_batches_and_every_example_once(
    groups: list[list[list[int]]], processes: int
) -> None:
    work = [[group] for group in encode(groups)]
    hands = deal(work, processes)
    assert len(hands) == processes
    assert len({len(hand) for hand in hands}) == 1
    dealt = sorted(e.first for hand in hands for rows in hand for row in rows for e in row)
    assert dealt == sorted(e.first for rows in work for row in rows for e in row)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_what_processes_compute_adds_up_to_the_step(processes: int) -> None:
    """The coefficients of a step's tokens add up to 1, however it is dealt out."""
    (group,) = encode([[[1, 2, 3, n % 4, n] for n in range(5, 12)]])
    steps = Steps([group[:3], group], Likelihood(), Packing(12, "gathered"), processes=processes)
    assert len(steps) == 2 * processes
    for step in range(2):
        mine = [steps[step * processes + process] for process in range(processes)]
        weights = sum(float(batch["weights"].sum()) for hand in mine for batch in hand)
        assert weights == pytest.approx(1.0)


def test_every_process_has_something_to_do() -> None:
    """All of the step would fit into one batch."""
    groups = encode([[[n, 1, 2, 3, 4, 5, m] for m in range(5, 9)] for n in range(6)])
    step = [example for group in groups for example in group]
    steps = Steps([step], Likelihood(), Packing(1000, "gathered"), processes=2)
    sizes = [sum(batch["ids"].numel() for batch in steps[process]) for process in range(2)]
    assert max(sizes) < 1.5 * min(sizes)


def test_sharing_counts_what_is_computed_once() -> None:
    (group,) = encode([[[1, 2, 3, 4, n] for n in range(5, 15)]])
    assert Steps([group], Likelihood(), Packing(1000, "gathered")).sharing() == 50 / 14
    assert Steps([group], Likelihood(), Packing(1000, "padded")).sharing() == 1.0


@pytest.mark.parametrize(
    "objective", [Likelihood(), Likelihood(kl=1.0), Likelihood(kl=1.0, penalty="k3"), Preference()]
)
def test_nothing_costs_nothing(objective: Objective) -> None:
    logits = torch.randn(1, 1, 5, requires_grad=True)
    loss = batch_loss(objective, empty_batch(), logits, torch.randn(1, 1, 5))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and not logits.grad.any()
