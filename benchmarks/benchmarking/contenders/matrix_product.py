"""Speed limit: the product of two large float32 matrices by the machine's library."""

import torch

from benchmarking.operations import MATRIX_SIZE
from benchmarking.contenders.setting import Setting

OPERATIONS = 2 * MATRIX_SIZE**3


class MatrixProduct:
    batches = 3  # products in a repetition, each timed

    def __init__(self, device: str = "cpu") -> None:
        self.one, self.other, self.product = torch.rand(3, MATRIX_SIZE, MATRIX_SIZE, device=device).unbind()

    def run(self, index: int) -> None:
        torch.mm(self.one, self.other, out=self.product)


def build(setting: Setting) -> MatrixProduct:
    return MatrixProduct(setting.device)
