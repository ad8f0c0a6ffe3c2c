"""The process that may die: `python -m medray.samples.decoding_process SOCKET` decodes and prepares units.

Samples go back through the socket, images into the shared memories that came with the unit, one for each recipe. A page
of the first memory names the frame under way. The frame's alarm is set in this process itself and needs no thread: a
decoder that holds Python's lock is ended too.
"""

import contextlib
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import imagecodecs
import numpy as np

from medray.allocator import keep_freed_memory
from medray.archive.reading import read_instance
from medray.errors import MedrayError, SampleError, place_of
from medray.image_settings import StepRecipe
from medray.pixels.prepare import prepare_image
from medray.pixels.values import frame_values
from medray.samples.clock import unit_clock
from medray.samples.prepare import Watch, prepared_frames
from medray.samples.request import PAGE, UNDER_WAY, Answer, Request
from medray.settings import Recipe

SEND_S = 0.2  # what a death costs to do again, at the most


class _Journal(Watch):
    """Keeps the frame under way where the other process finds it, and sets the frame's alarm."""

    def __init__(self, request: Request, memory: int) -> None:
        self.start, self.guilty = request.start, request.guilty
        self.seconds, self.memory = request.decode.frame_seconds, memory

    def begins(self, row: int, frame: int) -> None:
        """Write the place and set the alarm."""
        if reason := self.guilty.get((row, frame)):
            raise SampleError(reason, "the process that decoded the frame was ended by it")
        os.pwrite(self.memory, UNDER_WAY.pack(True, row, frame), 0)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def ended(self) -> None:
        """Take both back."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.pwrite(self.memory, UNDER_WAY.pack(False, 0, 0), 0)


def _answers(request: Request, memories: list[int]) -> Iterator[list[list[dict[str, Any]]]]:
    """The samples of frames a fifth of a second at a time; their images go to the shared memories."""
    _bound_memory(int(request.decode.gibibytes * 2**30))
    held: list[list[dict[str, Any]]] = []
    offsets, sent = [PAGE + 4 * floats for floats in request.floats], time.monotonic()
    for samples in prepared_frames(
        request.rows, request.key, request.recipes, request.decode, watch=_Journal(request, memories[0])
    ):
        for number, sample in enumerate(samples):
            image = sample.pop("image", None)
            if image is not None:
                offsets[number] += os.pwrite(memories[number], image, offsets[number])
            sample["floats"] = 0 if image is None else image.size
        held.append(samples)
        if time.monotonic() - sent > SEND_S:
            yield held
            held, sent = [], time.monotonic()
    yield held


def _bound_memory(limit: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def main() -> None:
    """Serve units from the socket whose number is the argument, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the other process, which ends this one
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # for files on disk; the shared memory counts as one
    keep_freed_memory()
    own = socket.socket(fileno=int(sys.argv[1]))
    connection = Connection(os.dup(own.fileno()))
    _load_compiled(Recipe())
    loaded = {StepRecipe()}
    while True:
        try:
            request: Request = connection.recv()
            _, memories, *_ = socket.recv_fds(own, 1, len(request.recipes))
        except (EOFError, OSError, ValueError):
            return
        for recipe in request.recipes:
            if recipe.steps not in loaded:
                _load_compiled(recipe)
                loaded.add(recipe.steps)
        with contextlib.suppress(BrokenPipeError):
            _serve(connection, request, memories)
        for memory in memories:
            os.close(memory)


def _load_compiled(recipe: Recipe) -> None:
    """Prepare one small image: what is loaded at first use must not count as the first frame's time."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    instance = read_instance(bytes(imagecodecs.png_encode(noise)), "png")
    prepare_image(
        frame_values(instance, 0), instance.pixels, Recipe(size=4, steps=replace(recipe.steps, spacing_mm=None))
    )


def _serve(connection: Connection, request: Request, memories: list[int]) -> None:
    try:
        with unit_clock("decode") as clock:
            for frames in _answers(request, memories):
                connection.send(Answer(frames, clock.taken()))
        connection.send(None)
    except MedrayError as error:
        connection.send(error)
    except BrokenPipeError:
        raise
    except Exception as error:
        connection.send(MedrayError(f"A defect of medray: {place_of(error)}.", "Finished units are kept."))


if __name__ == "__main__":
    main()
