"""NVIDIA's GNMT v2 from the user's checkout of DeepLearningExamples (PyTorch/Translation/GNMT), with our weights.

NVIDIA's network, loss, optimizer, trainer and beam search run unchanged. Packages that its code imports for logging and
for GPUs are replaced by empty packages if they are not installed.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Tuple

import torch
from fairseq.data import Dictionary
from torch import Tensor

from benchmarking.contenders.fairseq_search import search_of
from benchmarking.contenders.first_batch import LossAndGradient, loss_and_gradient
from benchmarking.contenders.network import our_network
from benchmarking.contenders.precision import TYPES, in_precision
from benchmarking.contenders.setting import CLIP_NORM, LABEL_SMOOTHING, LEARNING_RATE, Setting
from benchmarking.workload import Sentence
from fairseq_gnmt.models.gnmt import GNMTModel
from gnmt.checkpoints.nvidia_names import WORD_BY_WORD, our_names
from gnmt.checkpoints.nvidia_vocabulary import our_ids
from gnmt.errors import UserError

NOT_NEEDED = {"dllogger": [], "apex": ["amp"], "apex.amp": ["_amp_state"], "apex.amp._amp_state": []}
NOT_NEEDED["apex.parallel"] = ["DistributedDataParallel"]
PAD, UNKNOWN, BEGIN, END = range(4)  # NVIDIA's numbers
TRAINING_UPDATES = 1000  # length of the training in its learning-rate schedule; the speed does not depend on it


def network(setting: Setting) -> torch.nn.Module:
    """Returns NVIDIA's network with our weights. Raises UserError if the checkout does not contain its code."""
    find_code(setting.nvidia)
    from seq2seq.models.gnmt import GNMT

    ours = our_network(setting)
    if len(ours.encoder.upper_layers) != len(ours.decoder.stack.upper_lstms):
        raise UserError("its encoder and decoder have the same number of layers, but the checkpoint's do not.")
    theirs = GNMT(
        vocab_size=len(setting.dictionary),
        hidden_size=ours.decoder.stack.hidden_size,
        num_layers=1 + len(ours.decoder.stack.upper_lstms),
        dropout=setting.dropout,
        batch_first=False,
        share_embedding=ours.encoder.embed_tokens is ours.decoder.embed_tokens,
    )
    theirs.load_state_dict(their_weights(ours, list(theirs.state_dict()), setting.dictionary))
    return theirs


def find_code(checkout: Path) -> None:
    if not (checkout / "seq2seq" / "models" / "gnmt.py").is_file():
        raise UserError(
            f"{checkout} has no seq2seq/models/gnmt.py: --nvidia must name PyTorch/Translation/GNMT in a checkout "
            "of https://github.com/NVIDIA/DeepLearningExamples."
        )
    for name, attributes in NOT_NEEDED.items():
        top_level = name.partition(".")[0]
        if top_level not in sys.modules and importlib.util.find_spec(top_level) is not None:
            continue
        module = sys.modules[name] = ModuleType(name)
        module.__spec__ = importlib.util.spec_from_loader(name, loader=None)
        for attribute in attributes:
            setattr(module, attribute, None)
    sys.path.insert(0, str(checkout))


def their_weights(ours: GNMTModel, names: List[str], dictionary: Dictionary) -> Dict[str, Tensor]:
    """Returns our weights by NVIDIA's names. NVIDIA's BOS and EOS both get the embedding of our EOS.

    Args:
        ours: our network.
        names: names of NVIDIA's weights.
        dictionary: dictionary of both languages.
    """
    weights = ours.state_dict()
    our_name = our_names(1 + len(ours.decoder.stack.upper_lstms))
    rows = our_ids(len(dictionary))
    embedding_rows = rows.clone()
    embedding_rows[BEGIN] = dictionary.eos()

    def taken(name: str) -> Tensor:
        weight = weights[our_name[name]]
        if name.endswith("embedder.weight"):
            return weight[embedding_rows]
        return weight[rows] if name in WORD_BY_WORD else weight

    return {name: taken(name) for name in names}


def padded(sentences: List[Sentence], begin: List[int], dictionary: Dictionary) -> Tuple[Tensor, Tensor]:
    """Returns NVIDIA's ids (T, B) of sentences, with EOS appended, and their lengths (B,).

    Args:
        sentences: token ids of our dictionary, without EOS.
        begin: NVIDIA's ids before each sentence: BOS, or none.
        dictionary: dictionary of both languages.
    """
    numbers = {dictionary.unk(): UNKNOWN}
    rows = [begin + [numbers.get(word, word) for word in sentence] + [END] for sentence in sentences]
    columns = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], padding_value=PAD)
    return columns, torch.tensor([len(row) for row in rows])


class NvidiaTraining:
    """NVIDIA's fp32 trainer; in bf16, its network runs under autocast."""

    def __init__(self, setting: Setting):
        self.model = network(setting).to(setting.device)
        self.model.forward = in_precision(self.model.forward, setting)  # its criterion computes in float32
        from seq2seq.train.smoothing import LabelSmoothing
        from seq2seq.train.trainer import Seq2SeqTrainer

        self.criterion = LabelSmoothing(PAD, LABEL_SMOOTHING).to(setting.device)
        self.trainer = Seq2SeqTrainer(
            self.model,
            self.criterion,
            opt_config={"optimizer": "Adam", "lr": LEARNING_RATE},
            scheduler_config={"warmup_steps": 200, "remain_steps": 0.666, "decay_interval": None, "decay_steps": 4},
            grad_clip=CLIP_NORM,
            train_iterations=TRAINING_UPDATES,
            math="fp32",
        )
        self.pairs: List[Any] = [
            (padded(batch.sources, [], setting.dictionary), padded(batch.targets, [BEGIN], setting.dictionary))
            for batch in setting.batches
        ]
        self.batches = len(self.pairs)
        self.device = setting.device  # NVIDIA's trainer moves the pairs to it
        self.model.train()

    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    def run(self, index: int) -> None:
        self.trainer.iterate(*self.pairs[index], update=True, training=True)

    def first_batch(self) -> LossAndGradient:
        """Returns the summed label-smoothed loss of the first batch in nats, and its gradient."""
        (source, source_lengths), (target, _) = self.pairs[0]
        source, source_lengths, target = (part.to(self.device) for part in (source, source_lengths, target))

        def loss() -> Tensor:
            logits = self.model(source, source_lengths, target[:-1])
            return self.criterion(logits.flatten(0, 1), target[1:].flatten())

        return loss_and_gradient(self.model, loss)


class NvidiaTranslation:
    """NVIDIA's beam search, with its defaults of length normalisation and coverage penalty."""

    def __init__(self, setting: Setting):
        self.setting = setting
        self.model = network(setting).eval().to(setting.device, TYPES[setting.precision])
        self.sources = [
            tuple(part.to(setting.device) for part in padded(batch.sources, [], setting.dictionary))
            for batch in setting.batches
        ]
        self.batches = len(self.sources)

    def run(self, index: int) -> List[Sentence]:
        return self._translate(index, self.setting.search.beam, length_norm=0.6, coverage=0.1)

    def unnormalised(self, index: int, beam: int) -> List[Sentence]:
        return self._translate(index, beam, length_norm=0.0, coverage=0.0)

    @torch.no_grad()
    def _translate(self, index: int, beam: int, length_norm: float, coverage: float) -> List[Sentence]:
        from seq2seq.inference.beam_search import SequenceGenerator

        source, lengths = self.sources[index]
        search = search_of(self.setting, index)
        max_length = int(search.max_len_a * len(source) + search.max_len_b) + 2  # with BOS and EOS
        generator = SequenceGenerator(self.model, beam, max_length, length_norm, 5.0, coverage)
        method = generator.greedy_search if beam == 1 else generator.beam_search
        begin = torch.full((1, len(lengths) * beam), BEGIN, device=source.device)
        context = [self.model.encode(source, lengths), lengths.clone(), None]  # it changes them in place
        translations, _, _ = method(len(lengths), begin, context)
        unknown = self.setting.dictionary.unk()
        return [self._words(row, unknown) for row in translations[:, 1:].tolist()]

    def _words(self, row: List[int], unknown: int) -> Sentence:
        end = row.index(END) if END in row else len(row)
        return [unknown if word == UNKNOWN else word for word in row[:end]]


def trainer(setting: Setting) -> NvidiaTraining:
    return NvidiaTraining(setting)


def translator(setting: Setting) -> NvidiaTranslation:
    return NvidiaTranslation(setting)
