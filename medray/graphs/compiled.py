"""How the loops of region graphs are compiled: without fastmath, and without Python's lock."""

from typing import Any

import numba

OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}

kernel = numba.njit(**OPTIONS)
"""Compiles a function that makes arrays."""

borrowing = numba.njit(**OPTIONS | {"_nrt": False})
"""Compiles a function that makes no array but views of those it is given.

numba counts the references to each array with locked instructions, at slices and at calls: 15 ns each time, more than
the work on a run of pixels. A borrowing function counts none, since its callers hold every array that it sees. One that
makes an array does not compile.
"""
