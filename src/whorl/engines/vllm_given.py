"""Given texts read by vLLM: as a prompt, of whose tokens it says how likely each was."""

from typing import Any

from whorl.ask import Failure, Replies
from whorl.engines.admission import NO_SCORES, scored


def reading() -> Any:
    """How vLLM is to read a prompt: with the log-probability of each token of it, before a
    temperature, and one token behind it, which nobody looks at."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=0.0,
        max_tokens=1,
        prompt_logprobs=0,  # of the tokens that are there alone
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def told(output: Any, start: int) -> Replies | Failure:
    """The answer to an ask whose text was read: scores of the tokens from `start` on."""
    ids, values = output.prompt_token_ids, output.prompt_logprobs
    if not values or len(values) != len(ids):
        return Failure(NO_SCORES)
    own = zip(ids[start:], values[start:], strict=True)
    return scored([float(known[token].logprob) for token, known in own], start)
