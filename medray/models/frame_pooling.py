"""One answer for several frames: any model embeds each frame, a readout pools the frames of a sample."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from medray.models.readout import READOUTS, AttentionReadout
from medray.models.segments import segments_of

FRAME_WIDTH = 32  # features of a frame


class FramePooling(nn.Module):
    """A model of frames, and what makes one answer of several.

    Every frame goes through the same model, whose last layer answers FRAME_WIDTH features in the place of logits; their
    order does not matter. Source: Ilse et al. 2018, Attention-based deep multiple instance learning, arXiv:1802.04712.

    Args:
        frame_model: inputs of a batch of frames to features (frames, FRAME_WIDTH).
        num_classes: logits it answers.
        readout: `attention` or `mean_max`.
    """

    def __init__(self, frame_model: nn.Module, num_classes: int, readout: str = "attention") -> None:
        super().__init__()
        self.frame_model = frame_model
        self.pool = READOUTS[readout](FRAME_WIDTH)
        self.head = nn.Linear(self.pool.columns, num_classes)

    def forward(
        self, sample: Int64[Tensor, " frames"], num_samples: int, **inputs: Any
    ) -> Float[Tensor, "samples classes"]:
        """Logits. `sample`, which ascends, is the sample of each frame."""
        logits: Tensor = self.head(self.pool(self.features(inputs), segments_of(sample, num_samples)))
        return logits

    def features(self, inputs: dict[str, Any]) -> Float[Tensor, "frames width"]:
        """Of each frame, from the inputs of `frame_model`."""
        return torch.relu(self.frame_model(**inputs))

    def answer(
        self, sample: Int64[Tensor, " frames"], num_samples: int, **inputs: Any
    ) -> tuple[Float[Tensor, "samples classes"], Float[Tensor, " frames"] | None]:
        """Logits, and what each frame weighs in its sample, where the readout attends."""
        frames = segments_of(sample, num_samples)
        features = self.features(inputs)
        logits: Tensor = self.head(self.pool(features, frames))
        weights = self.pool.weights(features, frames) if isinstance(self.pool, AttentionReadout) else None
        return logits, weights
