"""Settings of the C library's memory allocator for torch on a CPU."""

import ctypes
import functools
from typing import Any, List, Tuple

# Parameters of mallopt (malloc.h of glibc) and madvise (sys/mman.h of Linux).
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
MADV_HUGEPAGE = 14
LARGE_BLOCK = 1 << 30  # only larger blocks are mapped from and returned to the system individually
NEVER_TRIM = -1
OLD_LIMIT = 32 << 20  # largest mapping threshold that glibc before 2.35 accepts
HUGE_PAGE = 2 << 20
HEAP_BYTES = 4 << 30  # of address space; unused parts take no memory


@functools.cache
def prepare_memory() -> None:
    """Tunes the allocator of this process for networks; does nothing if the settings are unavailable.

    Freed memory is reused instead of being returned to the system. By default glibc maps large blocks individually. The
    first write to each new page then costs a page fault and zeroing: a tenth of the time of a training step. The
    process keeps freed memory, so its memory stays near its peak.

    The heap uses pages of 2 MiB. With small pages, each row of a matrix with thousands of columns is in a separate
    page, and every access needs an address translation.
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
    """Grows the heap by blocks that are small enough for it, with huge pages; the heap never shrinks.

    Args:
        libc: C library of the process.
        block_bytes: maximum size of a block in the heap, in bytes.
    """
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
