"""NVIDIA's conventions: every sequence begins with BOS, and decoding starts from it.

fairseq's own: source is tokens + EOS, decoding starts from EOS. NVIDIA's: source is BOS + tokens + EOS, decoding starts
from BOS; the target, tokens + EOS, is the same. Attention may fall on the source's BOS, and coverage
counts it; alignments do not. The length in the length penalty counts tokens + EOS as ever; NVIDIA's counts BOS, too.
"""

from pathlib import Path

import torch
from fairseq.data import LanguagePairDataset
from torch import Tensor
from torch.utils.data import Dataset

from gnmt.checkpoints.reader import read
from gnmt.errors import UserError

NAME = "nvidia_conventions"  # of the option, and in the task's state that checkpoints hold


class SentencesWithBOS(Dataset):
    """Sentences with BOS before them; their text is unchanged."""

    def __init__(self, sentences, mark: int):
        self.sentences = sentences
        self.mark = mark
        if hasattr(sentences, "get_original_text"):  # --dataset-impl raw
            self.get_original_text = sentences.get_original_text

    def __getitem__(self, index: int) -> Tensor:
        tokens = self.sentences[index]
        return torch.cat([tokens.new_tensor([self.mark]), tokens])

    def __len__(self) -> int:
        return len(self.sentences)


def with_bos(pairs: LanguagePairDataset) -> LanguagePairDataset:
    """The same pairs with NVIDIA's source and prev_output_tokens; targets stay as they are."""
    if pairs.align_dataset is not None or pairs.buckets is not None:
        raise UserError("--nvidia-conventions goes neither with --load-alignments nor with --num-batch-buckets.")
    begin = pairs.src_dict.bos()
    return LanguagePairDataset(
        SentencesWithBOS(pairs.src, begin),
        pairs.src_sizes + 1,
        pairs.src_dict,
        pairs.tgt,
        pairs.tgt_sizes,
        pairs.tgt_dict,
        left_pad_source=pairs.left_pad_source,
        left_pad_target=pairs.left_pad_target,
        shuffle=pairs.shuffle,
        constraints=pairs.constraints,
        eos=begin,  # fairseq's name for what prev_output_tokens begin with
        pad_to_multiple=pairs.pad_to_multiple,
    )


def check_restored(path: Path, given: bool) -> None:
    """Raises UserError unless the checkpoint that training goes on from, if it exists, has the same conventions."""
    if not path.exists():
        return
    state = read(path, with_weights=False)
    task_state = state.get("task_state") if isinstance(state, dict) else None
    stored = bool(task_state.get(NAME, False)) if isinstance(task_state, dict) else False
    if stored != given:
        remedy = "give it here, too" if stored else "leave it out"
        raise UserError(f"{path} was trained {'with' if stored else 'without'} --nvidia-conventions: {remedy}.")
