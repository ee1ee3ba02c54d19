"""Tests that docs/serving.md lists each limit and metric of the server."""

import dataclasses
import re
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="the extra `serve` is not installed")

from gnmt.serving.limits import Limits
from gnmt.serving.metrics import Metrics

TEXT = (Path(__file__).parents[3] / "docs" / "serving.md").read_text(encoding="utf-8")


def test_every_limit_is_listed_with_its_default():
    rows = dict(re.findall(r"^\| `(--[\w-]+)` \| (\d+) \|", TEXT, re.MULTILINE))
    expected = {f"--{field.name.replace('_', '-')}": str(field.default) for field in dataclasses.fields(Limits)}
    assert rows == expected


def test_every_metric_is_listed():
    metrics = Metrics()
    metrics.add_model("en", "de", "fp32")
    names = set(re.findall(r"^# TYPE (\w+?)(?:_created)? ", metrics.text().decode("utf-8"), re.MULTILINE))
    assert {name for name in names if f"`{name}" not in TEXT} == set()
