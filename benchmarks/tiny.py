"""A random Llama of two layers as a Hugging Face folder, for tests and benchmarks."""

from pathlib import Path

from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}


def save_llama(folder: Path, tokenizer: PreTrainedTokenizerFast, **settings: object) -> Path:
    """Write a model with the marks of `tokenizer`, and that beside it. settings: of its
    configuration, over `SIZES`. Its weights are the next ones of torch's generator."""
    marks = {
        f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("pad", "bos", "eos")
    }
    config = LlamaConfig(vocab_size=len(tokenizer), **SIZES | marks | settings)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
