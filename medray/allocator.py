"""What a process frees and takes again for every batch: by glibc's defaults it goes back to the system in between."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
LARGEST_BLOCK = 32 * 2**20  # the most that glibc takes; larger blocks always come from the system
KEPT = 256 * 2**20


def keep_freed_memory() -> bool:
    """Let this process keep up to 256 MiB of what it frees, from all threads; whether its C library could be told.

    A page that comes back from the system costs a fault, and the tensors of a forward pass are thousands of them: a
    small CNN answers twice as fast without. Linux with glibc only; elsewhere nothing happens.

    Source: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    wanted = {M_ARENA_MAX: 1, M_MMAP_THRESHOLD: LARGEST_BLOCK, M_TRIM_THRESHOLD: KEPT}
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in wanted.items())
