"""From the embeddings of nodes to that of their graph."""

from jaxtyping import Float
from torch import Tensor, nn

from medray.models.segments import Segments, mean_and_max, segment_sum, softmax_powers, spread


class MeanMax(nn.Module):
    """Mean and maximum of each feature, side by side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.columns = 2 * width

    def forward(self, embedding: Float[Tensor, "nodes width"], nodes: Segments) -> Float[Tensor, "graphs columns"]:
        """Embeddings of graphs."""
        return mean_and_max(embedding, nodes)


class AttentionReadout(nn.Module):
    """Mean of the nodes, weighed by the softmax of w2 tanh(W1 h) (Ilse et al. 2018, arXiv:1802.04712, eq. 8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.columns = width
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False))

    def weights(self, embedding: Float[Tensor, "nodes width"], nodes: Segments) -> Float[Tensor, " nodes"]:
        """What each node weighs in its graph: they sum to 1."""
        powers = softmax_powers(self.score(embedding), nodes)
        return (powers / spread(segment_sum(powers, nodes), nodes))[:, 0]

    def forward(self, embedding: Float[Tensor, "nodes width"], nodes: Segments) -> Float[Tensor, "graphs columns"]:
        """Embeddings of graphs."""
        powers = softmax_powers(self.score(embedding), nodes)
        return segment_sum(powers * embedding, nodes) / segment_sum(powers, nodes).clamp(min=0.5)


READOUTS: dict[str, type[MeanMax] | type[AttentionReadout]] = {"mean_max": MeanMax, "attention": AttentionReadout}
