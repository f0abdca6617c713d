"""A folder of a small BERT of random weights, laid out as sentence-transformers does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

from retrieval.encoders.bert_folder import default_folder


def write_small_bert(folder: Path, *, pooling: str, seed: int = 0) -> Path:
    """Write an encoder of 24 components to `folder`, which is returned."""
    packaged = default_folder()
    (folder / "1_Pooling").mkdir(parents=True)
    for name in ("modules.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(packaged / name, folder / name)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=64,
        layer_norm_eps=1e-5,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64}))
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps(
            {
                "word_embedding_dimension": 24,
                "pooling_mode_cls_token": pooling == "cls",
                "pooling_mode_mean_tokens": pooling == "mean",
                "pooling_mode_max_tokens": False,
                "pooling_mode_mean_sqrt_len_tokens": False,
            }
        )
    )
    return folder
