"""Tests fairseq's options that are evaluated as Python literals. Expected values are written by hand."""

import re
import sys
from pathlib import Path

import pytest
from fairseq import utils
from fairseq.models import fconv

from fairseq_gnmt.patches.literals import evaluate
from gnmt.errors import UserError


@pytest.mark.parametrize(
    "text, value",
    [
        ("[(512, 3)] * 2 + [(768, 1)]", [(512, 3), (512, 3), (768, 1)]),
        ("(0.9, 0.98)", (0.9, 0.98)),
        ("{'a': [1, -2.5], 3: None}", {"a": [1, -2.5], 3: None}),
        ("1e-3", 1e-3),
        ("2 * 3 - 4 / 8", 5.5),
        (" True ", True),
        (False, False),
        (0.5, 0.5),
        ("'a' * 3", "aaa"),
    ],
)
def test_literals_and_arithmetic(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "open('/etc/hostname')", "x", "[].append(1)", "[x for x in (1, 2)]", "lambda: 0",
        "9 ** 9 ** 9", "[0] * 10**9", "[0] * 1000000", "1000000 * [0]", "'a' * 1000000", "[[0] * 1000] * 1000 * 1000", "1 / 0",
        "", "(", "{**{}}", "f'{1}'", "(" * 5000, "-" * 5000 + "1", "1" * 200_000, "'a' + 1",
    ],
)  # fmt: skip
def test_nothing_else_is_evaluated(text):
    with pytest.raises(UserError):
        evaluate(text)


def test_no_module_of_fairseq_evaluates_code():
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] in ("fairseq", "fairseq_cli")]
    evaluating = [
        module for module in modules if re.search(r"(?<![\w.])eval\(", Path(module.__file__).read_text("utf-8"))
    ]
    assert fconv in evaluating and utils in evaluating and len(evaluating) > 15
    assert all(module.__dict__.get("eval") is evaluate for module in evaluating)
    with pytest.raises(UserError, match="options are never executed"):
        utils.eval_str_list("__import__('os').getpid()")
    assert utils.eval_str_list("[0.1, 0.2]") == [0.1, 0.2] and utils.eval_bool("True") is True
