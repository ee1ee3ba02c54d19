"""Tests that the server returns freed memory periodically and bounds oneDNN's cache.

Expected calls are worked out by hand.
"""

import os

from gnmt.serving.memory import CACHE_VARIABLE, SECONDS, MemoryTrimmer, bound_product_cache, find_trim


def test_memory_is_returned_once_in_each_interval():
    now, calls = [0.0], []
    trimmer = MemoryTrimmer(calls.append, lambda: now[0])
    for time in (0.0, SECONDS - 0.1, SECONDS, SECONDS + 1, 2 * SECONDS - 0.1, 2 * SECONDS, 5 * SECONDS):
        now[0] = time
        trimmer.trim_if_due()
    assert calls == [0, 0, 0]


def test_the_function_of_the_c_library_takes_the_bytes_to_keep():
    assert find_trim()(0) in (0, 1)


def test_the_environment_may_choose_another_bound(monkeypatch):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    bound_product_cache()
    assert os.environ[CACHE_VARIABLE] == "256"
    monkeypatch.setenv(CACHE_VARIABLE, "1024")
    bound_product_cache()
    assert os.environ[CACHE_VARIABLE] == "1024"
