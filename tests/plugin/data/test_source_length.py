"""Tests sources longer than the limit. Expected lengths are worked out by hand."""

import torch

from fairseq_gnmt.data.source_length import fit_sources, longest_source

EOS = 2
SHORT, LONG, LONGER = torch.tensor([5, EOS]), torch.tensor([5, 6, 7, EOS]), torch.tensor([5, 6, 7, 8, EOS])


def test_limits_by_hand() -> None:
    assert longest_source(1024, None, source_bos=0) == 1024
    assert longest_source((1024, 50), None, source_bos=0) == 1024
    assert longest_source((1024, 50), 100, source_bos=1) == 99
    assert longest_source((10, 50), 100, source_bos=0) == 10


def test_long_sources_are_left_out_or_cut() -> None:
    for truncate, expected, too_long in ((False, [EOS], {2}), (True, [5, 6, 7, EOS], set())):
        fitting, left_out = fit_sources([SHORT, LONG, LONGER], 4, truncate)
        assert [tokens.tolist() for tokens in fitting] == [SHORT.tolist(), LONG.tolist(), expected]
        assert left_out == too_long
