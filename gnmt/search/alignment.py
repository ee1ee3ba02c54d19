"""Word alignment read off the attention."""
from typing import Iterator, List, Tuple, Union

from torch import Tensor


class Alignment:
    """Alignment of a hypothesis, in the form that fairseq prints and replaces unknown words with.

    fairseq iterates over an alignment to print it, and indexes it by target position to find the source word
    that replaces an unknown one (fairseq.utils.replace_unk).
    """

    def __init__(self, attention: Tensor, soft: bool):
        """attention (T, S) over target and source, EOS included, which is aligned with nothing."""
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
        """Iterates over pairs (source, target) or, if soft, over the attention of every target token, EOS included."""
        if self._soft:
            return iter([[f"{weight:.6f}" for weight in weights] for weights in self._attention.tolist()])
        return iter([(source, target) for target, source in enumerate(self._sources)])
