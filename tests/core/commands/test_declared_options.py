"""Tests command-line options generated from fields of dataclasses. Expected values are written by hand."""

import argparse
import dataclasses
import inspect
from typing import Optional

import pytest

from gnmt.commands.declared_options import add_options, given_options
from gnmt.ranges import DEFAULT, HELP, Range, option
from gnmt.translation.options import TranslationOptions
from gnmt.translator import Translator


@dataclasses.dataclass
class Declared:
    width: int = option(4, Range(1), "number of columns, 50 % of the page")
    share: Optional[float] = dataclasses.field(default=None, metadata={HELP: "share", DEFAULT: "the model's"})
    is_bold: bool = option(False, None, "print bold")


NAMES = ["width", "share", "is_bold"]


def parser_of(names=NAMES, **options) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_options(parser, Declared, names, **options)
    return parser


@pytest.mark.parametrize(
    "line, given",
    [
        ([], {}),
        (["--width", "4"], {"width": 4}),  # equal to the default, but given
        (["--share", "0", "--is-bold"], {"share": 0.0, "is_bold": True}),
    ],
)
def test_only_given_options_are_returned(line, given):
    assert given_options(parser_of().parse_args(line), NAMES) == given


def test_help_has_the_declared_text_and_default():
    shown = " ".join(parser_of().format_help().split())
    assert "--width N number of columns, 50 % of the page (default: 4)" in shown
    assert "--share X share (default: the model's)" in shown
    assert "--is-bold print bold" in shown


def test_several_values_of_an_option():
    arguments = parser_of(["width", "share"], several=True).parse_args(["--width", "1", "2"])
    assert given_options(arguments, ["width", "share"]) == {"width": [1, 2]}


def test_the_translator_has_the_declared_defaults():
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(Translator.translate).parameters.items()
    }
    for field in dataclasses.fields(TranslationOptions):
        assert defaults[field.name] == field.default, field.name
