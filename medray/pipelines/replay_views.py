"""What `medray replay` shows of a sample: image, region graph, heat or mask, and where it comes from."""

from typing import Any

import numpy as np

from medray.errors import SampleError
from medray.pipelines.examples import stored_heat
from medray.pipelines.stored import StoredRow
from medray.pixels.placement import Placement
from medray.reports.graph_images import graph_png
from medray.reports.images import image_png, mask_png, overlay_png
from medray.reports.replay_page import Picture
from medray.scoring.examples import HEAT_METHODS, Shown, read_again
from medray.scoring.explain import explain, from_levels, to_levels
from medray.scoring.segmentations import mask_of
from medray.training.bundle import Bundle

SHOWN = 4  # frames of a sample
PROVENANCE = ("model_id", "code", "recipe_id", "decoder", "unit_id", "etag")


def pictures_of(uri: str, row: dict[str, Any], indexed: dict[str, Any], bundle: Bundle, *, key: bytes) -> list[Picture]:
    """Image, graph, and heat or mask of a row; none where it failed.

    Args:
        uri: the predictions, beside which heat may be stored.
        row: of the predictions.
        indexed: its object's row of the index.
        bundle: that scored it.
        key: unseals the object's name.
    """
    if row["status"] != "ok":
        return []
    try:
        shown = read_again({**indexed, "frame": row["frame"]}, key, bundle)
    except SampleError:
        return []
    image = shown.image.mean(axis=0)
    size = f"{image.shape[0]} × {image.shape[1]} pixels, recipe {row['recipe_id']}"
    found = [Picture("Image", f"{size}; grey levels from the 0.5 to the 99.5 percentile.", image_png(image))]
    if shown.label_map is not None:
        found.append(_graph(shown, image))
    return [*found, _heat(uri, row, shown, bundle) if bundle.task == "classify" else _mask(row, image, bundle)]


def weightiest_frames(row: dict[str, Any]) -> list[str]:
    """Of a sample of several frames, those to look at: what weighs most in the answer, else some from end to end."""
    names, weights = row["frame_ids"] or [], row["frame_weights"]
    if weights is None:
        return [names[int(place)] for place in np.linspace(0, len(names) - 1, min(SHOWN, len(names)))]
    return [names[place] for place in np.argsort(weights)[::-1][:SHOWN]]


def frame_pictures(
    row: dict[str, Any], frames: list[str], indexed: dict[str, dict[str, Any]], bundle: Bundle, *, key: bytes
) -> list[Picture]:
    """Images (and graphs) of frames of a sample, with what each weighs.

    Args:
        row: of the predictions.
        frames: their ids.
        indexed: rows of the index by object.
        bundle: that scored it.
        key: unseals the objects' names.
    """
    weights = dict(zip(row["frame_ids"] or (), row["frame_weights"] or (), strict=False))
    found = []
    for name in frames:
        own, _, number = name.partition(":")
        try:
            shown = read_again({**indexed[own], "frame": int(number)}, key, bundle)
        except SampleError:
            continue
        weighs = f", {weights[name]:.1%} of the answer" if name in weights else ""
        place = row["frame_ids"].index(name) + 1
        image, title = shown.image.mean(axis=0), f"Frame {place} of {len(row['frame_ids'])}{weighs}"
        found.append(Picture(title, f"{name}, recipe {row['recipe_id']}.", image_png(image)))
        if shown.label_map is not None:
            found.append(_graph(shown, image))
    return found


def _graph(shown: Shown, image: np.ndarray) -> Picture:
    edges = shown.inputs["edge_index"]
    assert shown.label_map is not None and not isinstance(edges, int)
    nodes, ends = len(shown.inputs["x"]), edges.numpy()  # type: ignore[arg-type]
    said = f"{nodes:,} nodes, {int((ends[0] < ends[1]).sum()):,} edges"
    of_pixels = int(shown.label_map.max()) + 1
    more = "" if of_pixels == nodes else f"; drawn are the {of_pixels:,} that own pixels"
    return Picture(
        "Region graph",
        f"{said}{more}. Yellow: borders; green: edges; red: nodes.",
        graph_png(image, shown.label_map, ends),
    )


def _heat(uri: str, row: dict[str, Any], shown: Shown, bundle: Bundle) -> Picture:
    stored, method = stored_heat(uri, [row])
    heat, kept = stored.get(row["sample_id"]), "stored"
    if heat is None:
        number, kept = bundle.classes.index(row["label"]), "made now"
        heat = from_levels(to_levels(explain(bundle.build_model(), shown.inputs, method, number)))
    words = HEAT_METHODS[bundle.input_kind][method]
    caption = f"Evidence for {row['label']} by {words}, relative within the image; {kept}."
    return Picture("Heat", caption, overlay_png(shown.image.mean(axis=0), shown.painted(heat)))


def _mask(row: dict[str, Any], image: np.ndarray, bundle: Bundle) -> Picture:
    placed = Placement.of(row["placement"]).to_input(mask_of(row))
    shares = zip(bundle.classes, row["area_fractions"], strict=True)
    caption = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares)
    return Picture("Mask", f"Stored; the first class is the bare image. {caption}.", mask_png(image, placed))


def provenance_of(stored: StoredRow) -> list[tuple[str, str]]:
    """What made a row, in words."""
    rows = [(name, str(stored.row[name])) for name in PROVENANCE]
    rows.append(("flags", ", ".join(stored.row["flags"] or ()) or "none"))
    if stored.setup is not None:
        setup = stored.setup
        libraries = ", ".join(f"{name} {version}" for name, version in setup["libraries"].items())
        rows += [("batch size", str(setup["batch_size"])), ("machine", setup["gpu"] or setup["cpu"])]
        rows.append(("libraries", libraries))
    return rows
