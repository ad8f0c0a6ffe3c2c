"""A rank's share of the cached samples as shuffled batches: the order depends on (seed, epoch), not on arrival."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray.samples.batch import Batch
from medray.samples.collate import batches
from medray.settings import Recipe


class ShardStream:
    """Batches of one rank's shard.

    The first epoch streams from Ray Data. A shard that fits in `held_bytes` is kept and every later epoch permutes it
    as a whole; a larger one is streamed again each epoch through a buffer of that size, so that samples of neighbouring
    units mix. Rows are ordered by sample id before they are permuted: the same seed gives the same batches, whatever
    order the blocks came in.
    """

    def __init__(self, blocks: Callable[[], Iterable[pa.Table]], recipe: Recipe, *, seed: int, held_bytes: int) -> None:
        self.blocks, self.recipe, self.seed, self.held_bytes = blocks, recipe, seed, held_bytes
        self.whole: pa.Table | None = None

    def train(self, epoch: int, batch_size: int) -> Iterator[Batch]:
        """The batches of an epoch, in an order drawn from (seed, epoch)."""
        draw = np.random.default_rng((self.seed, epoch))
        left: list[pa.Table] = []
        for buffer in self._buffers():
            shuffled = buffer.take(pa.array(draw.permutation(buffer.num_rows)))
            rows = pa.concat_tables([*left, shuffled])
            full = rows.num_rows // batch_size * batch_size
            yield from batches(rows.slice(0, full), self.recipe, batch_size)
            left = [rows.slice(full)]
        for rows in left:
            yield from batches(rows, self.recipe, batch_size)

    def ordered(self, batch_size: int) -> Iterator[Batch]:
        """All samples, by sample id within each buffer."""
        for buffer in self._buffers():
            yield from batches(buffer, self.recipe, batch_size)

    def _buffers(self) -> Iterator[pa.Table]:
        """The shard's rows, sorted within each buffer."""
        if self.whole is not None:
            yield self.whole
            return
        held: list[pa.Table] = []
        whole = True
        for block in self.blocks():
            held.append(block)
            if sum(table.nbytes for table in held) > self.held_bytes:
                whole = False
                yield _sorted(held)
                held = []
        if held:
            rest = _sorted(held)
            self.whole = rest if whole else None
            yield rest


def _sorted(blocks: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(blocks)
    return table.take(pc.sort_indices(table["sample_id"])).combine_chunks()
