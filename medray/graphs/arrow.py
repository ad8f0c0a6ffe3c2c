"""Region graphs as rows of an Arrow table, and many rows as one batch.

Lists are flat (`list<float32>`, `list<uint16>`): any Parquet tool reads them, and a batch is made from offsets, without
an object for each image. Parquet writes them best with zstd, byte stream split and no dictionary.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray.graphs.collate_kernels import join_graphs
from medray.graphs.features import EDGE_FEATURES, STATISTICS
from medray.graphs.region_graph import RegionGraph, index_type

MEAN = STATISTICS.index("mean")


def graphs_to_arrow(graphs: Sequence[RegionGraph]) -> pa.Table:
    """One row a graph; values are kept bit for bit.

    Returns:
        `num_nodes`, `num_edges` (int32), `x`, `pos`, `edge_attr` (list<float32>, row by row) and `edge_index`: all
        sources, then all targets; list<uint16>, or list<int32> where one of the graphs has more than 65,535 nodes.
    """
    nodes, edges = [graph.num_nodes for graph in graphs], [graph.num_edges for graph in graphs]
    kind = index_type(max(nodes, default=0))
    columns = {
        "num_nodes": pa.array(nodes, pa.int32()),
        "num_edges": pa.array(edges, pa.int32()),
        "x": _lists([graph.x for graph in graphs], np.float32),
        "pos": _lists([graph.pos for graph in graphs], np.float32),
        "edge_index": _lists([graph.edge_index for graph in graphs], kind),
        "edge_attr": _lists([graph.edge_attr for graph in graphs], np.float32),
    }
    return pa.table(columns)


def _lists(arrays: Sequence[np.ndarray], kind: type[np.generic]) -> pa.ListArray:
    offsets = np.cumsum([0, *(array.size for array in arrays)], dtype=np.int64)
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{offsets[-1]} values do not fit one list column (2^31 - 1): write fewer graphs at once")
    flat = np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0)
    return pa.ListArray.from_arrays(offsets.astype(np.int32), pa.array(flat.astype(kind, copy=False)))


def arrow_to_graphs(table: pa.Table) -> list[RegionGraph]:
    """The graphs of a table's rows; None of them may be null.

    Raises:
        ValueError: lengths of lists and counts do not agree.
    """
    nodes, edges, flat = _unpacked(table)
    width = _width(flat["x"], int(nodes.sum()))
    graphs = []
    node_ends, edge_ends = np.cumsum(nodes), np.cumsum(edges)
    for count, links, node_end, edge_end in zip(nodes, edges, node_ends, edge_ends, strict=True):
        node, edge = node_end - count, edge_end - links
        kind = index_type(int(count))
        graphs.append(
            RegionGraph(
                flat["x"][node * width : node_end * width].reshape(count, width),
                flat["pos"][2 * node : 2 * node_end].reshape(count, 2),
                flat["edge_index"][2 * edge : 2 * edge_end].reshape(2, links).astype(kind, copy=False),
                flat["edge_attr"][2 * edge : 2 * edge_end].reshape(links, 2),
            )
        )
    return graphs


def collate_arrow(table: pa.Table, edge_features: Sequence[str] = EDGE_FEATURES) -> dict[str, np.ndarray]:
    """All rows as one graph whose parts are not joined. Rows that are null have no nodes.

    Args:
        table: of `graphs_to_arrow`; other columns are not read.
        edge_features: which of `EDGE_FEATURES`, in this order.

    Returns:
        `x` float32 (nodes, features), `pos` float32 (nodes, 2), `edge_index` int64 (2, edges): (source, target) of
        both directions of each edge, sorted by target, then source; `edge_attr` float32 (edges, edge_features);
        `batch` int64: the row of each node; `ptr` int64: first node of each row, and the end. All are writeable.

    Raises:
        ValueError: lengths of lists and counts do not agree, or an edge names a node that does not exist.
    """
    nodes, edges, flat = _unpacked(table)
    ptr, edge_ptr = np.append(0, np.cumsum(nodes)), np.append(0, np.cumsum(edges))
    x = flat["x"].reshape(int(ptr[-1]), -1).copy() if ptr[-1] else np.empty((0, 0), np.float32)
    pos = flat["pos"].reshape(-1, 2).copy()
    edge_index = np.empty((2, 2 * int(edge_ptr[-1])), np.int64)
    edge_attr = np.empty((2 * int(edge_ptr[-1]), len(EDGE_FEATURES)), np.float32)
    if edge_ptr[-1]:
        means = np.ascontiguousarray(x[:, MEAN])
        pairs, stored = flat["edge_index"].astype(np.int32), flat["edge_attr"].reshape(-1, 2)
        broken = join_graphs(ptr, edge_ptr, pairs, stored, (means, pos), (edge_index, edge_attr))
        if broken >= 0:
            raise ValueError(f"row {broken}: an edge names a node that does not exist")
    if tuple(edge_features) != EDGE_FEATURES:
        edge_attr = edge_attr[:, [EDGE_FEATURES.index(name) for name in edge_features]]
    batch = np.repeat(np.arange(len(nodes)), nodes)
    return {"x": x, "edge_index": edge_index, "edge_attr": edge_attr, "pos": pos, "batch": batch, "ptr": ptr}


def _unpacked(table: pa.Table) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Counts of nodes and edges (int64) and the flat values of the lists, views where Arrow allows it."""
    nodes, edges = _counts(table["num_nodes"]), _counts(table["num_edges"])
    flat = {name: _values(table[name]) for name in ("x", "pos", "edge_index", "edge_attr")}
    _width(flat["x"], int(nodes.sum()))
    for name, wanted in (("pos", nodes), ("edge_index", edges), ("edge_attr", edges)):
        if flat[name].size != 2 * wanted.sum():
            raise ValueError(f"{name} holds {flat[name].size} values where the counts ask for {2 * wanted.sum()}")
    return nodes, edges, flat


def _counts(column: pa.ChunkedArray) -> np.ndarray:
    counts: np.ndarray = pc.fill_null(column, 0).to_numpy().astype(np.int64)
    return counts


def _values(column: pa.ChunkedArray) -> np.ndarray:
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    values: np.ndarray = chunks[0] if len(chunks) == 1 else np.concatenate(chunks or [np.empty(0, np.float32)])
    values.setflags(write=False)  # always: a kernel is compiled for each kind of array
    return values


def _width(x: np.ndarray, nodes: int) -> int:
    """Features of a node."""
    width, rest = divmod(x.size, max(nodes, 1))
    if rest or (x.size and not nodes):
        raise ValueError(f"x holds {x.size} values, which {nodes} nodes cannot share evenly")
    return width
