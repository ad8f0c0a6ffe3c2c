"""Write docs/tables.md from the schemas and docs/decoders.md from the codecs: `python docs/make_tables.py`.

A test holds the pages to them.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from medray import schema
from medray.errors import Reason
from medray.pixels.codecs import TRANSFER_SYNTAXES
from medray.reports.reasons import REASONS

PAGE, DECODERS = (Path(__file__).with_name(name) for name in ("tables.md", "decoders.md"))
TABLES = {
    "index": (schema.INDEX, "One object or shard member."),
    "predictions": (schema.PREDICTIONS, "One sample: a frame of an image, or an image that could not be read."),
    "segmentations": (
        schema.SEGMENTATIONS,
        "The predictions of a bundle that segments: one sample, and the mask on its own rows and columns. "
        "`numpy.repeat(run_classes, run_lengths).reshape(rows, columns)` is the mask; "
        "`medray.scoring.segmentations.mask_of(row)` does that.",
    ),
    "predictions of clips, series and studies": (
        schema.FRAME_SETS,
        "One sample of several frames, by a bundle whose recipe says so (`--recipe.sample.of`). Of the columns that "
        "`predictions` have too, one that the sample's objects do not share is null.",
    ),
    "models": (
        schema.MODELS,
        "One table of predictions, of a bundle or of their mean: what the output folder of several bundles holds "
        "(`medray score --bundle A --bundle B`).",
    ),
    "aggregates": (
        schema.AGGREGATES,
        "One series, study or patient (`score --aggregate`): `_aggregates/LEVEL-RULE` in the predictions' folder.",
    ),
    "explanations": (
        schema.EXPLANATIONS,
        "One chosen sample and where the model looked (`score --explain`): `_explanations` in the predictions' folder.",
    ),
    "volumes": (schema.VOLUMES, "One volume of a series, or a series that has none (`medray volume`)."),
    "history": (schema.HISTORY, "One epoch of one seed."),
    "metrics": (schema.METRICS, "One metric of one class in one subgroup."),
}
HEAD = """# Tables

Made by `python docs/make_tables.py` from `medray/schema.py`; edit that.

A table is a folder of Parquet files. `_MANIFEST.json` is written last and names the files, the rows and the counts; a
folder without it is not finished. `_RUN.json` holds what the job was asked for, so that only the same command goes on.
Any Parquet reader opens the files that the manifest names.

The manifests of `index`, `pack` and `score` have `run`, about the run that finished the table and about no earlier
one: `seconds` from the start of the command to the finished table, `units`, `images` (of an index: objects),
`images_per_s` over those seconds, `warm_images_per_s` from the first finished unit to the last one (null of a single
unit), `bytes` of objects read from the store and `megabytes_per_s`, `stage_seconds` of all workers together
(`waiting` for work, `read`, `decode`, `graph`, `forward`, `write`, `other`), `stage_shares` of them, the `bottleneck`
with the largest share, `failures` by reason, and `cost_per_1000_images` where there is a `price_per_hour`. That
workers start, and stand idle when no unit is left, is in `seconds` but no stage.
"""


DECODERS_HEAD = """# Decoders

Made by `python docs/make_tables.py` from `medray/pixels/codecs.py`; edit that. `medray doctor` prints which of them run
on your machine.

The first decoder reads every frame. The second is asked where the first refuses, where a frame comes out with one
value everywhere, and for the share of the frames that `--decode.cross-check` names (0.01: one in a hundred). Where the
two read different values, lossless ones at all and lossy ones by more than 2 levels, the frame fails as
`decoders_disagree`. The decoder that made a sample stands in its row, and so do the flags `cross_checked` and
`not_cross_checked` (no second decoder reads such frames).

What they rest on: `imagecodecs.jpeg8` on libjpeg-turbo, `dicomrle` on its own code, `jpegls` on CharLS, `jpeg2k` on
OpenJPEG, `htj2k` on OpenJPH, `jpegxl` on libjxl, `deflate` on libdeflate; `gdcm` on the IJG's libjpeg, and on CharLS
and OpenJPEG in other versions; `pylibjpeg` on OpenJPEG; `pydicom` on its own Python; `pyjpegls` on CharLS; `pillow` on
libjpeg-turbo. Two versions of one library are no two opinions: JPEG-LS and JPEG 2000 are checked against faults of the
binding and of the version, not of the library itself.

| transfer syntax | UID | first | second |
|---|---|---|---|"""


def decoders_page() -> str:
    """The page of decoders."""
    rows = (
        f"| {codec.name} | {uid} | `{codec.first}` | {', '.join(f'`{name}`' for name in codec.second) or 'none'} |"
        for uid, codec in TRANSFER_SYNTAXES.items()
    )
    return "\n".join((DECODERS_HEAD, *rows)) + "\n"


def lines() -> Iterator[str]:
    """The page's lines."""
    yield HEAD
    for name, (table, row) in TABLES.items():
        yield f"## {name}\n\n{row}\n\n| column | type | what it is |\n|---|---|---|"
        yield from (_row(field) for field in table)
        yield ""
    yield "## Reasons\n\nWhy an object or sample is skipped or failed.\n\n| reason | meaning | cure |\n|---|---|---|"
    yield from (f"| `{reason.value}` | {REASONS[reason][0]} | {REASONS[reason][1]} |" for reason in Reason)


def _row(field: pa.Field) -> str:
    comment = (field.metadata or {}).get(b"comment", b"").decode()
    return f"| `{field.name}` | {str(field.type).replace('<element: ', '<').replace('<item: ', '<')} | {comment} |"


def page() -> str:
    """The page."""
    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    DECODERS.write_text(decoders_page())
