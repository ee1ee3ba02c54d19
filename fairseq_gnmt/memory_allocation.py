"""How the C library hands memory to torch on a CPU."""
import ctypes

# Parameters of mallopt (malloc.h of glibc).
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
KEPT_BYTES = 1 << 30
OLD_LIMIT = 32 << 20  # glibc before 2.35 refuses a threshold of mapping above


def keep_freed_memory() -> None:
    """Lets the process use its freed memory again instead of giving it back and asking for it anew.

    glibc maps large blocks from the system one by one, and a fresh page costs a page fault and zeroing when it is
    first written: for a network of width 256 a tenth of the time of a training step. Up to 1 GiB of freed memory stays
    with the process. Other C libraries are left as they are.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return
    if not set_option(M_MMAP_THRESHOLD, KEPT_BYTES):
        set_option(M_MMAP_THRESHOLD, OLD_LIMIT)
    set_option(M_TRIM_THRESHOLD, KEPT_BYTES)
