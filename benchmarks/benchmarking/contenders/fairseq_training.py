"""The update of fairseq's trainer, for any of its models, criterions and optimizers on one device."""

from fairseq.criterions import FairseqCriterion
from fairseq.models import BaseFairseqModel
from fairseq.optim import FairseqOptimizer

from benchmarking.contenders.fairseq_samples import fairseq_sample
from benchmarking.contenders.first_batch import LossAndGradient, loss_and_gradient
from benchmarking.contenders.precision import in_precision
from benchmarking.contenders.setting import CLIP_NORM, Setting


class FairseqTraining:
    def __init__(
        self, model: BaseFairseqModel, criterion: FairseqCriterion, optimizer: FairseqOptimizer, setting: Setting
    ):
        self.model, self.criterion, self.optimizer = model, in_precision(criterion, setting), optimizer
        self.samples = [fairseq_sample(batch, setting.dictionary, setting.device) for batch in setting.batches]
        self.batches = len(self.samples)
        self.model.train()
        self.update_count = 0

    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    def run(self, index: int) -> None:
        """Runs one update on a batch, in the order of fairseq.trainer.Trainer.train_step."""
        self.optimizer.zero_grad()
        self.model.set_num_updates(self.update_count)
        loss, sample_size, _ = self.criterion(self.model, self.samples[index])
        self.optimizer.backward(loss)
        self.optimizer.multiply_grads(1 / sample_size)
        self.optimizer.clip_grad_norm(CLIP_NORM)
        self.optimizer.step()
        self.update_count += 1

    def first_batch(self) -> LossAndGradient:
        """Returns the summed label-smoothed loss of the first batch in nats, and its gradient."""
        return loss_and_gradient(self.model, lambda: self.criterion(self.model, self.samples[0])[0])
