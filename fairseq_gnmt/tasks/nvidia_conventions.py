"""NVIDIA's conventions: every sequence begins with BOS, and decoding starts from BOS.

In fairseq, the source is tokens + EOS and decoding starts from EOS. With NVIDIA's conventions, the source is BOS +
tokens + EOS and decoding starts from BOS; the target, tokens + EOS, is equal. Attention and coverage include the
source's BOS; alignments do not. The length in the length penalty counts tokens + EOS in both cases; NVIDIA's code also
counts BOS.
"""

from pathlib import Path

import torch
from fairseq.data import LanguagePairDataset
from torch import Tensor
from torch.utils.data import Dataset

from gnmt.checkpoints.reader import read
from gnmt.errors import UserError

NAME = "nvidia_conventions"  # name of the option, and key in the task's state in checkpoints


class SentencesWithBOS(Dataset):
    """Sentences with a leading BOS; their text is unchanged.

    Args:
        sentences: dataset of sentences (T,).
        mark: index of BOS.
    """

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
    """Returns the pairs with NVIDIA's source and prev_output_tokens; targets are unchanged.

    Raises:
        UserError: for --load-alignments and --num-batch-buckets.
    """
    if pairs.align_dataset is not None or pairs.buckets is not None:
        raise UserError("--nvidia-conventions excludes --load-alignments and --num-batch-buckets: leave them out.")
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
        eos=begin,  # fairseq's name for the first of prev_output_tokens
        pad_to_multiple=pairs.pad_to_multiple,
    )


def check_restored(path: Path, given: bool) -> None:
    """Checks that the checkpoint from which a training run resumes, if it exists, has the same conventions.

    Args:
        path: checkpoint, which may be missing.
        given: True if --nvidia-conventions is given.

    Raises:
        UserError: if the conventions differ.
    """
    if not path.exists():
        return
    state = read(path, with_weights=False)
    task_state = state.get("task_state") if isinstance(state, dict) else None
    stored = bool(task_state.get(NAME, False)) if isinstance(task_state, dict) else False
    if stored != given:
        remedy = "give it here, too" if stored else "leave it out"
        raise UserError(f"{path} was trained {'with' if stored else 'without'} --nvidia-conventions: {remedy}.")
