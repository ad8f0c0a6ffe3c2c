"""What one pass with two bundles costs against two runs: `medray score --bundle A --bundle B`.

    MEDRAY_DATA=folder python benchmarks/several_bundles.py

CT slices (512 x 512, a file in each transfer syntax of decode.py, eight copies) are scored by the warm actor itself,
`Scorer`, in this process: by each bundle alone and by both in one pass, in turns. CPU time is that of this process and
of its decoding process together; the least of the turns is compared. `ratio` of 0.6 means that one pass costs 60 % of
the two runs. Weights are as they were drawn: what an answer costs does not depend on them.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from benchmarks.isolation import cpu_s, write_archive
from benchmarks.results_writer import write_result
from benchmarks.road import medray, work_folder
from medray.allocator import keep_freed_memory
from medray.archive.identity import load_key
from medray.graphs.features import edge_feature_names, node_feature_names
from medray.image_settings import GraphRecipe
from medray.models.catalog import build_model, model_family
from medray.pipelines.scorer import Scorer
from medray.pipelines.units import PlannedUnit, write_plan
from medray.pipelines.verify import to_score
from medray.samples.units import cut_units
from medray.scoring.plan import plan_scoring
from medray.settings import ModelName, Recipe, ScoreSettings
from medray.training.bundle import Bundle, save_bundle

TURNS = 5
GRAPH = GraphRecipe(regions=100)
PAIRS: dict[str, list[tuple[ModelName, Recipe]]] = {
    "cnn and gatedgcn of one image": [("cnn", Recipe(size=128)), ("gatedgcn", Recipe(size=128, graph=GRAPH))],
    "cnn 128 and gatedgcn 96": [("cnn", Recipe(size=128)), ("gatedgcn", Recipe(size=96, graph=GRAPH))],
    "two cnns of one recipe": [("cnn", Recipe(size=128)), ("cnn", Recipe(size=128))],
}


def drawn(folder: Path, name: ModelName, recipe: Recipe, seed: int) -> str:
    """Save a bundle of two classes with random weights; its folder."""
    torch.manual_seed(seed)
    family = model_family(name)
    reads_graphs = family.input_kind != "image"
    nodes = len(node_feature_names(recipe.graph)) if reads_graphs else 0
    edges = len(edge_feature_names(recipe.graph)) if reads_graphs else 0
    options = family.options_for(recipe)
    model = build_model(name, num_classes=2, in_channels=1, node_features=nodes, edge_features=edges, options=options)
    bundle = Bundle(name, options, family.input_kind, 1, nodes, edges, ("no", "yes"), recipe, seed)
    save_bundle(str(folder), bundle, model)
    return str(folder)


def compare(units: list[PlannedUnit], bundles: list[str], out: str, key: bytes) -> dict[str, float]:
    """Least CPU milliseconds of all units: each bundle alone, and both in one pass."""
    blocks = [pa.Table.from_pylist([vars(unit)]) for unit in units]
    ways = {"first": bundles[:1], "second": bundles[1:], "together": bundles}
    settings = {name: ScoreSettings("", f"{out}-{name}", several) for name, several in ways.items()}
    scorers = {name: Scorer(one, plan_scoring(one), key) for name, one in settings.items()}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS + 1):
        for name, scorer in scorers.items():
            before = cpu_s()
            for block in blocks:
                scorer(block)
            if turn:  # the first one loads what is compiled
                spent[name].append(cpu_s() - before)
    least = {f"{name}_ms": round(1000 * min(found), 1) for name, found in spent.items()}
    return {**least, "ratio": round(least["together_ms"] / (least["first_ms"] + least["second_ms"]), 3)}


def main() -> None:
    """Measure every pair, say and keep."""
    keep_freed_memory()
    work, key = work_folder("several_bundles"), load_key(None)
    medray("index", archive=write_archive(work / "archive", "CT slices"), out=work / "index")
    rows = to_score(str(work / "index"))
    units = write_plan(str(work / "plan"), cut_units(rows, 64 * 2**20))
    figures: dict[str, Any] = {"frames": int(pc.sum(rows["frames"]).as_py()), "units": len(units)}
    for number, (name, pair) in enumerate(PAIRS.items()):
        folder = work / f"pair-{number}"
        bundles = [drawn(folder / str(seed), model, recipe, seed) for seed, (model, recipe) in enumerate(pair)]
        figures[name] = compare(units, bundles, str(folder / "out"), key)
        print(name, figures[name], flush=True)
    write_result("several_bundles", figures)


if __name__ == "__main__":
    main()
