"""Every graph network through torch.compile without a graph break, on batches of several sizes.

    python -m tests.models.compiled_families [BACKEND [FAMILY …]]

A process of its own: here no shape annotation is executed, and torch's compiler meets the modules as users have them.
"""

import sys

import torch

from medray.models.catalog import MODELS, build_model
from tests.models.region_graphs import join, random_graph

OPTIONS = {"width": 8, "readout": "attention", "encoding_steps": 3}


def largest_difference(name: str, backend: str) -> float:
    """Between the compiled and the plain logits, over four batches.

    Raises:
        torch._dynamo.exc.Unsupported: the family has a graph break.
        RuntimeError: it was compiled again for another size.
    """
    torch.manual_seed(0)
    torch._dynamo.reset()
    options = {**OPTIONS, "layers": 2 if name in ("gatedgcn", "gps") else 1}  # a last round leaves edges as they are
    model = build_model(name, num_classes=3, node_features=5, edge_features=3, options=options).eval()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=backend)
    batches = [join([random_graph(7 + 5 * k + n, n) for k in range(2 + n)]) for n in range(4)]
    with torch.inference_mode(), torch.compiler.set_stance("default"):
        compiled(**batches[0])
    with torch.inference_mode(), torch.compiler.set_stance("fail_on_recompile"):
        return max(float((compiled(**batch) - model(**batch)).abs().max()) for batch in batches)


def main() -> None:
    """Say the difference of each family."""
    backend = sys.argv[1] if len(sys.argv) > 1 else "inductor"
    for name in sys.argv[2:] or [name for name, family in MODELS.items() if family.input_kind == "graph"]:
        print(name, largest_difference(name, backend), flush=True)


if __name__ == "__main__":
    main()
