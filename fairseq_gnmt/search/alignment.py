"""Word alignment from attention weights, in the form that fairseq prints."""

from typing import Any, Dict, Iterator, List, Tuple, Union

from torch import Tensor


class Alignment:
    """Alignment of a hypothesis, in the form that fairseq prints and uses to replace unknown words.

    fairseq iterates over an alignment to print it. It indexes an alignment by target position to find the source word
    that replaces an unknown one (fairseq.utils.replace_unk).
    """

    def __init__(self, attention: Tensor, soft: bool):
        """Stores the attention.

        Args:
            attention: (T, S) over target and source tokens, including EOS; EOS is not aligned.
            soft: iterate over attention weights instead of pairs.
        """
        self._attention = attention
        self._soft = soft
        words = attention[:-1, :-1] if attention.size(1) > 1 else attention[:-1]
        self._sources = words.argmax(dim=1).tolist()

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, target: int) -> int:
        """Returns the source position with the largest attention weight at a target position."""
        return self._sources[target]

    def __iter__(self) -> Iterator[Union[Tuple[int, int], List[str]]]:
        """Iterates over pairs (source, target), or over the attention of every target token, including EOS, if soft."""
        if self._soft:
            return iter([[f"{weight:.6f}" for weight in weights] for weights in self._attention.tolist()])
        return iter([(source, target) for target, source in enumerate(self._sources)])


def source_positions(source: Tensor, pad: int, source_bos: int) -> List[slice]:
    """Returns the positions of each source sentence without PAD and BOS, including EOS.

    Args:
        source: (B, S) token ids.
        pad: id of PAD.
        source_bos: number of BOS tokens per sentence.
    """
    lengths = source.ne(pad).sum(dim=1).tolist()
    starts = source.ne(pad).long().argmax(dim=1).tolist()
    return [slice(start + source_bos, start + length) for start, length in zip(starts, lengths)]


def add_alignments(
    hypotheses: List[List[Dict[str, Any]]], positions: List[slice], soft: bool, target_first: bool
) -> None:
    """Adds an Alignment to each hypothesis of fairseq's own searches, from its attention.

    Args:
        hypotheses: n-best list of each sentence; attention is None or empty for networks without attention.
        positions: positions of each source sentence, from `source_positions`.
        soft: print attention weights instead of pairs.
        target_first: attention is (T, S) with padded targets (SequenceScorer) instead of (S, T).
    """
    for nbest, source in zip(hypotheses, positions):
        for hypothesis in nbest:
            attention = hypothesis["attention"]
            if attention is not None and attention.numel():
                by_target = attention if target_first else attention.t()
                hypothesis["alignment"] = Alignment(by_target[: len(hypothesis["tokens"]), source], soft)
