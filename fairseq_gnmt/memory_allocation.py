"""How the C library hands memory to torch on a CPU."""
import ctypes

# Parameters of mallopt (malloc.h of glibc).
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGE_BLOCK = 1 << 30  # only larger ones are mapped from the system, and given back, one by one
NEVER_TRIM = -1
OLD_LIMIT = 32 << 20  # glibc before 2.35 refuses a threshold of mapping above


def keep_freed_memory() -> None:
    """Lets the process use its freed memory again instead of giving it back and asking for it anew.

    glibc maps large blocks from the system one by one, and a fresh page costs a page fault and zeroing when it is
    first written: a tenth of the time of a training step, whether the network is small or the batch large. What has been
    freed stays with the process, which never holds much more than at its peak. Other C libraries are left as they are.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return
    if not set_option(M_MMAP_THRESHOLD, LARGE_BLOCK):
        set_option(M_MMAP_THRESHOLD, OLD_LIMIT)
    set_option(M_TRIM_THRESHOLD, NEVER_TRIM)
