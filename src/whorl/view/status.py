"""Status of a run as a part of its page."""

from whorl.view import templates
from whorl.view.shelf import Shown
from whorl.watch.status import Reader, Status


def status_of(shown: Shown) -> Status:
    """The status of a run, from its events."""
    status = Status()
    for event in Reader(shown.events).read():
        status.hear(event)
    return status


def live_part(shown: Shown, status: Status, now: float) -> str:
    """The status as a part of a page. now: seconds of Unix."""
    return templates.page("live.html", shown=shown, status=status, now=now, life=status.life(now))
