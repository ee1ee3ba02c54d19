"""All measurements at a point, in one process: an update, translations, and the matrix product."""

from typing import Any, NamedTuple

from benchmarking.contenders import matrix_product, ours
from benchmarking.contenders.setting import Setting


class PointSetting(NamedTuple):
    training: Setting
    translation: Setting


class GrowthPoint:
    """Work of `run(index)`: the costs in the order of growth.COSTS; last, the matrix product."""

    def __init__(self, setting: PointSetting):
        self.parts = [
            ours.trainer(setting.training),
            ours.translator(setting.translation),
            ours.translator(setting.translation._replace(precision="int8")),
            matrix_product.MatrixProduct(),
        ]
        self.batches = len(self.parts)

    def run(self, index: int) -> Any:
        return self.parts[index].run(0)


def build(setting: PointSetting) -> GrowthPoint:
    return GrowthPoint(setting)
