"""Refinement of a trained model by sampling (Wu et al. 2016, section 5).

O_mixed = a * O_ML + O_RL: log-likelihood of the references, and expected GLEU of translations sampled from the model.

Shapes: B sentences, K samples of each, T target positions, H hidden size.
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

from fairseq_gnmt.criterions.label_smoothed_cross_entropy import GNMTLabelSmoothedCrossEntropy, projection_of, ratio
from fairseq_gnmt.models.gnmt import GNMTModel
from fairseq_gnmt.rewards.words import RewardTokenizer
from gnmt.errors import UserError
from gnmt.evaluation.gleu import gleu, ngrams
from gnmt.losses.fused_linear_cross_entropy import fused_weighted_nll
from gnmt.network.dropout import disable_dropout
from gnmt.ranges import Range, check_ranges
from gnmt.search.ensemble import Ensemble
from gnmt.search.sampling import Samples, draw_samples, uniform_noise

logger = logging.getLogger(__name__)

# Maximum length of a sample: factor * tokens of its reference + constant. Longer samples overlap too little with the
# reference to be useful.
LIMIT_FACTOR, LIMIT_CONSTANT = 1.25, 4
UNTRAINED_GLEU = 0.02  # mean GLEU below which a model is probably untrained
MASKED_LOGIT = -1e4  # logit with probability 0, also in half precision


@dataclass
class GNMTMixedObjectiveConfig(FairseqDataclass):
    """Options of the criterion `gnmt_mixed_objective`."""

    likelihood_weight: float = field(
        default=0.017,
        metadata={
            "help": "weight of the references' log-likelihood relative to the expected GLEU",
            "range": Range(0, 1e6, off=True),
        },
    )
    samples: int = field(
        default=15,
        metadata={
            "help": "number of translations to sample per sentence in an update",
            "range": Range(2, 10_000, hint="a sample is compared with the others"),
        },
    )
    sampling_temperature: float = field(
        default=1.0,
        metadata={
            "help": "T in the sampling distribution softmax(logits / T); values below 1 favour probable translations",
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
    """Mixed objective in training; validation uses only the likelihood, which needs no samples.

    Args:
        task: fairseq's task.
        likelihood_weight: weight of the likelihood.
        samples: sampled translations per sentence.
        sampling_temperature: temperature of sampling.
        reward_post_process: segmentation that is removed before the reward is computed, or None.
        label_smoothing: probability that is spread over the vocabulary.
        sentence_avg: divides the gradient by sentences instead of tokens.
    """

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
        """Computes the mixed objective of a batch; the loss of the likelihood is logged too.

        Args:
            model: GNMT model.
            sample: batch of fairseq.
            reduce: unused.

        Returns:
            The summed loss, the divisor of the gradient, and the logging output.

        Raises:
            UserError: if the model has --activation-clip.
        """
        if not model.training:
            return super().forward(model, sample, reduce)
        network = unwrap_ddp(model)
        if network.decoder.logit_limit is not None:
            raise UserError("gnmt_mixed_objective refines models without --activation-clip: refine first, then clip.")
        disable_dropout(model)  # as in Wu et al.; fairseq switches the whole model to training mode before each update
        samples = self.draw(network, sample)
        rewards = self.rewards(samples.tokens, sample["target"])
        self._warn_if_untrained(rewards)
        features, sampled_features = self.features(model, sample, samples.tokens)

        loss, sample_size, logging_output = self.loss_from_features(model, features, sample)
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
        """Returns the GLEU (B, K), from 0 to 1, of samples against their references.

        Args:
            tokens: samples (B, K, T).
            target: references (B, T).
        """
        rewards = []
        for outputs, reference in zip(tokens.tolist(), target.tolist()):
            reference_ngrams = ngrams(self.words.of_reference(reference))
            rewards.append([gleu(ngrams(self.words.of_output(output)), reference_ngrams) for output in outputs])
        return torch.tensor(rewards, device=tokens.device)

    def features(self, model, sample, tokens: Tensor) -> Tuple[Tensor, Tensor]:
        """Returns the decoder features of references (B, T, H) and of samples (B, K, T, H).

        Both come from one forward pass, which gradients of several processes need; the encoder runs once per
        sentence.

        Args:
            model: GNMT model, possibly wrapped for several processes.
            sample: batch of fairseq.
            tokens: samples (B, K, T).
        """
        source = sample["net_input"]
        read = source["prev_output_tokens"]
        start = first_decoder_tokens(read, self.padding_idx)[:, None, None].expand_as(tokens[:, :, :1])
        # Rows (B, 1 + K, longest).
        rows = stack_reference_and_samples(read, torch.cat([start, tokens[:, :, :-1]], dim=2), self.padding_idx)
        features, _ = model(source["src_tokens"], source["src_lengths"], rows.flatten(0, 1), features_only=True)
        features = features.view(*rows.shape, -1)
        return features[:, 0, : read.size(1)], features[:, 1:, : tokens.size(2)]

    def reward_loss(self, model, features: Tensor, tokens: Tensor, rewards: Tensor) -> Tensor:
        """Returns a loss with the gradient of the negative expected reward, summed over sentences.

        Only the gradient of this loss has a meaning, not its value.

        Args:
            model: GNMT model.
            features: (B, K, T, H).
            tokens: samples (B, K, T).
            rewards: (B, K).
        """
        projection = projection_of(model)
        home, tokens, rewards = tokens.device, tokens.to(features.device), rewards.to(features.device)
        # The sampling distribution: with temperature, and without padding.
        padding = torch.tensor([self.padding_idx], device=tokens.device)
        bias = (projection.bias / self.temperature).index_fill(0, padding, MASKED_LOGIT)
        is_token = tokens.ne(self.padding_idx)
        token_weights = advantages(rewards)[:, :, None].expand_as(is_token)[is_token]
        loss = fused_weighted_nll(
            features[is_token] / self.temperature, projection.weight, bias, tokens[is_token], token_weights
        )
        return loss.to(home)

    def _warn_if_untrained(self, rewards: Tensor) -> None:
        """Warns once if rewards are near zero, which usually means that the model is untrained."""
        if not self.has_checked_rewards and rewards.mean() < UNTRAINED_GLEU:
            logger.warning(
                "the model's samples have almost nothing in common with the references (GLEU %.4f): "
                "gnmt_mixed_objective refines a trained model, so give one with --finetune-from-model",
                rewards.mean(),
            )
        self.has_checked_rewards = True

    @classmethod
    def reduce_metrics(cls, logging_outputs) -> None:
        """Logs the losses and four statistics of the samples.

        reward: mean GLEU; reward_spread: its standard deviation within a sentence; sample_entropy: bits per token;
        sample_length: tokens, including EOS.
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
    """Returns (r_k - mean_K(r)) / (K - 1) for rewards (B, K).

    The sum of advantages times gradients of log P(sample k) is an unbiased gradient of the expected reward. Each
    advantage is 1 / K times the difference of r_k and the mean of the *other* rewards. With K instead of K - 1 the
    gradient would be too small by the factor (K - 1) / K, because the mean includes the sample's own reward.
    """
    return (rewards - rewards.mean(dim=1, keepdim=True)) / (rewards.size(1) - 1)


def stack_reference_and_samples(references: Tensor, samples: Tensor, pad: int) -> Tensor:
    """Returns references followed by samples, (B, 1 + K, max(T', T)).

    Args:
        references: (B, T').
        samples: (B, K, T).
        pad: id of PAD.
    """
    max_length = max(references.size(1), samples.size(2))
    parts = (references[:, None], samples)
    return torch.cat([F.pad(part, (0, max_length - part.size(2)), value=pad) for part in parts], dim=1)


def first_decoder_tokens(prev_output_tokens: Tensor, pad: int) -> Tensor:
    """Returns the first decoder input of each sentence (B,), as in training.

    Args:
        prev_output_tokens: (B, T), padded on either side.
        pad: id of PAD.
    """
    return prev_output_tokens.gather(1, prev_output_tokens.ne(pad).long().argmax(dim=1, keepdim=True))[:, 0]


def unwrap_ddp(model: nn.Module) -> GNMTModel:
    """Returns the model inside fairseq's wrappers for several processes.

    Raises:
        UserError: if it is not a GNMT model.
    """
    while not isinstance(model, GNMTModel):
        if not hasattr(model, "module"):
            raise UserError(f"gnmt_mixed_objective samples from GNMT models, but this is a {type(model).__name__}.")
        model = model.module
    return model
