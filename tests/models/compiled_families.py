"""Every network of our own that has nodes through torch.compile without a graph break, on batches of several sizes.

    python -m tests.models.compiled_families [BACKEND [FAMILY …]]

A process of its own: here no shape annotation is executed, and torch's compiler meets the modules as users have them.
"""

import sys

import torch

from medray.models.catalog import MODELS, build_model
from tests.models.region_graphs import Inputs, join, random_graph
from tests.models.test_hybrid import drawn, together

OPTIONS = {"width": 8, "readout": "attention", "encoding_steps": 3}
FAMILIES = [name for name, family in MODELS.items() if family.input_kind != "image"] + ["vig"]


def batch_for(name: str, number: int) -> Inputs:
    """The first batch has four samples and each further one one more; graphs and images have other sizes in each.

    No size of the first batch is that of something else: the compiler would take the two for one.
    """
    graphs = range(4 + number)
    if name == "vig":
        return {"image": torch.randn(len(graphs), 1, 28 + 3 * number, 31 + 2 * number)}
    if name == "hybrid":
        return together([drawn(7 + 5 * k + number, number, 8 + number) for k in graphs])
    return join([random_graph(7 + 5 * k + number, number) for k in graphs])


def largest_difference(name: str, backend: str) -> float:
    """Between the compiled and the plain logits, over four batches.

    Raises:
        torch._dynamo.exc.Unsupported: the family has a graph break.
        RuntimeError: it was compiled again for another size.
    """
    torch.manual_seed(0)
    torch._dynamo.reset()
    layers = 2 if name in ("gatedgcn", "gps", "hybrid") else 1  # a last round leaves edges as they are
    options = {"width": 8} if name == "vig" else {**OPTIONS, "layers": layers}
    model = build_model(name, num_classes=3, node_features=5, edge_features=3, options=options).eval()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=backend)
    batches = [batch_for(name, number) for number in range(4)]
    with torch.inference_mode(), torch.compiler.set_stance("default"):
        compiled(**batches[0])
    with torch.inference_mode(), torch.compiler.set_stance("fail_on_recompile"):
        return max(float((compiled(**batch) - model(**batch)).abs().max()) for batch in batches)


def main() -> None:
    """Say the difference of each family."""
    backend = sys.argv[1] if len(sys.argv) > 1 else "inductor"
    for name in sys.argv[2:] or FAMILIES:
        print(name, largest_difference(name, backend), flush=True)


if __name__ == "__main__":
    main()
