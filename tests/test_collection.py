"""Tests markers, order and time limits that tests/conftest.py sets. Expected values are written by hand."""

from types import SimpleNamespace

import pytest
from conftest import TIME_LIMITS, TESTS, kind_of


@pytest.mark.parametrize(
    "folder, marker, kind",
    [
        ("core/search", None, "unit"),
        ("tools", None, "tools"),
        ("end_to_end", None, "end_to_end"),
        ("core/search", "end_to_end", "end_to_end"),
    ],
)
def test_kinds_follow_the_folder_or_the_marker(folder, marker, kind):
    item = SimpleNamespace(path=TESTS / folder / "test_x.py", get_closest_marker=lambda name: name == marker)
    assert kind_of(item) == kind


def test_every_test_has_its_marker_and_a_time_limit(request):
    for item in request.session.items:
        kind = kind_of(item)
        assert item.get_closest_marker("timeout").args[0] >= TIME_LIMITS[kind]
        assert {name for name in ("tools", "end_to_end") if item.get_closest_marker(name)} == {kind} - {"unit"}


def test_unit_tests_come_first_and_end_to_end_tests_last(request):
    kinds = [list(TIME_LIMITS).index(kind_of(item)) for item in request.session.items]
    assert kinds == sorted(kinds)
