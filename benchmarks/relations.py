"""What the kinds of edges of `multiscale` graphs are worth: layers that read them beside layers that do not.

    python benchmarks/relations.py

Generated lesions of four classes, three seeds, a small budget. `rgcn` is `sage` with weights of its own for each kind
(neighbour, part, whole), at about as many weights in all; `gatedgcn_blind` is `gatedgcn` with both columns at 0.
Source: Schlichtkrull et al. 2018, arXiv:1703.06103, eq. 2, with c the number of neighbours of that kind.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.lesions import draw_lesions
from benchmarks.results_writer import write_result
from benchmarks.trials import Side, Trial, repeat
from medray.graphs.features import KINDS
from medray.image_settings import GraphRecipe
from medray.models import catalog
from medray.models.gatedgcn import GatedGCN
from medray.models.graph_network import GraphNetwork, GraphOptions, Round
from medray.models.topology import Topology, edge_sum, weighed_sum
from medray.settings import OptimizerSettings

TRAINING, TESTED, EPOCHS, SEEDS, REGIONS = 600, 600, 10, range(3), 100
RUNS = (
    ("sage", "superpixel"),
    ("sage", "multiscale"),
    ("rgcn", "multiscale"),
    ("gcn", "multiscale"),
    ("gatedgcn", "multiscale"),
    ("gatedgcn_blind", "multiscale"),
)


class RelationalLayer(nn.Module):
    """W0 h_i + b + the sum over kinds of W_kind (mean of the h_j of that kind)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own_map = nn.Linear(width, width)
        self.kind_maps = nn.Linear(3 * width, width, bias=False)

    def forward(self, x: Tensor, kinds: Tensor, topology: Topology) -> Tensor:
        """What the round adds; `kinds` (edges, 3) has a single 1 in each row."""
        count = edge_sum(kinds, topology).clamp(min=1)
        heard = weighed_sum(x.repeat(1, 3), kinds, topology).view(len(x), 3, -1) / count[:, :, None]
        update: Tensor = self.own_map(x) + self.kind_maps(heard.flatten(1))
        return update


class OneKind(nn.Module):
    """`edge_attr` to the kind of each edge: neighbour, part, whole."""

    def forward(self, edge_attr: Tensor) -> Tensor:
        """(edges, 3)."""
        between = edge_attr[:, -len(KINDS) :]
        return torch.cat([1 - between.sum(1, keepdim=True), between], dim=1)


class RGCN(GraphNetwork):
    """GraphSAGE with weights of its own for each kind of edge."""

    default_width = 28

    def _edge_input(self, edge_features: int, width: int) -> nn.Module:
        return OneKind()

    def make_round(self, options: GraphOptions, edge_features: int, *, last: bool) -> nn.Module:
        """One round."""
        return Round(RelationalLayer(options.width), options)


class Blind(GatedGCN):
    """GatedGCN that cannot tell levels apart by `edge_attr`."""

    def embed(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, *more: Any, **named: Any) -> Tensor:
        """Node embeddings."""
        hidden = torch.cat([edge_attr[:, : -len(KINDS)], torch.zeros_like(edge_attr[:, -len(KINDS) :])], dim=1)
        return super().embed(x, edge_index, hidden, *more, **named)


def side(count: int, seed: int) -> Side:
    """Images and classes."""
    images, labels, _ = draw_lesions(count, seed)
    return Side(images, labels)


def main() -> None:
    """Train, say each row, keep the table."""
    torch.set_num_threads(1)
    catalog.MODELS |= {"rgcn": catalog._graph_family(RGCN), "gatedgcn_blind": catalog._graph_family(Blind)}
    training, test = side(TRAINING, 1), side(TESTED, 2)
    found: dict[str, Any] = {"training": TRAINING, "tested": TESTED, "epochs": EPOCHS}
    for name, builder in RUNS:
        recipe = GraphRecipe(builder=builder, regions=REGIONS)  # type: ignore[arg-type]
        trial = Trial(name, 96, graph=recipe, optimizer=OptimizerSettings(epochs=EPOCHS))
        row = repeat(trial, training, {"test": test}, SEEDS)
        found[f"{name} {builder}"] = row | row.pop("test")
        print(name, builder, found[f"{name} {builder}"], flush=True)
    write_result("relations", found)


if __name__ == "__main__":
    main()
