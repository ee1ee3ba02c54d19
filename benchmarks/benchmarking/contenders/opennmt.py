"""OpenNMT-py's recurrent model with random weights, and its beam search with its own GNMT penalties."""

from typing import Any, Dict, List

import torch
from fairseq.data import Dictionary

from benchmarking.contenders.fairseq_search import search_of
from benchmarking.contenders.network import forbid_marks
from benchmarking.contenders.setting import Setting
from benchmarking.workload import Batch, Sentence
from gnmt.errors import UserError

UNKNOWN, PAD, BEGIN, END = range(4)  # first entries of the vocabulary of this module; words follow in our order
INITIAL_RANGE = 0.1  # OpenNMT-py's


def translator(setting: Setting) -> "OpenNMTTranslation":
    try:
        import onmt  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"OpenNMT-py cannot be imported ({error}): install OpenNMT-py 3.5.1, or leave it out."
        ) from error
    return OpenNMTTranslation(setting)


def build_vocabulary(dictionary: Dictionary) -> Any:
    from onmt.constants import DefaultTokens
    from pyonmttok import build_vocab_from_tokens

    marks = [DefaultTokens.UNK, DefaultTokens.PAD, DefaultTokens.BOS, DefaultTokens.EOS]
    vocabulary = build_vocab_from_tokens([], special_tokens=marks)
    for word in range(dictionary.nspecial, len(dictionary)):
        vocabulary.add_token(f"{word}")
    vocabulary.default_id = UNKNOWN
    return vocabulary


def build_network(setting: Setting) -> torch.nn.Module:
    """Returns a network of our sizes; attention and input feeding are OpenNMT-py's defaults."""
    from onmt.decoders import InputFeedRNNDecoder
    from onmt.encoders import RNNEncoder
    from onmt.models import NMTModel
    from onmt.modules import Embeddings

    torch.manual_seed(setting.seed)
    hidden_size, depth, entries = setting.size.hidden, setting.size.layers, len(setting.dictionary)
    encoder = RNNEncoder("LSTM", False, depth, hidden_size, embeddings=Embeddings(hidden_size, entries, PAD))
    decoder = InputFeedRNNDecoder("LSTM", False, depth, hidden_size, embeddings=Embeddings(hidden_size, entries, PAD))
    model = NMTModel(encoder, decoder)
    model.generator = torch.nn.Linear(hidden_size, entries)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -INITIAL_RANGE, INITIAL_RANGE)
    forbid_marks(model.generator, setting.dictionary)
    return model.eval()


def translator_class() -> type:
    """Returns OpenNMT-py's Translator with a correction of the attention's shape.

    The decoder returns attention (1, N, S), but the search expects (N, 1, S). Without the correction, the coverage
    penalty of version 3.5.1 fails with an IndexError.
    """
    from onmt.translate import Translator

    class RowsFirst(Translator):
        def _decode_and_generate(self, *arguments, **options):
            log_probs, attention = super()._decode_and_generate(*arguments, **options)
            return log_probs, attention.transpose(0, 1)

    return RowsFirst


class OpenNMTTranslation:
    def __init__(self, setting: Setting):
        from onmt.translate import GNMTGlobalScorer

        vocabulary = build_vocabulary(setting.dictionary)
        vocabularies = {"src": vocabulary, "tgt": vocabulary, "decoder_start_token": "<s>"}
        model = build_network(setting)
        self.inputs = [as_input(batch, setting.dictionary) for batch in setting.batches]
        self.batches = len(self.inputs)
        self.translators = [
            translator_class()(
                model,
                vocabularies,
                beam_size=setting.search.beam,
                max_length=search_of(setting, index).max_len_b + 1,
                max_length_ratio=0,
                global_scorer=GNMTGlobalScorer(alpha=0.6, beta=0.1, length_penalty="wu", coverage_penalty="wu"),
                dump_beam="",
            )
            for index in range(self.batches)
        ]

    def run(self, index: int) -> List[Sentence]:
        """Returns the best translations as ids of OpenNMT-py's vocabulary."""
        results = self.translators[index].translate_batch(self.inputs[index], attn_debug=False)
        return [nbest[0].tolist() for nbest in results["predictions"]]


def as_input(batch: Batch, dictionary: Dictionary) -> Dict[str, Any]:
    """Returns the source of a batch: src (B, S, 1), padded on the right, and srclen (B,)."""
    numbers = {dictionary.unk(): UNKNOWN}
    rows = [torch.tensor([numbers.get(word, word) for word in source] + [END]) for source in batch.sources]
    source = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
    return {"src": source[..., None], "srclen": torch.tensor([len(row) for row in rows])}
