"""Checkpoints in the format of NVIDIA's GNMT v2, written without the package's own writer."""

import argparse
import io
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Dict, List

import torch
from conftest import Golden
from subword_nmt.apply_bpe import BPE

SPECIAL = ["<pad>", "<unk>", "<s>", "<\\s>"]
CODES = "#version: 0.2\nl o\nlo w</w>\nn e\nne w</w>\n"
LETTERS = "lownerst-"
PIECES = ["low", "new", "lo@@", "ne@@", ".", *LETTERS, *(f"{letter}@@" for letter in LETTERS)]


def vocabulary(size: int) -> List[str]:
    """Returns the subwords that CODES can produce, filled up with NVIDIA's other tokens."""
    known = SPECIAL + PIECES
    return known + [f"madeupword{index:04d}" for index in range(size - len(known))]


def stored(golden: Golden) -> dict:
    """Returns the golden network with a vocabulary, as a checkpoint."""
    words = vocabulary(golden.vocabulary)
    tok2idx = defaultdict(partial(int, 1), {word: index for index, word in enumerate(words)})
    tok2idx["a word that was looked up in training"]  # the table contains it as an unknown word
    embeddings = [golden.weights[f"{side}.embedder.weight"] for side in ("encoder", "decoder")]
    return {
        "epoch": 5,
        "state_dict": dict(golden.weights),
        "optimizer": {"state": {0: {"step": 7, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3}]},
        "scheduler": {"warmup_steps": 200, "base_lrs": [2e-3], "last_epoch": 7},
        "loss": 1.5,
        "model_config": {
            "hidden_size": embeddings[0].size(1),
            "vocab_size": len(words),
            "num_layers": sum("encoder.rnn_layers" in name and name.endswith("bias_hh_l0") for name in golden.weights),
            "dropout": 0.2,
            "batch_first": False,
            "share_embedding": embeddings[0].equal(embeddings[1]),
        },
        "config": argparse.Namespace(lang={"src": "en", "tgt": "de"}, betas=(0.9, 0.999), dataset_dir="/data"),
        "tokenizer": {
            "lang": {"src": "en", "tgt": "de"},
            "separator": "@@",
            "vocab_size": len(words),
            "bpe": BPE(io.StringIO(CODES)),
            "tok2idx": tok2idx,
            "idx2tok": dict(enumerate(words)),
        },
    }


def save(checkpoint: Dict, path: Path, legacy: bool = False) -> Path:
    """Saves a checkpoint; with `legacy`, in the format of torch before 1.6."""
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    return path
