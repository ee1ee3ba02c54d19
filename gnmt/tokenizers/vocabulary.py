"""Vocabularies: tokens and their ids, numbered as in fairseq."""

from pathlib import Path
from typing import List, Sequence

from gnmt.errors import UserError
from gnmt.files.lines import read_lines

BOS, PAD, EOS, UNK = range(4)
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")  # the first tokens of every vocabulary
OVERWRITE = " #fairseq:overwrite"  # flag of a line that repeats a token: the later id is used


class Vocabulary:
    """Immutable mapping between tokens and ids from 0; BOS, PAD, EOS and UNK come first."""

    def __init__(self, words: Sequence[str]):
        """Numbers `words`, the tokens after the special tokens; `index` returns the last of equal tokens."""
        self.tokens: List[str] = [*SPECIAL_TOKENS, *words]
        self._indices = {token: index for index, token in enumerate(self.tokens)}

    @classmethod
    def from_dictionary(cls, path: Path) -> "Vocabulary":
        """Reads a dictionary of fairseq-preprocess: a line `token count` for each token.

        Raises:
            UserError: if the file is missing, is not UTF-8, or has another format.
        """
        words: List[str] = []
        known = set(SPECIAL_TOKENS)
        for number, line in enumerate(read_lines(path), start=1):
            entry = line.rstrip()
            word, space, count = entry.removesuffix(OVERWRITE).rpartition(" ")
            if not space or not count.lstrip("-").isdecimal():
                raise _not_a_dictionary(path, f"line {number} is {entry[:100]!r}")
            if word in known and not entry.endswith(OVERWRITE):
                raise _not_a_dictionary(path, f"line {number} has {word!r} again")
            known.add(word)
            words.append(word)
        return cls(words)

    @property
    def words(self) -> List[str]:
        """Tokens after the special tokens."""
        return self.tokens[len(SPECIAL_TOKENS) :]

    def index(self, token: str) -> int:
        """Returns the id of a token; UNK for an unknown token."""
        return self._indices.get(token, UNK)

    def encode(self, line: str) -> List[int]:
        """Returns the ids of the tokens of a line, which are separated by spaces; without BOS and EOS."""
        return [self.index(token) for token in line.split()]

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._indices

    def __getitem__(self, index: int) -> str:
        return self.tokens[index]


def _not_a_dictionary(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is not a dictionary of fairseq, a line `token count` for each token ({reason}).")
