"""Refinement of a trained model by sampling (Wu et al. 2016, section 5).

O_mixed = a * O_ML + O_RL: log-likelihood of the references, and expected GLEU of translations drawn from the model.

Shapes: B sentences, K samples of each, T positions, H hidden size.
"""

import logging
import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Optional, Tuple

import torch
from fairseq.criterions import register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.distributed.utils import get_global_rank
from fairseq.logging import metrics
from omegaconf import II
from torch import Tensor, nn
from torch.nn import functional as F

from fairseq_gnmt.criterions.label_smoothed_cross_entropy import GNMTLabelSmoothedCrossEntropy, ratio
from fairseq_gnmt.criterions.projected_loss import projected_weighted_nll
from fairseq_gnmt.models.gnmt import GNMTModel
from fairseq_gnmt.rewards.words import RewardTokenizer
from gnmt.errors import UserError
from gnmt.evaluation.gleu import gleu, ngrams
from gnmt.network.dropout import disable_dropout
from gnmt.ranges import Range, check_ranges
from gnmt.search.ensemble import Ensemble
from gnmt.search.sampling import Samples, draw_samples, uniform_noise

logger = logging.getLogger(__name__)

# Longest sample: factor * tokens of its reference + constant. What goes on after that has little of its reference.
LIMIT_FACTOR, LIMIT_CONSTANT = 1.25, 4
NOTHING_LEARNT = 0.02  # GLEU of a model that has not been trained is below
IMPOSSIBLE = -1e4  # a logit whose probability is 0, in half precision too


@dataclass
class GNMTMixedObjectiveConfig(FairseqDataclass):
    """Options of the criterion `gnmt_mixed_objective`."""

    likelihood_weight: float = field(
        default=0.017,
        metadata={
            "help": "weight of the references' log-likelihood beside the expected GLEU",
            "range": Range(0, 1e6, off=True),
        },
    )
    samples: int = field(
        default=15,
        metadata={
            "help": "translations drawn of each sentence in an update",
            "range": Range(2, 10_000, hint="a sample is compared with the others"),
        },
    )
    sampling_temperature: float = field(
        default=1.0,
        metadata={
            "help": "the expectation is under softmax(logits / T); below 1: likelier translations",
            "range": Range(0, 1e6, above=True, hint="1 leaves the model as it is"),
        },
    )
    reward_post_process: Optional[str] = field(
        default=None,
        metadata={"help": "compare words (default: tokens): sentencepiece, subword_nmt, words, mixed_word_char"},
    )
    label_smoothing: float = field(
        default=0.0, metadata={"help": "as in gnmt_label_smoothed_cross_entropy", "range": Range(0, 1, below=True)}
    )
    sentence_avg: bool = II("optimization.sentence_avg")


@register_criterion("gnmt_mixed_objective", dataclass=GNMTMixedObjectiveConfig)
class GNMTMixedObjective(GNMTLabelSmoothedCrossEntropy):
    """Validation is that of the likelihood alone, which needs no samples."""

    def __init__(
        self,
        task,
        likelihood_weight: float,
        samples: int,
        sampling_temperature: float,
        reward_post_process: Optional[str],
        label_smoothing: float,
        sentence_avg: bool,
    ):
        super().__init__(task, label_smoothing, sentence_avg)
        given = dict(likelihood_weight=likelihood_weight, samples=samples, sampling_temperature=sampling_temperature)
        check_ranges(GNMTMixedObjectiveConfig, SimpleNamespace(**given))
        self.likelihood_weight = likelihood_weight
        self.samples = samples
        self.temperature = sampling_temperature
        self.eos = task.target_dictionary.eos()
        self.words = RewardTokenizer(task.target_dictionary, reward_post_process)
        self.has_checked_rewards = False

    def forward(self, model, sample, reduce=True):
        """Returns the loss of the mixed objective; the loss of the likelihood is logged."""
        if not model.training:
            return super().forward(model, sample, reduce)
        network = unwrap_ddp(model)
        if network.decoder.logit_limit is not None:
            raise UserError("gnmt_mixed_objective refines models without --activation-clip: refine first, then clip.")
        disable_dropout(model)  # as Wu et al.; fairseq puts the whole model into training mode before each update
        samples = self.draw(network, sample)
        rewards = self.rewards(samples.tokens, sample["target"])
        self._warn_if_untrained(rewards)
        features, sampled_features = self.features(model, sample, samples.tokens)

        loss, sample_size, logging_output = self.likelihood(model, features, sample)
        loss = self.likelihood_weight * loss + self.reward_loss(model, sampled_features, samples.tokens, rewards)
        logging_output.update(
            samples=rewards.numel(),
            sampled_tokens=samples.tokens.ne(self.padding_idx).sum(),
            sampled_nll=-samples.log_probs.sum(),
            reward=rewards.mean(dim=1).sum(),
            reward_spread=rewards.std(dim=1).sum(),
        )
        return loss, sample_size, logging_output

    def draw(self, network: GNMTModel, sample) -> Samples:
        source, target = sample["net_input"], sample["target"]
        limits = (LIMIT_FACTOR * target.ne(self.padding_idx).sum(dim=1)).long() + LIMIT_CONSTANT
        noise = uniform_noise((len(target), self.samples, int(limits.max())), target.device, get_global_rank())
        return draw_samples(
            Ensemble([network], self.temperature),
            source["src_tokens"],
            first_decoder_tokens(source["prev_output_tokens"], self.padding_idx),
            noise,
            limits,
            pad=self.padding_idx,
            eos=self.eos,
        )

    def rewards(self, tokens: Tensor, target: Tensor) -> Tensor:
        """GLEU (B, K) of samples (B, K, T) against their references (B, T)."""
        rewards = []
        for outputs, reference in zip(tokens.tolist(), target.tolist()):
            wanted = ngrams(self.words.of_reference(reference))
            rewards.append([gleu(ngrams(self.words.of_output(output)), wanted) for output in outputs])
        return torch.tensor(rewards, device=tokens.device)

    def features(self, model, sample, tokens: Tensor) -> Tuple[Tensor, Tensor]:
        """The decoder's, of the references (B, T, H) and of samples (B, K, T), (B, K, T, H).

        It is one pass through the model, as gradients of several processes need, and each sentence's encoder runs once.
        """
        source = sample["net_input"]
        read = source["prev_output_tokens"]
        start = first_decoder_tokens(read, self.padding_idx)[:, None, None].expand_as(tokens[:, :, :1])
        rows = stack_reference_and_samples(
            read, torch.cat([start, tokens[:, :, :-1]], dim=2), self.padding_idx
        )  # (B, 1 + K, longest)
        features, _ = model(source["src_tokens"], source["src_lengths"], rows.flatten(0, 1), features_only=True)
        features = features.view(*rows.shape, -1)
        return features[:, 0, : read.size(1)], features[:, 1:, : tokens.size(2)]

    def reward_loss(self, model, features: Tensor, tokens: Tensor, rewards: Tensor) -> Tensor:
        """Its gradient is that of the negative expected reward, summed over sentences; its value has no meaning.

        features (B, K, T, H), tokens (B, K, T), rewards (B, K).
        """
        projection = model.decoder.output_projection
        home, tokens, rewards = tokens.device, tokens.to(features.device), rewards.to(features.device)
        # The distribution that was drawn from: with a temperature, and without padding.
        padding = torch.tensor([self.padding_idx], device=tokens.device)
        bias = (projection.bias / self.temperature).index_fill(0, padding, IMPOSSIBLE)
        drawn = tokens.ne(self.padding_idx)
        token_weights = advantages(rewards)[:, :, None].expand_as(drawn)[drawn]
        loss = projected_weighted_nll(
            features[drawn] / self.temperature, projection.weight, bias, tokens[drawn], token_weights
        )
        return loss.to(home)

    def _warn_if_untrained(self, rewards: Tensor) -> None:
        """A word to those who forgot the trained model."""
        if not self.has_checked_rewards and rewards.mean() < NOTHING_LEARNT:
            logger.warning(
                "the model's samples have next to nothing in common with the references (GLEU %.4f): this refines a "
                "trained model, which --finetune-from-model names",
                rewards.mean(),
            )
        self.has_checked_rewards = True

    @classmethod
    def reduce_metrics(cls, logging_outputs) -> None:
        """reward: mean GLEU of the samples; reward_spread: its standard deviation within a sentence;
        sample_entropy: bits per token; sample_length: tokens, EOS included.
        """
        super().reduce_metrics(logging_outputs)
        if not logging_outputs or "reward" not in logging_outputs[0]:  # validation
            return
        names = ("nsentences", "reward", "reward_spread", "sampled_nll", "sampled_tokens", "samples")
        sums = {name: sum(log[name] for log in logging_outputs) for name in names}
        sentences, tokens = sums["nsentences"], sums["sampled_tokens"]
        metrics.log_scalar("reward", ratio(sums["reward"], sentences), sentences, round=4)
        metrics.log_scalar("reward_spread", ratio(sums["reward_spread"], sentences), sentences, round=4)
        metrics.log_scalar("sample_entropy", ratio(sums["sampled_nll"], tokens) / math.log(2), tokens, round=3)
        metrics.log_scalar("sample_length", ratio(tokens, sums["samples"]), sums["samples"], round=2)


def advantages(rewards: Tensor) -> Tensor:
    """(r_k - mean_K(r)) / (K - 1) of rewards (B, K).

    Summed with the gradients of log P(sample k), this is the gradient of the expected reward without bias: it equals
    the mean over samples of r_k minus the mean of the *other* rewards. (With K instead of K - 1 it would be short by
    a factor (K - 1) / K, since a sample's own reward is in the mean that it is compared with.)
    """
    return (rewards - rewards.mean(dim=1, keepdim=True)) / (rewards.size(1) - 1)


def stack_reference_and_samples(references: Tensor, samples: Tensor, pad: int) -> Tensor:
    """References (B, T') as the first of the rows of samples (B, K, T): (B, 1 + K, longer of both)."""
    longest = max(references.size(1), samples.size(2))
    parts = (references[:, None], samples)
    return torch.cat([F.pad(part, (0, longest - part.size(2)), value=pad) for part in parts], dim=1)


def first_decoder_tokens(prev_output_tokens: Tensor, pad: int) -> Tensor:
    """Returns the first decoder input of each sentence (B,), as in training; padding may be on either side."""
    return prev_output_tokens.gather(1, prev_output_tokens.ne(pad).long().argmax(dim=1, keepdim=True))[:, 0]


def unwrap_ddp(model: nn.Module) -> GNMTModel:
    """The model inside fairseq's wrappers for several processes."""
    while not isinstance(model, GNMTModel):
        if not hasattr(model, "module"):
            raise UserError(f"gnmt_mixed_objective draws from GNMT models, but this is a {type(model).__name__}.")
        model = model.module
    return model
