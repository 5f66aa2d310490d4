"""A driver's side of a search elsewhere: what comes home is recorded, and paid once."""

from pathlib import Path

from whorl.ask import Ask, Prompt, Reply, digest
from whorl.budget import Budget
from whorl.budget.purse import Purse
from whorl.engines.cluster.leases import Leases
from whorl.engines.cluster.stage import Sent, Stage
from whorl.engines.cluster.worker import Batch
from whorl.engines.journal import Journal

COUNTS = dict.fromkeys(("tokens", "prompt_tokens", "cached_tokens", "in_flight", "recalled"), 0)


def test_samples_that_were_on_record_are_not_paid_again(tmp_path: Path) -> None:
    name = bytes.fromhex(digest(Ask(Prompt("", "q"), n=4)))
    replies = tuple(Reply(f"{number}", tokens=100) for number in range(4))
    with Journal(tmp_path / "journal.db") as journal:
        journal.record([(name, "policy", replies[:3])])
        journal.learn()
        purse = Purse(Budget(tokens=10_000))
        purse.count(journal.path, journal.usage(), 0)
        stage = Stage(1, journal, Sent(), 0, Leases(4, 3))
        home = Batch([(name, "policy", replies)], [], COUNTS)  # type: ignore[arg-type]
        assert not list(stage.keep("hand", home, purse))  # type: ignore[arg-type]
        assert purse.spent.tokens == 400
        assert journal.recall(name) == replies
