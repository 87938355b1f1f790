"""A tiny language model, a tokenizer and preferences, made on the spot: nothing is downloaded."""

from __future__ import annotations

import copy
import random
from typing import Any

WORDS = [f"w{n}" for n in range(60)]


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: n for n, word in enumerate(["<pad>", "<unk>", "<bos>", "<eos>", *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", bos_token="<bos>", eos_token="<eos>"
    )


def model(seed: int = 0, kind: str = "Llama", **more: Any) -> Any:
    """A causal language model of transformers, of two narrow layers."""
    import transformers

    transformers.set_seed(seed)
    given = {
        "vocab_size": len(WORDS) + 4, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64,
        "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "initializer_range": 0.2,
        "tie_word_embeddings": False,
    }  # fmt: skip
    given = {name: value for name, value in (given | more).items() if value is not ...}
    config = getattr(transformers, f"{kind}Config")(**given)
    return getattr(transformers, f"{kind}ForCausalLM")(config)


def twins(seed: int = 0, **more: Any) -> tuple[Any, Any]:
    """A policy, and a reference that is a little apart from it from the first step on."""
    import torch

    policy = model(seed, **more)
    reference = copy.deepcopy(policy)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return policy, reference.eval()


def preferences(count: int = 48, seed: int = 1, columns: dict[str, str] | None = None) -> Any:
    """Pairs of responses of unequal lengths; `columns` are features by name and kind."""
    from datasets import Dataset

    rng = random.Random(seed)

    def say(few: int, many: int, words: list[str]) -> str:
        return " ".join(rng.choices(words, k=rng.randint(few, many)))

    rows = []
    for _ in range(count):
        row: dict[str, Any] = {
            "prompt": say(2, 6, WORDS) + " ",
            "chosen": say(2, 9, WORDS[:30]),
            "rejected": say(2, 9, WORDS[30:]),
        }
        for name, kind in (columns or {}).items():
            for side in ("chosen", "rejected") if kind != "pair" else ("",):
                tokens = len(row[side].split()) + 1 if kind == "token" else 1  # and the EOS
                values = [rng.uniform(0.2, 0.9) for _ in range(tokens)]
                row[f"{side}_{name}" if side else name] = values if kind == "token" else values[0]
        rows.append(row)
    return Dataset.from_list(rows)


def settings(folder: Any, **more: Any) -> Any:
    """TRL's, for a few steps on a CPU."""
    from trl import DPOConfig

    usual = {
        "output_dir": str(folder), "max_steps": 20, "per_device_train_batch_size": 2, "logging_steps": 1,
        "learning_rate": 1e-3, "use_cpu": True, "bf16": False, "report_to": [], "save_strategy": "no",
        "gradient_checkpointing": False, "disable_tqdm": True, "lr_scheduler_type": "constant",
    }  # fmt: skip
    return DPOConfig(**usual | more)
