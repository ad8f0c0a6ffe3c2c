"""One sample, and a model's answers to changed copies of it: what every explanation is made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from medray.samples.batch import Inputs
from medray.samples.tables import InputKind

COPIES = 16
"""Changed copies in one pass: what bounds the memory."""
BLUR_SHARE = 1 / 16
"""Standard deviation of the blur of a blank image, in sides of the image."""


@dataclass(frozen=True)
class Probe:
    """A model in evaluation mode and one sample of the kind that it reads, on its device.

    A sample has values at places: channels at the pixels of an image, features at the nodes of a region graph. Where a
    model reads both, the places are the nodes, and the pixels of a node are hidden with it.

    Attributes:
        model: of images or of region graphs.
        inputs: one sample, as in `Batch.inputs`.
    """

    model: nn.Module
    inputs: Inputs

    @property
    def is_graph(self) -> bool:
        """Whether the places are nodes."""
        return "x" in self.inputs

    @property
    def kind(self) -> InputKind:
        """What the model reads."""
        return "regions" if "regions" in self.inputs else "graph" if self.is_graph else "image"

    def tensor(self, name: str) -> Tensor:
        """One of the inputs."""
        value = self.inputs[name]
        assert isinstance(value, Tensor)
        return value

    @property
    def values(self) -> Tensor:
        """What the copies change: the image (channels, rows, columns), or `x` (nodes, features)."""
        return self.tensor("x") if self.is_graph else self.tensor("image")[0]

    @property
    def places(self) -> tuple[int, ...]:
        """Shape of the places: (nodes,) or (rows, columns)."""
        return tuple(self.values.shape[:1] if self.is_graph else self.values.shape[1:])

    @cached_property
    def blank(self) -> Tensor:
        """The sample with nothing to see: every node as the mean of all, or the image blurred.

        A patch of one grey in an image is a thing to see, with edges; a blurred one is not.
        """
        if self.is_graph:
            return self.values.mean(0, keepdim=True).expand_as(self.values)
        return self.blank_image

    @cached_property
    def blank_image(self) -> Float[Tensor, "channels rows columns"]:
        """The image blurred."""
        image = self.tensor("image")[0]
        return _blurred(image, BLUR_SHARE * max(image.shape[1:]))

    def over_values(self, evidence: Tensor) -> Tensor:
        """Evidence of each value to evidence of each place: the sum over channels or features."""
        return evidence.sum(1 if self.is_graph else 0)

    def hidden(self, where: Bool[Tensor, "copies *places"]) -> Float[Tensor, "copies ..."]:
        """Copies of the sample that are blank at some places."""
        return torch.where(where[..., None] if self.is_graph else where[:, None], self.blank, self.values)

    def logits(
        self, copies: Float[Tensor, "copies ..."], hidden: Bool[Tensor, "copies *places"] | None = None
    ) -> Float[Tensor, "copies classes"]:
        """The model's answers to copies with these values; a graph's edges stay as they are.

        Args:
            copies: values at the places.
            hidden: places that are blank: where the model reads both, their pixels are so too.
        """
        given: Inputs = self._graphs(copies) if self.is_graph else {"image": copies}
        if "regions" in self.inputs:
            given |= self._pixels(len(copies), hidden)
        logits: Tensor = self.model(**given)
        return logits

    def answers(self, hidden: Bool[Tensor, "copies *places"]) -> Float[Tensor, "copies classes"]:
        """Logits of copies that are blank at some places, COPIES of them at a time."""
        with torch.no_grad():
            return torch.cat([self.logits(self.hidden(some), some) for some in torch.split(hidden, COPIES)])

    def _graphs(self, copies: Float[Tensor, "copies nodes features"]) -> Inputs:
        count, nodes = copies.shape[:2]
        numbers = torch.arange(count, device=copies.device)
        edges: Int64[Tensor, "2 copies edges"] = self.tensor("edge_index")[:, None] + nodes * numbers[:, None]
        return {
            "x": copies.flatten(0, 1),
            "edge_index": edges.flatten(1),
            "edge_attr": self.tensor("edge_attr").repeat(count, 1),
            "batch": numbers.repeat_interleave(nodes),
            "num_graphs": count,
        }

    def _pixels(self, count: int, hidden: Bool[Tensor, "copies nodes"] | None) -> Inputs:
        image, regions = self.tensor("image"), self.tensor("regions")
        first = self.places[0] * torch.arange(count, device=regions.device)
        images = image.expand(count, -1, -1, -1)
        if hidden is not None:
            images = torch.where(hidden[:, regions[0]][:, None], self.blank_image, images)
        return {"image": images, "regions": regions + first[:, None, None]}


def _blurred(image: Float[Tensor, "channels rows columns"], sigma: float) -> Float[Tensor, "channels rows columns"]:
    """Gaussian blur, cut at three standard deviations; beyond the border the image goes on as it ends."""
    radius = ceil(3 * sigma)
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=image.device) / sigma) ** 2).to(image)
    weights = weights / weights.sum()
    padded = functional.pad(image[:, None], (radius,) * 4, mode="replicate")
    blurred: Tensor = functional.conv2d(padded, weights[None, None, :, None])
    return functional.conv2d(blurred, weights[None, None, None])[:, 0]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode with gradients on, whatever is around it; then as it was."""
    training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            yield
    finally:
        model.train(training)
