"""SIGMA's refinement: a path on its way through critic and reviser, and what a tree tells of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypedDict

from whorl import prompts
from whorl.answer import concluded, normalise
from whorl.answer.thoughts import parted, without_thoughts
from whorl.ask import Ask, Asking, Prompt, Reply, Role
from whorl.credit import best_path, siblings
from whorl.prompts import Candidate
from whorl.prompts.critique import Critique, read_critique, read_critiques, repeats_request
from whorl.prompts.revision import became, ending, made_of, read_solution, read_step, spaced
from whorl.prompts.unseen import speaks_of_unseen
from whorl.prompts.wording import Wording
from whorl.rollout import add_solution, judge_ends, sample, step_node
from whorl.steps import same_words
from whorl.tree import ROOT, Mark, Tree

if TYPE_CHECKING:
    from whorl.recipes.sigma import Sigma

ASKED: tuple[Mark, ...] = ("ignored critique", "formatting only", "revised")
"""Marks of steps that the reviser was asked to rewrite; see `made_of`."""

_ANSWERS = 4  # wrong ones of the policy that are told; more crowd the problem out


class _Told(TypedDict):
    """Parts that every prompt is made with: the gold answer, if it may be shown, and the words."""

    gold: str | None
    words: Wording


HEARD: tuple[Mark, ...] = (
    "critique cut off",
    "empty critique",
    "critique repeats request",
    "critique in prose",
    "critique without verdict",
)
"""Marks of steps whose critique was not what the critic was asked for."""


def best_own(tree: Tree, how: Literal["mean", "first"] = "mean") -> int:
    """The end of the best path among the policy's own solutions; the root if there is none. `first`
    is the first right one that the authors' script finds, or else the one of highest Q."""
    own = [leaf for leaf in tree.leaves() if tree.first_hand(leaf)]
    if how == "mean" or not own:
        return best_path(tree, own)
    right = [leaf for leaf in own if tree.nodes[leaf].reward == 1.0]
    # depth first from a stack: of two children the last one is looked at first
    return max(right, key=tree.path) if right else max(own, key=lambda leaf: tree.nodes[leaf].mean)


def if_right(tree: Tree, end: int) -> int:
    """The end of a path if it is right, else the root."""
    return end if tree.nodes[end].reward == 1.0 else ROOT


def ends_of_tries(tree: Tree) -> list[int]:
    """Last nodes of the refinement's tries, in order, without tries that were cut short."""
    nodes = tree.nodes
    ends = (i for i, n in enumerate(nodes) if (n.terminal or n.pruned) and not n.children)
    return [i for i in ends if any(nodes[step].author == "reviser" for step in tree.path(i))]


def wrong_answers(tree: Tree) -> list[str]:
    """Answers of a tree that are known to be wrong: those in which most of the policy's solutions
    end, then those of the reviser. Numbers that are written alike but for their form count as
    one."""
    told: Counter[str] = Counter()
    tried: dict[str, str] = {}
    for leaf in tree.leaves():
        answer = concluded(tree.text(leaf)) if tree.nodes[leaf].reward == 0.0 else None
        if answer:
            known = tried.setdefault(normalise(answer), answer)
            told[known] += tree.nodes[leaf].copies if tree.first_hand(leaf) else 0
    own = [answer for answer, often in told.most_common() if often][:_ANSWERS]
    return own + [answer for answer, often in told.items() if not often]


def tells(tree: Tree, end: int) -> bool:
    """Whether a solution with a reviser's steps speaks of what only the reviser was shown."""
    if tree.first_hand(end):
        return False
    text = without_thoughts(tree.text(end))
    return speaks_of_unseen(text, tree.problem.question, wrong_answers(tree))


@dataclass(frozen=True, slots=True)
class Refinement:
    """The refinement of one best path by critic and reviser. Critiques are asked for once."""

    recipe: "Sigma"
    tree: Tree
    best: int
    critiques: dict[tuple[int, str], str] = field(default_factory=dict)

    def run(self) -> Asking[int]:
        """Revise, verify, try again, fall back; returns the tip."""
        recipe, tree = self.recipe, self.tree
        if recipe.mode == "afresh" and tree.nodes[self.best].reward == 1.0:
            return self.best  # nothing in it is known to be wrong
        missed, temperature = None, 0.0
        for _ in range(recipe.retries + 1):
            end = yield from self._attempt(missed, temperature)
            yield from judge_ends(tree, [end])
            right = tree.nodes[end].reward == 1.0
            if not recipe.check or (right and not tells(tree, end)):
                return end
            asked = any(mark in ASKED for mark in made_of(tree, end))
            if not asked and recipe.mode != "afresh":
                break  # another try would be the same
            missed = missed if right else concluded(tree.text(end))
            temperature = recipe.retry_temperature
        return if_right(tree, self.best)

    def _attempt(self, missed: str | None, temperature: float) -> Asking[int]:
        """One try. missed: the wrong answer of the one before; who solves afresh is told all."""
        if self.recipe.mode == "afresh":
            return self._solve_again(temperature)
        whole = self.recipe.mode == "whole_path"
        return (self._rewrite if whole else self._sweep)(missed, temperature)

    def _sweep(self, missed: str | None, temperature: float) -> Asking[int]:
        """Depth by depth: critique the step, revise it, go on behind the revised step."""
        tree, at = self.tree, ROOT
        for step in tree.path(self.best):
            critique = yield from self._critique(step, tree.text(at))
            at = yield from self._revise(at, step, critique, missed, temperature)
            if tree.nodes[at].terminal or tree.nodes[at].pruned:
                return at
        completion = replace(self.recipe.sampling, temperature=0.0)
        (at,) = yield from sample(tree, 1, completion, at=at)
        return at

    def _critique(self, step: int, prefix: str) -> Asking[str]:
        """The critic's reply on one step, kept in the step's note."""
        tree = self.tree
        if (step, prefix) not in self.critiques:
            shown, others = self._shown(step)
            prompt = prompts.critique_step(
                tree.problem.question,
                prefix,
                shown,
                others,
                **self._told,
            )
            reply = yield from self._heard(prompt, "critic", self.recipe.critic_tokens)
            self._keep(step, reply, [read_critique(reply.text)])
            self.critiques[step, prefix] = reply.text
        return self.critiques[step, prefix]

    def _revise(
        self, at: int, step: int, critique: str, missed: str | None, temperature: float
    ) -> Asking[int]:
        """Add the revised step below `at`; the mark of the new node says what the reviser did."""
        recipe, tree = self.recipe, self.tree
        thought, original = parted(tree.nodes[step].text)  # it stays the policy's
        counted = recipe.sampling.steps.tokens  # where a blank is part of the step
        reply = Reply(original if counted else original.rstrip(), "stop")
        if tree.nodes[step].terminal:
            reply = Reply(original.rstrip(), "eos")
        mark = self._spared([read_critique(critique)])
        if not mark:
            question, prefix = tree.problem.question, tree.text(at)
            prompt = prompts.revise_step(
                question, prefix, original, critique, **self._told, missed=missed
            )
            revised = yield from self._heard(prompt, "reviser", recipe.reviser_tokens, temperature)
            text = read_step(revised.text, original, prefix)
            mark = became(original, text)
            if self._taken(mark):
                # a reviser ends its turn after one step: only an answer ends the solution; and what
                # is cut off behind the step is no harm to it
                lost = revised.finished == "length" and revised.text.rstrip().endswith(text)
                how = ending(text)
                text = spaced(text, original) if counted else text
                reply = replace(revised, text=text, finished="length" if lost else how)
        reply = replace(reply, text=thought + reply.text)
        node = step_node(tree, at, reply, recipe.sampling, author="reviser")
        node.mark = node.mark or mark
        return tree.add(node)

    def _rewrite(self, missed: str | None, temperature: float) -> Asking[int]:
        """One critique of the whole path, one rewriting of it."""
        recipe, tree, question = self.recipe, self.tree, self.tree.problem.question
        path = tree.path(self.best)
        thought, original = parted(tree.text(self.best))
        if not self.critiques:
            steps, others = zip(*map(self._shown, path), strict=True)
            prompt = prompts.critique_path(question, steps, others, **self._told)
            tokens = 4 * recipe.critic_tokens
            reply = yield from self._heard(prompt, "critic", tokens)
            self._keep(self.best, reply, read_critiques(reply.text, len(path)))
            self.critiques[self.best, ""] = reply.text
        critique = self.critiques[self.best, ""]
        reply = Reply(original.rstrip(), "eos")
        mark = self._spared(read_critiques(critique, len(path)))
        if not mark:
            texts = [tree.nodes[step].text for step in path]
            prompt = prompts.revise_path(question, texts, critique, **self._told, missed=missed)
            tokens = 4 * recipe.reviser_tokens
            revised = yield from self._heard(prompt, "reviser", tokens, temperature)
            text = read_solution(revised.text)
            mark = became(original, text)
            reply = replace(revised, text=text) if self._taken(mark) else reply
        reply = replace(reply, text=thought + reply.text)
        first = len(tree.nodes)
        end = add_solution(tree, ROOT, reply, recipe.sampling, author="reviser", share=False)
        tree.nodes[first].mark = tree.nodes[first].mark or mark
        return end

    def _solve_again(self, temperature: float) -> Asking[int]:
        """A solution from the start, by who sees of the tree the wrong answers alone; if it has
        none, or no end at all, by who sees the question."""
        recipe, tree = self.recipe, self.tree
        prompt = prompts.solve_again(tree.problem.question, wrong_answers(tree), recipe.words)
        tokens = recipe.sampling.solution_tokens
        reply = yield from self._heard(prompt, "reviser", tokens, temperature)
        first = len(tree.nodes)
        end = add_solution(tree, ROOT, reply, recipe.sampling, author="reviser", share=False)
        tree.nodes[first].mark = tree.nodes[first].mark or "revised"
        return end

    def _heard(
        self, prompt: Prompt, role: Role, tokens: int, temperature: float = 0.0
    ) -> Asking[Reply]:
        """A helper's reply without what it thought before it."""
        thought = self.recipe.helper_thought_tokens
        ((reply,),) = yield [
            Ask(prompt, role, max_tokens=tokens, temperature=temperature, thought=thought)
        ]
        return replace(reply, text=without_thoughts(reply.text).lstrip("\n"))

    def _shown(self, step: int) -> tuple[Candidate, list[Candidate]]:
        """A step and its siblings as the critic sees them."""
        nodes, recipe = self.tree.nodes, self.recipe
        rivals = [rival for s in siblings(self.tree, step) if (rival := self._face(s)) is not None]
        distinct = {same_words(nodes[i].text): i for i in reversed((step, *rivals))}
        rivals = [i for i in rivals if i in distinct.values()][: recipe.siblings]
        told = {"none": (), "path": (step,), "all": (step, *rivals)}[recipe.show_q]
        own, *others = (
            Candidate(
                nodes[i].text, recipe.uct.q(nodes[i]) if i in told and nodes[i].visits else None
            )
            for i in (step, *rivals)
        )
        return own, others

    def _face(self, sibling: int) -> int | None:
        """The step that stands for a sibling; None if no solution goes through it and one is to."""
        tree = self.tree
        if self.recipe.shown == "step" or not tree.nodes[sibling].children:
            return sibling if tree.nodes[sibling].text.strip() else None
        ends = (leaf for leaf in tree.leaves() if sibling in tree.path(leaf))
        return max(ends, key=lambda leaf: tree.nodes[leaf].mean, default=None)

    def _keep(self, step: int, reply: Reply, critiques: Sequence[Critique]) -> None:
        """Note on a step what the critic said of it, and mark what could not be read of that."""
        node = self.tree.nodes[step]
        if not node.note:
            node.note, node.mark = reply.text, node.mark or _heard(reply, critiques, node.text)

    def _spared(self, critiques: Sequence[Critique]) -> Mark:
        """Mark of a step about which the reviser is not asked; empty if it is."""
        gates, said = self.recipe.gates, [c for c in critiques if not c.empty]
        if not said:
            return "unusable critique" if "unusable" in gates else ""
        return "kept" if "keep" in gates and all(c.verdict == "keep" for c in said) else ""

    def _taken(self, mark: Mark) -> bool:
        """Whether a reviser's text is taken over, by what became of the original."""
        return mark == "revised" or (
            mark == "formatting only" and "formatting" not in self.recipe.gates
        )

    @property
    def _told(self) -> "_Told":
        gold = self.tree.problem.answer if self.recipe.show_gold else None
        return {"gold": gold, "words": self.recipe.words}


def _heard(reply: Reply, critiques: Sequence[Critique], step: str) -> Mark:
    """Mark of a critic's reply on a step that lacks what was asked for; empty if all of it is
    there."""
    if reply.finished == "length":
        return "critique cut off"
    said = [critique for critique in critiques if not critique.empty]
    if not said:
        return "empty critique"
    if repeats_request(reply.text, without_thoughts(step)):
        return "critique repeats request"
    if not any(critique.fields or critique.verdict for critique in said):
        return "critique in prose"
    return "" if all(critique.verdict for critique in said) else "critique without verdict"
