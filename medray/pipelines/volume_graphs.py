"""Region graphs of volumes, written beside their NIfTI files."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from medray import storage
from medray.errors import SampleError
from medray.graphs.arrow import graphs_to_arrow
from medray.graphs.features import STORED_EDGE_FEATURES
from medray.graphs.region_graph import RegionGraph
from medray.graphs.volume_build import build_volume_graph, volume_feature_names
from medray.image_settings import GraphRecipe
from medray.pixels.geometry import GeometryStatus
from medray.pixels.value_kernels import masked_moments, moments
from medray.pixels.volume import Volume

BOXES = (GeometryStatus.REGULAR, GeometryStatus.SINGLE_SLICE)
"""Volumes whose voxels are boxes: only there do places tell distances in mm."""


def write_graphs(uri: str, series_key: str, volumes: Sequence[tuple[int, Volume]], regions: int) -> list[str]:
    """Write one Parquet row a volume; without a graph there is no file.

    A row holds `series_key`, `volume` (its number in the series), `mean` and `deviation` of its real voxels, and the
    columns of `graphs_to_arrow`. The graph is that of (values - mean) / deviation, all float32. The file's metadata
    `medray` names the recipe and the features.

    Returns:
        For each volume an empty string, or the note `no_graph:` and why.
    """
    recipe, rows, graphs, notes = GraphRecipe(regions=regions), [], [], []
    for number, volume in volumes:
        if volume.geometry_status not in BOXES:
            notes.append(f"no_graph:{volume.geometry_status}")
            continue
        values, mean, deviation = _standardised(volume)
        try:
            graphs.append(build_volume_graph(values, volume.spacing_mm, recipe, volume.mask))
        except SampleError as error:
            notes.append(f"no_graph:{error.reason.value}")
            continue
        rows.append({"series_key": series_key, "volume": number, "mean": mean, "deviation": deviation})
        notes.append("")
    if graphs:
        storage.write_parquet(uri, _table(rows, graphs, recipe), use_dictionary=False)
    return notes


def _standardised(volume: Volume) -> tuple[Float32[np.ndarray, "slices rows columns"], np.float32, np.float32]:
    """Mean 0 and deviation 1 over the real voxels, and what they were; a volume of one value becomes 0."""
    flat = volume.values.reshape(-1)
    if volume.mask is None:
        mean, variance = moments(flat)
    else:
        _, mean, variance = masked_moments(flat, volume.mask.reshape(-1))
    middle, deviation = np.float32(mean), np.float32(math.sqrt(variance) or 1)
    return (volume.values - middle) / deviation, middle, deviation


def _table(rows: list[dict[str, object]], graphs: list[RegionGraph], recipe: GraphRecipe) -> pa.Table:
    kinds = {"series_key": pa.string(), "volume": pa.int32(), "mean": pa.float32(), "deviation": pa.float32()}
    table = graphs_to_arrow(graphs)
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()}
    columns |= {name: table[name] for name in table.column_names}
    names = {"x": volume_feature_names(recipe), "edge_attr": STORED_EDGE_FEATURES}
    return pa.table(columns).replace_schema_metadata({"medray": json.dumps({"recipe": asdict(recipe), **names})})
