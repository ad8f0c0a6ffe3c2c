"""`python -m medray.samples.guarded_process SOCKET` applies the function of `guarded` to tables of samples."""

import signal
import sys
from multiprocessing.connection import Connection

from medray.errors import MedrayError, place_of
from medray.samples.guarded import OfSamples
from medray.samples.tables import from_ipc, to_ipc


def main() -> None:
    """Load the function, then answer to tables until the connection ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the other process, which ends this one
    connection = Connection(int(sys.argv[1]))
    try:
        function = connection.recv()()
        while True:
            connection.send(_answer(function, *connection.recv()))
    except (EOFError, OSError):
        return
    except MedrayError as error:  # of loading; the question is not read any more
        connection.send(error)


def _answer(function: OfSamples, seconds: float, data: bytes) -> bytes | MedrayError:
    signal.setitimer(signal.ITIMER_REAL, seconds)  # 0 sets none
    try:
        return to_ipc(function(from_ipc(data)))
    except MedrayError as error:
        return error
    except Exception as error:
        return MedrayError(f"A defect of medray: {place_of(error)}.", "Finished units are kept.")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
