"""Region graphs as rows of an Arrow table, and many rows as one batch.

Lists are flat (`list<float32>`, `list<uint16>`): any Parquet tool reads them, and a batch is made from offsets, without
an object for each image. Parquet writes them best with zstd, byte stream split and no dictionary.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray.graphs.collate_kernels import join_graphs
from medray.graphs.features import (
    DIRECTIONS,
    EDGE_FEATURES,
    KINDS,
    STORED_EDGE_FEATURES,
    node_feature_names,
)
from medray.graphs.region_graph import RegionGraph, index_type
from medray.image_settings import GraphRecipe

POSITIONS = ("slice", "row", "column")
LISTS = ("x", "pos", "edge_index", "edge_attr", "level")

Stored = type[np.float16 | np.float32]


def graph_schema(
    recipe: GraphRecipe,
    *,
    channels: int = 1,
    dims: int = 2,
    dtype: Stored = np.float32,
    index: type[np.uint16 | np.int32] = np.uint16,
) -> pa.Schema:
    """The columns of `graphs_to_arrow`, each with a `comment`, and with the names of its `features` where it has any.

    Args:
        recipe: of the graphs.
        channels: of the images.
        dims: 2 for images, 3 for volumes.
        dtype: of `x` and `edge_attr`.
        index: of `edge_index`, as `index_type` says.
    """
    values, whole = pa.list_(pa.from_numpy_dtype(dtype)), pa.int32()
    names = {"x": node_feature_names(recipe, channels), "pos": POSITIONS[-dims:], "edge_attr": STORED_EDGE_FEATURES}
    columns = (
        ("num_nodes", whole, "regions of all levels"),
        ("num_edges", whole, "undirected edges"),
        ("x", values, "features of the nodes, node by node"),
        ("pos", pa.list_(pa.float32()), "centroid from the image's centre, over the longer side, node by node"),
        ("edge_index", pa.list_(pa.from_numpy_dtype(index)), "all lower nodes of the edges, then all higher ones"),
        ("edge_attr", values, "features of the edges, edge by edge"),
        ("level", pa.list_(pa.uint8()), "0: a region of the label map; 1, 2 …: what these merge into"),
    )
    fields = []
    for name, kind, comment in columns:
        features = {"features": ",".join(names[name])} if name in names else {}
        fields.append(pa.field(name, kind, metadata={"comment": comment, **features}))
    return pa.schema(fields)


def graphs_to_arrow(graphs: Sequence[RegionGraph], dtype: Stored = np.float32) -> pa.Table:
    """One row a graph; float32 keeps values bit for bit.

    Args:
        graphs: all of images, or all of volumes.
        dtype: float16 halves `x` and `edge_attr`, and rounds them to 11 significant bits (2^-12 of their size, and
            2^-25 near 0).

    Returns:
        `num_nodes`, `num_edges` (int32), `x`, `edge_attr` (list<float32> or list<halffloat>), `pos` (list<float32>),
        all row by row, `edge_index`: all sources, then all targets (list<uint16>, or list<int32> where one of the
        graphs has more than 65,535 nodes), and `level` (list<uint8>).

    Raises:
        ValueError: more values than a list column holds, or one that float16 does not (65,520 and more).
    """
    nodes, edges = [graph.num_nodes for graph in graphs], [graph.num_edges for graph in graphs]
    columns = {
        "num_nodes": pa.array(nodes, pa.int32()),
        "num_edges": pa.array(edges, pa.int32()),
        "x": _lists([graph.x for graph in graphs], dtype),
        "pos": _lists([graph.pos for graph in graphs], np.float32),
        "edge_index": _lists([graph.edge_index for graph in graphs], index_type(max(nodes, default=0))),
        "edge_attr": _lists([graph.edge_attr for graph in graphs], dtype),
        "level": _lists([graph.level for graph in graphs], np.uint8),
    }
    return pa.table(columns)


def _lists(arrays: Sequence[np.ndarray], kind: type[np.generic]) -> pa.ListArray:
    offsets = np.cumsum([0, *(array.size for array in arrays)], dtype=np.int64)
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{offsets[-1]} values do not fit one list column (2^31 - 1): write fewer graphs at once")
    flat = np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0)
    if kind is np.float16:
        flat = _halved(flat)
    return pa.ListArray.from_arrays(offsets.astype(np.int32), pa.array(flat.astype(kind, copy=False)))


def _halved(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ValueError(f"{np.abs(values).max():g} does not fit float16: store these graphs as float32")
    return halves


def arrow_to_graphs(table: pa.Table) -> list[RegionGraph]:
    """The graphs of a table's rows; None of them may be null. What float16 holds comes back as float32.

    Raises:
        ValueError: lengths of lists and counts do not agree.
    """
    nodes, edges, flat = _unpacked(table)
    width, dims = (_width(name, flat[name], int(nodes.sum())) for name in ("x", "pos"))
    graphs = []
    node_ends, edge_ends = np.cumsum(nodes), np.cumsum(edges)
    for count, links, node_end, edge_end in zip(nodes, edges, node_ends, edge_ends, strict=True):
        node, edge = node_end - count, edge_end - links
        graphs.append(
            RegionGraph(
                flat["x"][node * width : node_end * width].reshape(count, width),
                flat["pos"][node * dims : node_end * dims].reshape(count, dims),
                flat["edge_index"][2 * edge : 2 * edge_end]
                .reshape(2, links)
                .astype(index_type(int(count)), copy=False),
                flat["edge_attr"][2 * edge : 2 * edge_end].reshape(links, 2),
                flat["level"][node:node_end],
            )
        )
    return graphs


def collate_arrow(table: pa.Table, edge_features: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """All rows as one graph whose parts are not joined. Rows that are null have no nodes.

    Args:
        table: of `graphs_to_arrow`; other columns are not read.
        edge_features: which of `EDGE_FEATURES`, in this order; None = all that graphs of one level have.

    Returns:
        `x` float32 (nodes, features), `edge_index` int64 (2, edges): (source, target) of both directions of each edge,
        sorted by target, then source; `edge_attr` float32 (edges, edge_features);
        `batch` int64: the row of each node; these may be written to. `pos` float32 (nodes, dims), `level` uint8, and
        `ptr` int64: first node of each row, and the end.

    Raises:
        ValueError: lengths of lists and counts do not agree, an edge names a node that does not exist, or an edge
            feature that these graphs do not have.
    """
    nodes, edges, flat = _unpacked(table)
    ptr, edge_ptr = np.append(0, np.cumsum(nodes)), np.append(0, np.cumsum(edges))
    count, links = int(ptr[-1]), int(edge_ptr[-1])
    x = flat["x"].reshape(count, -1 if count else 2)
    pos = flat["pos"].reshape(count, -1 if count else 2)
    written, wanted = _edge_columns(pos.shape[1], None if edge_features is None else tuple(edge_features))
    edge_index, batch = _empty((2, 2 * links), np.int64), _empty((count,), np.int64)
    edge_attr = _empty((2 * links, len(written)), np.float32)
    listed = (edge_ptr, flat["edge_index"].astype(np.uint32), flat["edge_attr"].reshape(-1, 2))
    kinds = (len(set(written) & set(DIRECTIONS)), KINDS[0] in written)
    broken = join_graphs(ptr, listed, (x, pos, flat["level"]), kinds, (edge_index, edge_attr, batch))
    if broken >= 0:
        raise ValueError(f"row {broken}: an edge names a node that does not exist")
    if wanted != written:
        edge_attr = edge_attr[:, [written.index(name) for name in wanted]]
    copy = _empty(x.shape, np.float32)
    copy[:] = x
    joined = {"x": copy, "edge_index": edge_index, "edge_attr": edge_attr, "batch": batch}
    return {**joined, "pos": pos, "level": flat["level"], "ptr": ptr}


def _empty(shape: tuple[int, ...], kind: type[np.generic]) -> np.ndarray:
    """Memory from Arrow's pool: it keeps what the last batch gave back. Fresh pages cost more than filling them."""
    buffer = pa.allocate_buffer(math.prod(shape) * np.dtype(kind).itemsize)
    return np.frombuffer(buffer, kind).reshape(shape)


@cache
def _edge_columns(dims: int, asked: tuple[str, ...] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Edge features that are written, in the order of `EDGE_FEATURES`, and those of them that are wanted."""
    directions = DIRECTIONS[-dims:]
    here = [name for name in EDGE_FEATURES if name not in DIRECTIONS or name in directions]
    wanted = [name for name in here if name not in KINDS] if asked is None else list(asked)
    if missing := sorted(set(wanted) - set(here)):
        raise ValueError(f"graphs of {dims} dimensions have no edge feature {missing[0]!r}")
    groups = [group for group in (directions, KINDS) if not set(wanted) & set(group)]
    return tuple(name for name in here if not any(name in group for group in groups)), tuple(wanted)


def _unpacked(table: pa.Table) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Counts of nodes and edges (int64) and the flat values of the lists, views where Arrow allows it."""
    nodes, edges = _counts(table["num_nodes"]), _counts(table["num_edges"])
    flat = {name: _values(table[name]) for name in LISTS}
    count, links = int(nodes.sum()), int(edges.sum())
    for name in ("x", "pos"):
        _width(name, flat[name], count)
    for name, wanted in (("edge_index", 2 * links), ("edge_attr", 2 * links), ("level", count)):
        if flat[name].size != wanted:
            raise ValueError(f"{name} holds {flat[name].size} values where the counts ask for {wanted}")
    return nodes, edges, flat


def _counts(column: pa.ChunkedArray) -> np.ndarray:
    filled = pc.fill_null(column, 0) if column.null_count else column
    counts: np.ndarray = filled.to_numpy().astype(np.int64)
    return counts


def _values(column: pa.ChunkedArray) -> np.ndarray:
    chunks = [_flat(chunk).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    if len(chunks) != 1:
        chunks = [np.concatenate([np.empty(0, column.type.value_type.to_pandas_dtype()), *chunks])]
    values: np.ndarray = chunks[0]
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    values.setflags(write=False)  # always: a kernel is compiled for each kind of array
    return values


def _flat(lists: pa.ListArray) -> pa.Array:
    """As `flatten`, which takes three times as long to find that no row is null."""
    if lists.null_count:
        return lists.flatten()
    return lists.values[lists.offsets[0].as_py() : lists.offsets[-1].as_py()]


def _width(name: str, values: np.ndarray, nodes: int) -> int:
    """Values of a node."""
    width, rest = divmod(values.size, max(nodes, 1))
    if rest or (values.size and not nodes):
        raise ValueError(f"{name} holds {values.size} values, which {nodes} nodes cannot share evenly")
    return width
