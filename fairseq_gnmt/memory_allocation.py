"""Settings of the C library's memory allocation for torch on a CPU."""

import ctypes
import functools
from typing import Any, List, Tuple

# Parameters of mallopt (malloc.h of glibc) and madvise (sys/mman.h of Linux).
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
MADV_HUGEPAGE = 14
LARGE_BLOCK = 1 << 30  # only larger ones are mapped from the system, and given back, one by one
NEVER_TRIM = -1
OLD_LIMIT = 32 << 20  # glibc before 2.35 refuses a threshold of mapping above
HUGE_PAGE = 2 << 20
HEAP_BYTES = 4 << 30  # of addresses, not of memory: what is not used takes none


@functools.cache
def prepare_memory() -> None:
    """Makes memory cheap for networks: for the whole process, once; where it cannot be done, nothing changes.

    Freed memory is used again instead of being given back and asked for anew. glibc maps large blocks from the system one
    by one, and a fresh page costs a page fault and zeroing when it is first written: a tenth of the time of a training
    step, whether the network is small or the batch large. What has been freed stays with the process, which never holds
    much more than at its peak.

    The heap lies in pages of 2 MiB. A matrix with thousands of columns has each row in a page of its own otherwise, and
    the processor looks up the address of every one of them.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return
    largest_of_heap = LARGE_BLOCK
    if not libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK):
        largest_of_heap = OLD_LIMIT
        libc.mallopt(M_MMAP_THRESHOLD, OLD_LIMIT)
    libc.mallopt(M_TRIM_THRESHOLD, NEVER_TRIM)
    if hasattr(libc, "sbrk") and hasattr(libc, "madvise"):
        _grow_heap_in_huge_pages(libc, largest_of_heap // 2)


def _grow_heap_in_huge_pages(libc: ctypes.CDLL, block_bytes: int) -> None:
    """Grows the heap, which never shrinks, by blocks that are small enough to lie in it, and asks for huge pages there."""
    signatures: List[Tuple[Any, Any, List[Any]]] = [
        (libc.malloc, ctypes.c_void_p, [ctypes.c_size_t]),
        (libc.free, None, [ctypes.c_void_p]),
        (libc.sbrk, ctypes.c_void_p, [ctypes.c_ssize_t]),
        (libc.madvise, ctypes.c_int, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]),
    ]
    for function, result, arguments in signatures:
        function.restype, function.argtypes = result, arguments
    start = libc.sbrk(0)
    for block in [libc.malloc(block_bytes) for _ in range(HEAP_BYTES // block_bytes)]:
        libc.free(block)
    start = -(-start // HUGE_PAGE) * HUGE_PAGE
    end = libc.sbrk(0)
    if end > start:
        libc.madvise(start, end - start, MADV_HUGEPAGE)
