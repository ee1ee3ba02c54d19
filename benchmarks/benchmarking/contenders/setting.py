"""Settings that every contender receives."""

from pathlib import Path
from typing import List, NamedTuple, Optional

from fairseq.data import Dictionary

from benchmarking.operations import NetworkSize
from benchmarking.workload import Batch

LABEL_SMOOTHING = 0.1
LEARNING_RATE = 2e-3  # of NVIDIA, as label smoothing and norm
CLIP_NORM = 5.0
UNWANTED_LOGIT = -1e4  # of tokens that networks with random weights must not emit: finite, but never chosen


class SearchSetting(NamedTuple):
    beam: int
    max_len_a: float
    max_len_b: int


class Setting(NamedTuple):
    """Settings of a contender; `size` is for networks with random weights, and ignored with a checkpoint."""

    size: NetworkSize
    dictionary: Dictionary
    batches: List[Batch]
    dropout: float
    threads: int
    precision: str = "fp32"
    seed: int = 1
    search: Optional[SearchSetting] = None
    checkpoint: Optional[Path] = None
    data: Optional[Path] = None  # folder of the dictionaries that the checkpoint was trained with
    nvidia: Optional[Path] = None  # checkout of NVIDIA's GNMT
    device: str = "cpu"

    @property
    def forced(self) -> bool:
        """True for random weights, which never emit EOS: each batch is decoded for the length of its longest target."""
        return self.checkpoint is None
