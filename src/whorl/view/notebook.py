"""A tree in a notebook: its card of the report, in a frame of its own."""

from markupsafe import Markup

from whorl.report import Report, ReportTree
from whorl.tree import Tree
from whorl.view.report import render

HIGH = 640  # pixels of the frame


def tree_html(tree: Tree) -> Markup:
    """The tree as HTML for a notebook's cell: drawing, critique and revision, siblings of its main
    path. The frame has an origin of its own, so what models wrote can reach nothing outside."""
    page = render(Report(tree.problem.id, "", trees=(ReportTree(tree),)))
    frame = (
        '<iframe sandbox="allow-scripts" srcdoc="{}" width="100%" height="{}" '
        'frameborder="0" title="search tree"></iframe>'
    )
    return Markup(frame).format(str(page), HIGH)  # plain text, so that it is escaped
