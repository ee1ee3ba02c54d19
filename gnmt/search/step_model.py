"""Interface of the models that are searched: encode the source, then decode token by token.

`ensemble.Ensemble` implements it with networks, and tests with tables of probabilities.

Shapes: B sentences, N = B x K rows for K hypotheses (rows of a sentence are adjacent), S source positions, V vocabulary
size.
"""

from typing import Any, Protocol, Tuple

from torch import Tensor

# Share of stopped sentences, or samples, at which they are removed from the batch. `select_sentences` may copy the source
# memory of the other sentences.
LEAVING_SHARE = 1 / 8


class ModelState(Protocol):
    """State of a model for the N rows and B sentences of a batch. Methods return a new state."""

    def reorder(self, rows: Tensor) -> "ModelState":
        """Returns a state with the given rows.

        Args:
            rows: indices into this state, one per row of the result.
        """

    def select_sentences(self, indices: Tensor) -> "ModelState":
        """Returns a state with the given sentences; rows are not changed.

        Args:
            indices: of sentences in this state, one per sentence of the result.
        """

    def join_sentences(self, others: Any, rows: int) -> "ModelState":
        """Returns this state followed by the state of new sentences.

        Args:
            others: state of the same model for the new sentences, one row each.
            rows: number of rows per sentence in the result; the row of a new sentence is repeated.
        """


class StepModel(Protocol):
    """Model that computes the probabilities of the next token of each row."""

    def start(self, src_tokens: Tensor) -> ModelState:
        """Encodes sentences.

        Args:
            src_tokens: (B, S), padded on the right; the longest sentence has no padding.

        Returns:
            The state before the first token, one row per sentence.
        """

    def step(self, tokens: Tensor, state: Any) -> Tuple[Tensor, Tensor, ModelState]:
        """Advances one position.

        Args:
            tokens: (N,), last token of each row.
            state: state of the N rows, from `start` or the previous step.

        Returns:
            Probabilities (N, V) of the next token, which the caller may overwrite, attention weights (N, S), and the
            new state.
        """
