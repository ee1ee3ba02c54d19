"""Kinds, order and time limits of tests (tests/conftest.py)."""

from conftest import LONGEST, TESTS, kind_of


def test_kinds_follow_the_place_of_the_file():
    assert kind_of(TESTS / "core" / "search" / "test_beam_search.py") == "unit"
    assert kind_of(TESTS / "tools" / "test_growth.py") == "tools"
    assert kind_of(TESTS / "end_to_end" / "test_growth.py") == "end_to_end"


def test_every_test_has_its_marker_and_a_time_limit(request):
    for item in request.session.items:
        kind = kind_of(item.path)
        assert item.get_closest_marker("timeout").args[0] >= LONGEST[kind]
        assert {name for name in ("tools", "end_to_end") if item.get_closest_marker(name)} == {kind} - {"unit"}


def test_unit_tests_come_first_and_end_to_end_tests_last(request):
    kinds = [list(LONGEST).index(kind_of(item.path)) for item in request.session.items]
    assert kinds == sorted(kinds)
