"""Abilities that a run needs of its engines, tried out before anything is grown."""

from collections.abc import Mapping

from whorl.ask import Ask, Engine, Failure, Given, Prompt, Replies, Role
from whorl.chat import Chat
from whorl.engines.admission import NO_SCORES
from whorl.engines.spec import Spec
from whorl.engines.tokenizer import chat_of
from whorl.errors import UserError
from whorl.example import Distillation
from whorl.recipe import ByLikelihood, Recipe
from whorl.rollout import Sampling
from whorl.search import Uct

_WRITERS: tuple[Role, ...] = ("policy", "small")  # of steps that a search goes on from
_ASKED = Ask(Prompt("", "1 + 1 = ?"), max_tokens=1)
_READ = Ask(Prompt("", "1 + 1 = ?"), "teacher", given=Given("It is 2."))
_PROBE = "If x\u00b2 = 1024, then x = 32.\n\nThe answer is \\boxed{32}. Caf\u00e9 \u7b54\u6848"
_TICKET = 1 << 62  # that no search's ask has


def check_abilities(recipe: Recipe, engines: Mapping[str, Engine]) -> None:
    """Try out what a recipe needs of its engines, as `check_logprobs` and `check_scores` do."""
    check_logprobs(recipe, engines)
    check_scores(recipe, engines)


def check_scores(recipe: Recipe, engines: Mapping[str, Engine]) -> None:
    """Have the teacher read a few words, if a recipe distils what it says of them. Raises
    `UserError` if it cannot."""
    if isinstance(recipe.objective, Distillation) and "teacher" in engines:
        answer = _answer(engines["teacher"], _READ)
        if isinstance(answer, Failure):
            raise UserError(f"teacher: {answer.error}")
        if not answer[0].logprobs:
            raise UserError(f"teacher: {NO_SCORES}")


def check_teacher(recipe: Recipe, policy: str, teacher: str) -> None:
    """Raises `UserError` if a recipe has a teacher read the policy's tokens and these two engines
    have different ones, or one is not known."""
    if not isinstance(recipe.objective, Distillation) or "teacher" not in recipe.roles:
        return
    ours, theirs = chat_of(policy), chat_of(teacher)
    for spec, chat in ((policy, ours), (teacher, theirs)):
        if chat is None:
            raise UserError(f"the tokenizer of {spec} is not known; give ?tokenizer=FOLDER with it")
    assert ours and theirs
    same = ours.tokenizer.get_vocab() == theirs.tokenizer.get_vocab() and ours.end == theirs.end
    if not same or _read(ours) != _read(theirs):
        raise UserError(
            f"the teacher {teacher} has another tokenizer than {policy}, so it cannot say how "
            "likely the policy's tokens are; take a teacher of the same family, or the recipe "
            "distill, which teaches by texts"
        )


def _read(chat: Chat) -> list[int]:
    ids: list[int] = chat.tokenizer(_PROBE)["input_ids"]
    return ids


def check_logprobs(recipe: Recipe, engines: Mapping[str, Engine]) -> None:
    """Ask those who write steps for a token, if the recipe looks at how likely tokens were. Raises
    `UserError` if one does not say."""
    what = _by_likelihood(recipe)
    for role in _WRITERS if what else ():
        if role not in engines:
            continue
        answer = _answer(engines[role], _ASKED)
        if isinstance(answer, Failure):
            raise UserError(f"{role}: {answer.error}")
        if answer[0].logprob is None:
            raise _untold(what, role)


def check_kinds(recipe: Recipe, named: Mapping[Role, str]) -> None:
    """As `check_logprobs`, of engines by their names alone, before any is opened: OpenVINO never
    tells."""
    what = _by_likelihood(recipe)
    for role in _WRITERS if what else ():
        if role in recipe.roles and Spec.read(named.get(role, "")).scheme == "openvino":
            raise _untold(what, role)


def _untold(what: str, role: Role) -> UserError:
    return UserError(
        f"{what} need log-probabilities, which the engine for {role} does not tell; take another "
        "engine, as local: or vllm:"
    )


def _by_likelihood(recipe: Recipe) -> str:
    """The part of a recipe that looks at how likely tokens were, in the plural; empty if none."""
    sampling, uct = getattr(recipe, "sampling", None), getattr(recipe, "uct", None)
    rules = (sampling.steps, sampling.inside) if isinstance(sampling, Sampling) else ()
    if any(rule and rule.nats for rule in rules):
        return "steps by entropy"
    if isinstance(uct, Uct) and uct.selection == "puct":
        return "descents by PUCT"
    return recipe.by_likelihood if isinstance(recipe, ByLikelihood) else ""


def _answer(engine: Engine, ask: Ask) -> Replies | Failure:
    """Replies of an engine while it has nothing else to do."""
    engine.submit(_TICKET, ask)
    while not (found := engine.poll(1.0)):
        pass
    ((_, answer),) = found
    return answer
