"""Parsing of fairseq's list and number options without executing them.

fairseq evaluates such options with `eval`, also from the configuration of a checkpoint, so a file could run any code.
This module replaces `eval` in fairseq's modules by a function for literals and arithmetic only.
"""

import ast
import operator
import sys
from typing import Any, Callable, Dict, Type

import fairseq.criterions  # these imports load every module that evaluates an option
import fairseq.models
import fairseq.optim
import fairseq.tasks  # noqa: F401

from gnmt.errors import UserError

OPERATIONS: Dict[Type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
MAX_LENGTH = 100_000  # maximum number of characters of an expression, and of values of a list


def evaluate_literals_only() -> None:
    """Replaces `eval` in every module of fairseq."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("fairseq", "fairseq_cli"):
            module.eval = evaluate  # type: ignore[attr-defined]


def evaluate(expression: Any, *_: Any) -> Any:
    """Returns the value of an expression of literals and arithmetic, such as "[(512, 3)] * 20".

    Raises:
        UserError: if it contains other syntax, or is too long.
    """
    text = str(expression).strip()
    if len(text) > MAX_LENGTH:
        raise UserError(f"An option of {len(text)} characters is too long.")
    try:
        return _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise _not_a_literal(text) from error


def _value(node: ast.AST) -> Any:
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Mult):
            _check_length(left, right)
        return OPERATIONS[type(node.op)](left, right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_value(element) for element in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    if isinstance(node, ast.Dict):
        keys = [key for key in node.keys if key is not None]  # None represents **
        if len(keys) == len(node.keys):
            return dict(zip(map(_value, keys), map(_value, node.values)))
    if isinstance(node, ast.Constant):
        return node.value
    raise _not_a_literal(ast.unparse(node))


def _check_length(left: Any, right: Any) -> None:
    """Checks the length of a repeated sequence.

    Args:
        left: left operand of a product.
        right: right operand of a product.

    Raises:
        UserError: if the result would be too long.
    """
    for sequence, count in ((left, right), (right, left)):
        if (
            isinstance(sequence, (list, tuple, str, bytes))
            and isinstance(count, int)
            and len(sequence) * count > MAX_LENGTH
        ):
            raise UserError(f"An option has a list of more than {MAX_LENGTH} values, which is too long.")


def _not_a_literal(text: str) -> UserError:
    return UserError(f"{text[:100]!r} is not a list, number or other literal, and options are never executed.")
