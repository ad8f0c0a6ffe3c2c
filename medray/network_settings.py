"""Sizes and parts of a model, for whoever wants others than its own."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class NetworkSettings:
    """Options of the model; none = the model's own. A model refuses the options that it does not have.

    Attributes:
        width: features of a node inside a graph network; its own gives about 15,000 weights in four layers.
        layers: rounds of a graph network (4): how many neighbours away a node sees.
        dropout: share of the features that training hides, in each round and before the logits (0).
        feed_forward: a perceptron on each node after each round of a graph network (off; `gps` always has it).
        readout: from nodes to their graph: mean and maximum of each feature (`mean_max`, a graph network's own), or
            their mean weighed by learned attention (`attention`).
        encoding_steps: further node features: the probabilities that a random walk is back after 1 … so many steps
            (0). They tell places in the graph apart, and are computed anew for each batch.
        heads: parts of the width that attend by themselves, in `gat` and `gps` (4); the width is a multiple of it.
        blocks: graph blocks of `vig` (4), whose own width is 48.
        stem: channels of the convolution blocks of `hybrid` (16, 32).
        widths: channels of the convolution blocks of `cnn` (8, 16, 24, 32).
        hidden: features before the logits of `cnn` (48).
        frame_readout: from the frames of a clip, series or study to their answer: the mean of the frames' features
            weighed by learned attention (`attention`, whose weights stand in the predictions), or mean and maximum of
            each feature (`mean_max`).
    """

    width: int | None = None
    layers: int | None = None
    dropout: float | None = None
    feed_forward: bool | None = None
    readout: Literal["mean_max", "attention"] | None = None
    encoding_steps: int | None = None
    heads: int | None = None
    blocks: int | None = None
    stem: tuple[int, ...] | None = None
    widths: tuple[int, ...] | None = None
    hidden: int | None = None
    frame_readout: Literal["mean_max", "attention"] | None = None

    def given(self) -> dict[str, Any]:
        """The options that are not left to the model."""
        return {name: value for name, value in asdict(self).items() if value is not None}
