"""Given texts read by servers: what is asked, what is read, and what is refused."""

from collections.abc import Callable
from types import ModuleType

import pytest
from tests.engines.server.conftest import SOLVE, Opened, answer, answers

from whorl.ask import Ask, Failure, Given
from whorl.chat import Chat
from whorl.engines.server.given import read_given
from whorl.engines.server.transport import RefusedError
from whorl.errors import UserError
from whorl.loop.trial import check_scores
from whorl.models import POLICY
from whorl.recipes import OnPolicyDistill

READ = Ask(SOLVE, "teacher", given=Given("7+5=12 apples.\n\nThe answer is \\boxed{12}."))


def test_a_server_that_echoes_scores_the_tokens_of_training(
    rig_server, opened: Opened, load_benchmark: Callable[[str], ModuleType]
) -> None:
    (reply,) = answer(opened(rig_server(tokenizer=str(POLICY))), READ)
    assert READ.given is not None
    ids, start = Chat.load(POLICY).encode_completion(SOLVE, READ.given.text)
    wanted = load_benchmark("rig").echoed(ids)[start:]
    assert reply.logprobs == pytest.approx(wanted)
    assert (reply.text, reply.tokens, reply.prompt_tokens) == ("", len(ids) - start, start)


@pytest.mark.parametrize("lacks", [["echo"], ["logprobs"], ["ids"], ["completions"]])
def test_one_that_does_not_is_refused_before_anything_is_grown(
    rig_server, opened: Opened, lacks: list[str]
) -> None:
    engine = opened(rig_server(tokenizer=str(POLICY), lacks=lacks))
    (said,) = answers(engine, [READ])
    assert isinstance(said, Failure) and "cannot score a text that is given" in said.error
    with pytest.raises(UserError, match="teacher: this engine cannot score"):
        check_scores(OnPolicyDistill(), {"teacher": engine})


def test_what_a_server_says_is_read_or_refused() -> None:
    def said(*values: object) -> dict[str, object]:
        return {"choices": [{"logprobs": {"token_logprobs": [None, *values]}}]}

    (reply,) = read_given(said(-1, -0.5, -0.25, -9.0), 2, 4)
    assert reply.logprobs == (-0.5, -0.25) and reply.logprob == -0.75
    for wrong in (said(-1), {"choices": [{"logprobs": None}]}, {"choices": [{}]}):
        with pytest.raises(RefusedError, match="cannot score"):
            read_given(wrong, 2, 4)
    for wrong in ([], {}, {"choices": []}, said(-1, None, -1), said(-1, "x", True)):
        with pytest.raises(ValueError, match=r"instead of one|no numbers"):
            read_given(wrong, 2, 4)
    with pytest.raises(RefusedError, match="not a number"):
        read_given(said(-1, float("-inf"), -1), 2, 4)
