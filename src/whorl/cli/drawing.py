"""Search trees, and the attempts of an evaluation, drawn with characters."""

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree as Drawing

from whorl.errors import visible
from whorl.evaluate import Record
from whorl.report.critiques import searched_path
from whorl.report.text import clip
from whorl.tree import ROOT, Node, Tree

LONGEST = 400  # characters of a step or note
LINE = 72  # characters of a step that has one line


def tree_line(tree: Tree) -> RenderableType:
    """A tree in one line: problem, arm, whether solved, sizes."""
    right = sum(tree.nodes[leaf].reward == 1.0 for leaf in tree.leaves())
    solutions = sum(1 for _ in tree.leaves())
    outcome = "solved" if solved(tree) else "not solved"
    arm = tree.provenance.get("arm", "")
    name = f"{tree.problem.id} {arm}".strip()
    line = f"{name}: {outcome}, {len(tree.nodes) - 1} steps, {right}/{solutions} solutions right: "
    return Text(visible(line + _short(tree.problem.question, 60)))


def solved(tree: Tree) -> bool:
    """Whether the solution that the recipe chose is right."""
    return tree.nodes[tree.tip].reward == 1.0


def tree_drawing(tree: Tree, *, notes: bool, compact: bool = False) -> RenderableType:
    """A tree drawn with characters: visits and mean outcome at each step, the chosen solution
    marked.

    compact: only the chosen solution, or the best that was found, and the siblings of its steps,
        each in a line that also says what lies below it.
    """
    chosen = set(tree.path(tree.tip))
    main = {ROOT, *(chosen or searched_path(tree))}
    longest = LINE if compact else LONGEST
    head = f"{tree.problem.question}\n[answer: {tree.problem.answer}]"
    drawings = {ROOT: Drawing(Text(visible(head), "bold"), guide_style="dim")}
    for index, node in enumerate(tree.nodes[1:], start=1):
        if compact and node.parent not in main:
            continue
        label = _label(node, index in chosen, longest)
        if compact and index not in main:
            label.append(_below(tree, index), "dim")
        if notes and node.note:
            label.append(f"\n{_short(node.note, LONGEST)}", "italic yellow")
        drawings[index] = drawings[node.parent].add(label)
    return drawings[ROOT]


def _below(tree: Tree, index: int) -> str:
    """Steps and ends below a node, in words; nothing if there are none."""
    found, stack = list[Node](), list(tree.nodes[index].children)
    while stack:
        found.append(tree.nodes[stack.pop()])
        stack.extend(found[-1].children)
    ends = [node for node in found if node.terminal]
    right = sum(node.reward == 1.0 for node in ends)
    steps = f"{len(found):,} {'step' if len(found) == 1 else 'steps'} below"
    return f"  … {steps}, {right}/{len(ends)} right" if found else ""


def attempts_line(record: Record) -> RenderableType:
    """The attempts at a problem in one line."""
    right = sum(attempt.right == 1.0 for attempt in record.attempts)
    undecided = sum(attempt.right is None for attempt in record.attempts)
    outcome = record.error or f"{right}/{len(record.attempts)} right"
    doubt = f", {undecided} undecided" if undecided else ""
    line = f"{record.problem.id}: {outcome}{doubt}, answer {record.problem.answer}: "
    return Text(visible(line) + _short(record.problem.question, 60))


def attempts_text(record: Record) -> RenderableType:
    """The attempts at a problem in full, each with its verdict and the reason."""
    problem = record.problem
    text = Text(visible(f"{problem.question}\n[answer: {problem.answer}]\n"), "bold")
    for number, attempt in enumerate(record.attempts, start=1):
        verdict = {1.0: "right", 0.0: "wrong", None: "undecided"}[attempt.right]
        style = {1.0: "green", 0.0: "red", None: "yellow"}[attempt.right]
        answer = "no answer" if attempt.answer is None else attempt.answer
        cut = ", cut off" if attempt.finished == "length" else ""
        head = f"\n{number}. {verdict}: {answer} ({attempt.reason}; {attempt.tokens} tokens{cut})\n"
        text.append(visible(head), style).append(visible(attempt.text.rstrip()) + "\n")
    return text.append(visible(f"\nfailed: {record.error}\n"), "red") if record.error else text


def _label(node: Node, chosen: bool, longest: int) -> Text:
    label = Text("* " if chosen else "", "bold green")
    style = {1.0: "green", 0.0: "red", None: ""}[node.reward]
    label.append(_short(node.text, longest), "dim" if node.pruned else style)
    facts: list[str] = [node.author] if node.author != "policy" else []
    if node.visits:
        facts.append(f"{node.visits} visits, mean {node.mean:.2f}")
    if node.copies > 1:
        facts.append(f"{node.copies} copies")
    if node.reward is not None:
        facts.append("right" if node.reward == 1.0 else "wrong")
    if node.pruned:
        facts.append(f"pruned: {node.mark}" if node.mark else "pruned")
    elif node.mark:
        facts.append(node.mark)
    return label.append(f"  [{', '.join(facts)}]", "dim") if facts else label


def _short(text: str, limit: int) -> str:
    excerpt = clip(" ".join(text.split()), limit)
    return visible(excerpt.text) + ("…" if excerpt.left_out else "")
