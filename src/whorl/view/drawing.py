"""A search tree drawn as SVG: depth to the right, siblings below each other, one row a leaf."""

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

from markupsafe import Markup

from whorl.errors import visible
from whorl.evaluate.scores import verdict
from whorl.report.text import clip
from whorl.tree import NO_PARENT, ROOT, Node, Tree

ACROSS, DOWN = 64, 26  # pixels between a step and the next, between siblings
MARGIN = 24
SHADES = 10


@dataclass(frozen=True, slots=True)
class Place:
    """Place of a node in the drawing."""

    x: float
    y: float


def laid_out(tree: Tree) -> list[Place]:
    """The place of each node: leaves in rows, depth first from above, a parent in the middle of its
    children. No two share a place."""
    nodes = tree.nodes
    depth = [0] * len(nodes)
    y = [0.0] * len(nodes)
    rows = 0
    stack = [ROOT]
    order = []
    while stack:
        i = stack.pop()
        order.append(i)
        if not nodes[i].children:
            y[i] = MARGIN + rows * DOWN
            rows += 1
        for child in reversed(nodes[i].children):
            depth[child] = depth[i] + 1
            stack.append(child)
    for i in reversed(order):
        if children := nodes[i].children:
            y[i] = (y[children[0]] + y[children[-1]]) / 2
    return [Place(MARGIN + ACROSS * depth[i], y[i]) for i in range(len(nodes))]


def drawn(tree: Tree, selected: int, address: Callable[[int], str]) -> Markup:
    """The drawing. A node's colour is the mean outcome of its visits, its size how many they were,
    its shape who wrote it; it links to the `address` of its node."""
    places = laid_out(tree)
    wide = max(place.x for place in places) + 2 * MARGIN
    high = max(place.y for place in places) + MARGIN
    svg = Xml.Element(
        "svg",
        {
            "class": "drawing",
            "viewBox": f"0 0 {wide:.0f} {high:.0f}",
            "width": f"{wide:.0f}",
            "height": f"{high:.0f}",
            "role": "group",
            "aria-label": "search tree",
        },
    )
    edges = Xml.SubElement(svg, "g", {"class": "edges"})
    chosen = set(tree.path(tree.tip))
    for i, node in enumerate(tree.nodes):
        if node.parent != NO_PARENT:
            a, b = places[node.parent], places[i]
            kind = "edge chosen" if i in chosen else "edge"
            Xml.SubElement(edges, "path", {"class": kind, "data-to": str(i), "d": _curve(a, b)})
    most = max(node.visits for node in tree.nodes)
    for i in range(len(tree.nodes)):
        link = _node(tree, i, places[i], most, chosen=i in chosen, selected=i == selected)
        link.set("href", address(i))
        svg.append(link)
    return Markup(Xml.tostring(svg, encoding="unicode"))


def _curve(a: Place, b: Place) -> str:
    middle = (a.x + b.x) / 2
    return f"M{a.x:g} {a.y:g}C{middle:g} {a.y:g} {middle:g} {b.y:g} {b.x:g} {b.y:g}"


def _node(
    tree: Tree, i: int, place: Place, most: int, *, chosen: bool, selected: bool
) -> Xml.Element:
    node = tree.nodes[i]
    kinds = ["node", shade(node), node.author or "root"]
    kinds += [word for word, holds in (("chosen", chosen), ("pruned", node.pruned)) if holds]
    if node.terminal:
        kinds.append(verdict(node.reward))
    link = Xml.Element(
        "a",
        {
            "class": visible(" ".join(kinds)),
            "data-node": str(i),
            "data-parent": str(node.parent),
            "data-prm": "" if node.value is None else _tenth(node.value),
            "transform": f"translate({place.x:g} {place.y:g})",
            "tabindex": "0" if selected else "-1",
        },
    )
    if selected:
        link.set("aria-current", "true")
    radius = 4 + 6 * (node.visits / most) ** 0.5 if most else 5.0
    link.append(_shape(node, radius))
    if node.terminal:
        sign = {"right": "✓", "wrong": "✗", "undecided": "?"}[verdict(node.reward)]
        Xml.SubElement(link, "text", {"x": f"{radius + 3:g}", "y": "4"}).text = sign
    Xml.SubElement(link, "title").text = _said(i, node)
    return link


def _shape(node: Node, radius: float) -> Xml.Element:
    """A disc for the policy, a diamond for the reviser, a square for whoever else wrote it."""
    if node.author in ("policy", "rollout", "spine", "guide", ""):
        return Xml.Element("circle", {"r": f"{radius:.1f}"})
    side = f"{2 * radius:.1f}"
    square = {"x": f"{-radius:.1f}", "y": f"{-radius:.1f}", "width": side, "height": side}
    if node.author == "reviser":
        square["transform"] = "rotate(45)"
    return Xml.Element("rect", square)


def _tenth(share: float) -> str:
    return f"v{round(SHADES * min(1.0, max(0.0, share)))}"


def shade(node: Node) -> str:
    """The class of a node's colour: its mean outcome in tenths; `none` if it was not visited."""
    if not node.visits:
        return _tenth(node.reward) if node.reward is not None else "none"
    return _tenth(node.mean)


def _said(i: int, node: Node) -> str:
    """Tooltip of a node."""
    excerpt = clip(" ".join(node.text.split()), 120)
    facts = [f"node {i}", visible(node.author) or "the question"]
    if node.visits:
        facts.append(f"{node.visits} visits, mean {node.mean:.2f}")
    if node.value is not None:
        facts.append(f"PRM {node.value:.2f}")
    if node.mark:
        facts.append(node.mark)
    return f"{', '.join(facts)}\n{visible(excerpt.text)}{'…' if excerpt.left_out else ''}"
