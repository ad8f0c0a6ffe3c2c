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
    model reads both, the places are the nodes, the pixels of a node are hidden with it, and their evidence is its.

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

    @property
    def ends(self) -> list[tuple[Tensor, Tensor]]:
        """Blank and sample as `logits` takes them: the values, and the image beside them where the model reads both."""
        values = [(self.blank, self.values)]
        return [*values, (self.blank_image, self.tensor("image")[0])] if self.kind == "regions" else values

    def over_places(self, evidence: list[Tensor]) -> Float[Tensor, "*places"]:
        """Evidence of all that `ends` holds to evidence of each place; nothing is lost or counted twice.

        Channels or features are summed, and where the model reads both, the pixels of each node to it.
        """
        of_values, *of_image = evidence
        total = of_values.sum(1 if self.is_graph else 0)
        for pixels in of_image:
            total = total.index_add(0, self.tensor("regions").flatten(), pixels.sum(0).flatten())
        return total

    def hidden(self, where: Bool[Tensor, "copies *places"]) -> Float[Tensor, "copies ..."]:
        """Copies of the sample that are blank at some places."""
        return torch.where(where[..., None] if self.is_graph else where[:, None], self.blank, self.values)

    def logits(
        self, copies: Float[Tensor, "copies ..."], images: Float[Tensor, "copies channels rows columns"] | None = None
    ) -> Float[Tensor, "copies classes"]:
        """The model's answers to copies with these values; a graph's edges stay as they are.

        Args:
            copies: values at the places.
            images: of each copy, where the model reads both; None = the sample's own.
        """
        given: Inputs = self._graphs(copies) if self.is_graph else {"image": copies}
        if self.kind == "regions":
            given |= self._pixels(self.tensor("image").expand(len(copies), -1, -1, -1) if images is None else images)
        logits: Tensor = self.model(**given)
        return logits

    def answers(self, hidden: Bool[Tensor, "copies *places"]) -> Float[Tensor, "copies classes"]:
        """Logits of copies that are blank at some places, COPIES of them at a time.

        Where the model reads both, the pixels of a hidden node are blank too.
        """
        with torch.no_grad():
            return torch.cat([self.logits(*self._changed(some)) for some in torch.split(hidden, COPIES)])

    def _changed(self, hidden: Bool[Tensor, "copies *places"]) -> list[Tensor]:
        copies = [self.hidden(hidden)]
        if self.kind == "regions":
            pixels = hidden[:, self.tensor("regions")[0]][:, None]
            copies.append(torch.where(pixels, self.blank_image, self.tensor("image")))
        return copies

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

    def _pixels(self, images: Float[Tensor, "copies channels rows columns"]) -> Inputs:
        regions = self.tensor("regions")
        first = self.places[0] * torch.arange(len(images), device=regions.device)
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
