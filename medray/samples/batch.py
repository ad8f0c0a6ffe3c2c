"""What a model takes in one step, and what it should answer."""

from dataclasses import dataclass

from torch import Tensor, device

Inputs = dict[str, Tensor | int]
"""Keyword arguments of a model: `Batch.inputs`."""


@dataclass(frozen=True)
class Batch:
    """Samples that go through a model together.

    Attributes:
        inputs: keyword arguments of the model: `image` (batch, channels, rows, columns) for image models; `x`,
            `edge_index` (2, edges; sorted by destination), `edge_attr`, `batch` and `num_graphs` for graph models;
            all of them and `regions` (batch, rows, columns), the node of each pixel, for models of both. Where a sample
            has several frames these are of all frames, sample after sample, and `sample` (frames,), ascending, and
            `num_samples` say whose they are.
        labels: what the model should answer, int64, or None where nobody asks for a loss: the class number of each
            sample (batch,); of masks that of each pixel (batch, rows, columns), -1 = not counted; of region graphs
            under masks the pixels of each class that each node has (nodes, classes).
        sample_ids: one a sample, in the order of the rows.
    """

    inputs: Inputs
    labels: Tensor | None
    sample_ids: list[str]

    def __len__(self) -> int:
        return len(self.sample_ids)

    def to(self, target: str | device) -> "Batch":
        """The same batch on a device."""
        inputs = {
            name: value.to(target, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in self.inputs.items()
        }
        labels = None if self.labels is None else self.labels.to(target, non_blocking=True)
        return Batch(inputs, labels, self.sample_ids)
