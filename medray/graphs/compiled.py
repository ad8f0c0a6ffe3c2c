"""How the loops of region graphs are compiled: without fastmath, and without Python's lock."""

from typing import Any

import numba

OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}

kernel = numba.njit(nogil=True, cache=True, error_model="numpy")
"""Compiles a function that Python calls, or that makes arrays. Its program is kept on disk, so it has one signature:
two processes that compile at the same time would write two programs under one name."""

inner = numba.njit(nogil=True, error_model="numpy")
"""Compiles a function that only kernels call. It is compiled into them, for any types, and not kept by itself."""

borrowing = numba.njit(nogil=True, error_model="numpy", _nrt=False)  # type: ignore[call-overload]
"""Compiles an inner function that makes no array but views of those it is given.

numba counts the references to each array with locked instructions, at slices and at calls: 15 ns each time, more than
the work on a run of pixels. A borrowing function counts none, since its callers hold every array that it sees. One that
makes an array does not compile.
"""
