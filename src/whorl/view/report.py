"""A report as one HTML file that one can mail, made of the parts of the viewer's pages."""

import os
from base64 import b64encode
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from markupsafe import Markup

from whorl.errors import UserError
from whorl.report import Report, ReportTree
from whorl.view import templates
from whorl.view.address import Files
from whorl.view.treepage import brief, opened

LARGEST = 3_000_000  # bytes of all trees together, after which no further one is shown
NODES = 400  # of a tree that is drawn


def write_report(path: Path, report: Report) -> None:
    """Write `report` to `path` as one HTML file that loads nothing from anywhere.

    The same report gives the same bytes. A file that was there is replaced at once or not at all.
    Raises UserError if it cannot be written.
    """
    page = render(report).encode()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _tidy(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        reason = error.strerror or str(error)
        raise UserError(f"cannot write the report {path}: {reason}; choose another place") from None


def _tidy(path: Path) -> None:
    """Remove files of processes that were killed while they wrote the same report."""
    for draft in path.parent.glob(f".{path.name}.*"):
        writer = draft.name.rpartition(".")[2]
        if writer.isdecimal():
            try:
                os.kill(int(writer), 0)
            except ProcessLookupError:
                draft.unlink(missing_ok=True)
            except OSError:  # somebody else's
                pass


def render(report: Report) -> str:
    """The page; only style and script named by their hash in its policy can take effect.

    Trees are laid out in full, then without the steps beside their main path, then not at all, as
    far as `LARGEST` allows.
    """
    style, script = templates.read("view.css"), templates.read("view.js")
    cards, size = list[Markup](), 0
    for number, grown in enumerate(report.trees):
        if size > LARGEST:
            break
        card = _card(grown, number, full=size < LARGEST / 2)
        cards.append(card)
        size += len(card.encode())
    return templates.page(
        "report.html",
        report=report,
        cards=cards,
        left_out=len(report.trees) - len(cards),
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
    )


def _card(grown: ReportTree, number: int, *, full: bool) -> Markup:
    """A tree, folded away but for the first. full: with its drawing and steps side by side, unless
    it has too many nodes for that."""
    to = Files(prefix=f"t{number}", examples=False)
    small = len(grown.tree.nodes) <= NODES
    page = brief(grown, to) if full and small else opened(grown, to, 0)
    return Markup(templates.page("card.html", page=page, open=not number, drawn=small))


def digest(source: str) -> str:
    """The name by which a policy allows a style or a script."""
    return f"sha256-{b64encode(sha256(source.encode()).digest()).decode()}"
