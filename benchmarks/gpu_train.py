"""`train_packed.py` on a GPU: a random Qwen2 of Qwen2.5-0.5B's shape, bfloat16, FlexAttention.

128 examples to an optimizer step, batches of 16,384 tokens; TRL's rows at once go up to 32. Seconds
are of the wall, up to the last kernel's end; memory is what torch has allocated. Needs a GPU that
nobody else is using. The last line is one JSON object, as `train_packed.py` prints it, with the
device.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from train_packed import WORKS, Bench, measure, one_pass, quiet, trees
from whorl.learn.training import Training


def clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def peak(work: Callable[[], None]) -> int:
    """Bytes that are allocated at most while it works, above those before."""
    work()  # gradients come to stay, kernels are compiled
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return torch.cuda.max_memory_allocated() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("gpu_train.py needs a GPU, and torch finds none")
    quiet()
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config).to("cuda")
    settings = Training(batch=128, tokens=16384, lr=1e-5, bf16=True)
    bench = Bench(model, settings, clock, options.repeats, sizes=(8, 16, 32))

    def memory(packed: bool) -> int:
        return peak(one_pass(bench, trees(1, 40), packed=packed))

    found = measure(bench, options.trees, memory, options.works)
    print(json.dumps({"device": torch.cuda.get_device_name(), "torch": torch.__version__, **found}))


if __name__ == "__main__":
    main()
