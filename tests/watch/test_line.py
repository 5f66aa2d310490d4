"""Lines about a stage: counts that add up, and what is left."""

from whorl.ask import Ask, Prompt, Replies, Reply
from whorl.budget import Budget, Price, Prices
from whorl.budget.purse import Purse
from whorl.engines.function import Function
from whorl.engines.meter import Meter
from whorl.watch import Progress
from whorl.watch.line import clock, counts_line, training_line


def test_progress_says_how_far_and_how_long() -> None:
    assert counts_line(Progress(total=10), 0.0) == "0/10 done, 0 tokens, 0:00"
    half = Progress(total=10, done=3, errors={"a": "b"}, found=2, recalled=1500)
    assert counts_line(half, 8.0) == (
        "5/10 done, 2 of them before, 1 failed, 1,500 asks recalled, 0 tokens, 0:08 left"
    )
    assert counts_line(Progress(total=2, done=2), 3725.0).endswith(", 1:02:05")
    assert clock(59.6) == "1:00"


def test_progress_says_what_is_asked_known_and_spent() -> None:
    prices = Prices(Price(prompt=1.0, sampled=100.0))
    purse = Purse(Budget(seconds=60.0, prices=prices))
    meter = Meter(purse.wrap(Function(answered)))
    progress = Progress(total=4, done=1, short=1, meters=[meter], purse=purse)
    for ticket in range(3):
        meter.submit(ticket, Ask(Prompt("", "a"), n=2))
    assert counts_line(progress, 9.0) == (
        "1/4 done, 1 cut short, waiting for the first answers, 3 in flight, 0:27 left, 0.00 spent"
    )
    meter.poll(0.0)
    # 3 * 2 replies of 5,000 tokens to 40,000 new ones, of which 30,000 were known
    assert counts_line(progress, 10.0, rate=123.4) == (
        "1/4 done, 1 cut short, 30,000 tokens, 123/s, 0:30 left, 3.12 spent, 75 % cached"
    )
    assert ", 30,000 tokens, 0:30 left" in counts_line(progress, 10.0, rate=0.0)  # long answers
    assert ", 1:00 left, " in counts_line(progress, 100.0)  # the budget's end is nearer
    progress.purse = Purse(Budget(seconds=1e-9))
    assert ", 1:40, " in counts_line(progress, 100.0)  # it is over
    progress.done = 4
    assert ", 1:40, " in counts_line(progress, 100.0)


def answered(ask: Ask) -> Replies:
    return Reply(tokens=5000, prompt_tokens=40_000, cached_tokens=30_000), Reply(tokens=5000)


def test_training_says_what_is_left_where_that_is_known() -> None:
    assert training_line(1, 9, 0.25, None) == "train: step 1/9, loss 0.2500"
    assert training_line(3, 9, 0.25, 90.0) == "train: step 3/9, loss 0.2500, 1:30 left"
