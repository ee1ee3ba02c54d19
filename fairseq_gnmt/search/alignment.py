"""Word alignment read off the attention."""
from typing import Any, Dict, Iterator, List, Tuple, Union

from torch import Tensor


class Alignment:
    """What fairseq prints for a hypothesis, and what it replaces unknown words by.

    fairseq iterates over an alignment to print it, and indexes it by target position to find the source word
    that replaces an unknown one (fairseq.utils.replace_unk).
    """

    def __init__(self, attention: Tensor, soft: bool):
        """attention (T, S) over target and source with their end marks, which align with nothing."""
        self._attention = attention
        self._soft = soft
        words = attention[:-1, :-1] if attention.size(1) > 1 else attention[:-1]
        self._sources = words.argmax(dim=1).tolist()

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, target: int) -> int:
        """The source position that target position got most of its attention from."""
        return self._sources[target]

    def __iter__(self) -> Iterator[Union[Tuple[int, int], List[str]]]:
        """Pairs (source, target); or, soft, the attention of every target token, end mark included."""
        if self._soft:
            return iter([[f"{weight:.6f}" for weight in weights] for weights in self._attention.tolist()])
        return iter([(source, target) for target, source in enumerate(self._sources)])


def source_positions(source: Tensor, pad: int, begin_marks: int) -> List[slice]:
    """The positions of each source sentence (B, S), without padding and begin marks, with the end mark."""
    lengths = source.ne(pad).sum(dim=1).tolist()
    first = source.ne(pad).long().argmax(dim=1).tolist()
    return [slice(start + begin_marks, start + length) for start, length in zip(first, lengths)]


def add_alignments(
    hypotheses: List[List[Dict[str, Any]]], positions: List[slice], soft: bool, target_first: bool
) -> None:
    """Gives hypotheses of fairseq's own searches an Alignment, read off their attention.

    Args:
        hypotheses: n-best list of each sentence; networks without attention have None or an empty one
        positions: of each source sentence, as of `source_positions`
        soft: print the attention instead of pairs
        target_first: attention is (T, S) with padding of targets, as of SequenceScorer, not (S, T)
    """
    for nbest, source in zip(hypotheses, positions):
        for hypothesis in nbest:
            attention = hypothesis["attention"]
            if attention is not None and attention.numel():
                by_target = attention if target_first else attention.t()
                hypothesis["alignment"] = Alignment(by_target[: len(hypothesis["tokens"]), source], soft)
