"""A proxy on loopback that answers each request later, as a store at some distance does.

    python -m benchmarks.latency HOST:PORT MILLISECONDS

It prints its own port and serves until its standard input ends. What a client sends waits so long; answers pass at
once, so a large answer is as fast as ever.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PIECE = 2**18


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter, delay_s: float) -> None:
    try:
        while data := await source.read(PIECE):
            if delay_s:
                await asyncio.sleep(delay_s)
            target.write(data)
            await target.drain()
    except ConnectionError:
        pass
    finally:
        target.close()


async def _serve(host: str, port: int, delay_s: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        store_reader, store_writer = await asyncio.open_connection(host, port, limit=PIECE)
        await asyncio.gather(_forward(reader, store_writer, delay_s), _forward(store_reader, writer, 0))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=PIECE)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def later(endpoint: str, milliseconds: float) -> Iterator[str]:
    """The endpoint of a proxy before `endpoint` (http://host:port), in a process of its own."""
    address = endpoint.removeprefix("http://")
    command = [sys.executable, "-m", "benchmarks.latency", address, str(milliseconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdin and proxy.stdout
        yield f"http://127.0.0.1:{int(proxy.stdout.readline())}"
        proxy.stdin.close()
        proxy.terminate()


if __name__ == "__main__":
    host, _, port = sys.argv[1].partition(":")
    asyncio.run(_serve(host, int(port), float(sys.argv[2]) / 1000))
