"""The explicit Arrow schema of every table that medray writes. docs/tables.md is made from the field comments."""

from typing import Literal, get_args

import pyarrow as pa


def _field(name: str, kind: pa.DataType, comment: str) -> pa.Field:
    return pa.field(name, kind, metadata={"comment": comment})


OUTCOME = [
    _field("status", pa.string(), "ok, skipped or failed"),
    _field("reason", pa.string(), "why it was skipped or failed (errors.Reason); null where ok"),
    _field("detail", pa.string(), "the reason in words; names no path and no patient"),
]

KEYS = [
    _field("patient_key", pa.string(), "keyed hash of Patient ID (0010,0020); of the study's UID where it is missing"),
    _field("study_key", pa.string(), "keyed hash of Study Instance UID (0020,000D)"),
    _field("series_key", pa.string(), "keyed hash of Series Instance UID (0020,000E)"),
    _field("instance_key", pa.string(), "keyed hash of SOP Instance UID (0008,0018)"),
]

INDEX = pa.schema(
    [
        _field("object_id", pa.string(), "keyed hash of the object's path in the archive, member included"),
        _field("uri", pa.string(), "the object that holds the bytes; encrypted unless --paths plain"),
        _field("member", pa.string(), "path inside the shard; encrypted unless --paths plain; null for loose objects"),
        _field("offset", pa.int64(), "first byte within the object"),
        _field("length", pa.int64(), "bytes at rest"),
        _field("compression", pa.string(), "deflate for compressed zip members, else null"),
        _field("etag", pa.string(), "the store's entity tag; for files size and modification time"),
        _field("checksum", pa.string(), "of what `pack` wrote: crc32:… of a member, sha256:… of a shard; else null"),
        _field("format", pa.string(), "dicom, png, jpeg, tiff, tar, zip; null for anything else"),
        *OUTCOME,
        *KEYS,
        _field("modality", pa.string(), "(0008,0060)"),
        _field("sop_class_uid", pa.string(), "(0008,0016)"),
        _field("transfer_syntax_uid", pa.string(), "(0002,0010); the media type for PNG, JPEG and TIFF"),
        _field("rows", pa.int32(), "(0028,0010)"),
        _field("columns", pa.int32(), "(0028,0011)"),
        _field("frames", pa.int32(), "(0028,0008); 1 where absent"),
        _field("samples_per_pixel", pa.int16(), "(0028,0002)"),
        _field("bits_allocated", pa.int16(), "(0028,0100)"),
        _field("bits_stored", pa.int16(), "(0028,0101)"),
        _field("high_bit", pa.int16(), "(0028,0102)"),
        _field("pixel_representation", pa.int16(), "(0028,0103): 0 unsigned, 1 two's complement"),
        _field("photometric_interpretation", pa.string(), "(0028,0004)"),
        _field("row_spacing_mm", pa.float64(), "distance between rows; null where the header does not say"),
        _field("column_spacing_mm", pa.float64(), "distance between columns"),
        _field("spacing_source", pa.string(), "the attribute that the spacing comes from"),
        _field("slice_thickness_mm", pa.float64(), "(0018,0050)"),
        _field("position_mm", pa.list_(pa.float64()), "Image Position (Patient) (0020,0032): x, y, z"),
        _field("orientation", pa.list_(pa.float64()), "Image Orientation (Patient) (0020,0037): row, column cosines"),
        _field("instance_number", pa.int32(), "(0020,0013)"),
        _field("acquisition_number", pa.int32(), "(0020,0012)"),
        _field("acquisition_time_s", pa.float64(), "(0008,0032), seconds since midnight; dates are not kept"),
        _field("content_time_s", pa.float64(), "(0008,0033), seconds since midnight"),
        _field("manufacturer", pa.string(), "(0008,0070)"),
        _field("model_name", pa.string(), "(0008,1090)"),
        _field("body_part", pa.string(), "(0018,0015)"),
        _field("view_position", pa.string(), "(0018,5101)"),
        _field("laterality", pa.string(), "(0020,0062), else (0020,0060)"),
        _field("patient_sex", pa.string(), "(0010,0040)"),
        _field("patient_age_years", pa.float32(), "(0010,1010), cut at 90"),
        _field("rescale_slope", pa.float64(), "(0028,1053), top level"),
        _field("rescale_intercept", pa.float64(), "(0028,1052), top level"),
        _field("units", pa.string(), "(0054,1001), else Rescale Type (0028,1054)"),
        _field("lossy", pa.bool_(), "(0028,2110) is 01"),
        _field("burned_in_annotation", pa.bool_(), "(0028,0301) is YES"),
        _field("flags", pa.list_(pa.string()), "what had to be recovered or guessed"),
        _field("bytes_read", pa.int64(), "bytes fetched to make this row"),
    ]
)

Stage = Literal["waiting", "read", "decode", "graph", "forward", "write", "other"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""What a worker does: wait for its next unit; wait for bytes of the store; decode and prepare frames, in the decoding
process (its start and the frames that ended it count too); build region graphs; run the model and lay out its answers;
write the part file; anything else."""
_STAGES = "seconds of each stage; `waiting` is that before the unit, for work"

LEDGER = pa.schema(
    [
        _field("unit_id", pa.string(), "the unit"),
        _field("rows", pa.int64(), "rows of its part file"),
        _field("ok", pa.int64(), "of them ok"),
        _field("skipped", pa.int64(), "of them skipped"),
        _field("failed", pa.int64(), "of them failed"),
        _field("reasons", pa.map_(pa.string(), pa.int64()), "failed rows by reason"),
        _field("seconds", pa.float64(), "of work on the unit, in all of its stages"),
        _field("stage_seconds", pa.struct([(name, pa.float64()) for name in STAGES]), _STAGES),
        _field("bytes", pa.int64(), "bytes of objects read from the store"),
        _field("died", pa.int64(), "times that it ended its worker before; of score only"),
    ]
)

SCORED = [
    _field("sample_id", pa.string(), "object_id:frame"),
    _field("object_id", pa.string(), "as in the index"),
    _field("frame", pa.int32(), "frame number, from 0; null where no frame could be counted"),
    *OUTCOME,
    *KEYS,
    _field("uri", pa.string(), "as in the index"),
    _field("member", pa.string(), "as in the index"),
    _field("modality", pa.string(), "as in the index"),
    _field("manufacturer", pa.string(), "as in the index"),
    _field("patient_sex", pa.string(), "as in the index"),
]

MADE_BY = [
    _field("recipe_id", pa.string(), "the recipe that made the input"),
    _field("model_id", pa.string(), "the bundle's hash"),
    _field(
        "code", pa.string(), "medray's version and, in a checkout, its commit; `dirty` where the package was changed"
    ),
    _field(
        "setup",
        pa.string(),
        "what decides the last bits of the numbers (batch size, libraries, CPU): a key of the manifest's `setups`; "
        "null where there are no numbers",
    ),
    _field("unit_id", pa.string(), "the unit, whose samples went through the model together"),
    _field("decoder", pa.string(), "what decoded the frame"),
    _field("flags", pa.list_(pa.string()), "what had to be recovered or guessed"),
    _field("etag", pa.string(), "the object's entity tag when it was indexed"),
]

PREDICTIONS = pa.schema(
    [
        *SCORED,
        _field("logits", pa.list_(pa.float32()), "one a class, in the bundle's order"),
        _field("probabilities", pa.list_(pa.float32()), "one a class, in the bundle's order"),
        _field("label", pa.string(), "the predicted class, at the bundle's threshold"),
        *MADE_BY,
    ]
)

FRAME_SETS = pa.schema(
    [
        *SCORED,
        _field("keyed_by", pa.string(), "what the sample's id is: object_id, series_key or study_key"),
        _field("frames_listed", pa.int32(), "frames of the sample; an object that cannot be read counts as one"),
        _field("frames_failed", pa.int32(), "of those that were taken (--recipe.sample.frames), how many failed"),
        _field("frame_ids", pa.list_(pa.string()), "object_id:frame of those that the answer rests on, in order"),
        _field(
            "frame_weights", pa.list_(pa.float32()), "of each in the answer, where the model attends; they sum to 1"
        ),
        _field("logits", pa.list_(pa.float32()), "one a class, in the bundle's order"),
        _field("probabilities", pa.list_(pa.float32()), "one a class, in the bundle's order"),
        _field("label", pa.string(), "the predicted class, at the bundle's threshold"),
        *MADE_BY,
    ]
)
"""Predictions of samples of several frames: a column of SCORED or MADE_BY that their objects do not share is null."""

MODELS = pa.schema(
    [
        _field("name", pa.string(), "the folder of the model's predictions, beside this table"),
        _field("model_id", pa.string(), "as in the predictions"),
        _field("mean_over", pa.list_(pa.string()), "the bundles' hashes, where it is a mean; else empty"),
        _field("task", pa.string(), "classify or segment"),
        _field("classes", pa.list_(pa.string()), "in the order of the probabilities"),
        _field("threshold", pa.float64(), "of the second of two classes; null = the most probable class"),
        _field("rows", pa.int64(), "samples"),
        _field("ok", pa.int64(), "of them ok"),
        _field("failed", pa.int64(), "of them failed"),
    ]
)

AGGREGATES = pa.schema(
    [
        _field("group_key", pa.string(), "the series', study's or patient's key; where it is missing the object_id"),
        _field(
            "keyed_by", pa.string(), "series_key, study_key, patient_key, object_id; sample_id where all are missing"
        ),
        _field("patient_key", pa.string(), "as in the predictions; null where they do not say"),
        _field("study_key", pa.string(), "likewise; null for patients"),
        _field("series_key", pa.string(), "likewise; null for patients and studies"),
        _field("status", pa.string(), "ok where a sample is, else failed"),
        _field("reason", pa.string(), "of the group's failed samples the first in the alphabet; null where ok"),
        _field("samples", pa.int64(), "of the group in the predictions"),
        _field("ok", pa.int64(), "of them ok: the answer rests on these"),
        _field("failed", pa.int64(), "of them failed"),
        _field("probabilities", pa.list_(pa.float32()), "one a class, in the bundle's order; null where not ok"),
        _field("label", pa.string(), "the answer, at the threshold of the predictions"),
        _field("rule", pa.string(), "mean, max or noisy_or"),
        _field("recipe_id", pa.string(), "as in the predictions"),
        _field("model_id", pa.string(), "as in the predictions"),
    ]
)

_RUNS = "the class number of each, in the bundle's order; -1 = the model did not see these pixels"
_PLACEMENT = (
    "the frame's rows and columns; first row, first column, rows and columns of the part that was resized; its rows "
    "and columns after that, laid in the middle of a square (padded or cut); the square's side"
)
_ORDER = "class after class, each row by row; null where not asked for"

SEGMENTATIONS = pa.schema(
    [
        *SCORED,
        _field("rows", pa.int32(), "of the frame as it was decoded, and so of the mask"),
        _field("columns", pa.int32(), "likewise"),
        _field("run_classes", pa.list_(pa.int16()), f"the mask as runs of equal pixels, row by row: {_RUNS}"),
        _field("run_lengths", pa.list_(pa.int32()), "pixels of each run; a run may go on in the next row"),
        _field("area_fractions", pa.list_(pa.float64()), "share of each class of the pixels that the model saw"),
        _field("placement", pa.list_(pa.int32()), f"where the model's input lies in the frame: {_PLACEMENT}"),
        _field("probabilities", pa.list_(pa.float16()), f"of each pixel of that square (--probabilities): {_ORDER}"),
        *MADE_BY,
    ]
)

EXPLANATIONS = pa.schema(
    [
        _field("sample_id", pa.string(), "as in the predictions"),
        _field("object_id", pa.string(), "as in the index"),
        _field("frame", pa.int32(), "frame number, from 0"),
        *OUTCOME,
        _field("label", pa.string(), "the class that is explained: the predicted one"),
        _field("method", pa.string(), "cam (LayerCAM of images, node-CAM of graphs), integrated_gradients, occlusion"),
        _field("shape", pa.list_(pa.int32()), "rows and columns of an image's coarse map, or nodes of a region graph"),
        _field("heat", pa.list_(pa.uint8()), "evidence for the class, row by row or node by node; 255 is the most"),
        _field("recipe_id", pa.string(), "the recipe that made the input; the nodes' label map comes of it again"),
        _field("model_id", pa.string(), "the bundle's hash"),
        _field("code", pa.string(), "as in the predictions"),
        _field("unit_id", pa.string(), "the unit, and so the part file"),
    ]
)

VOLUMES = pa.schema(
    [
        _field("series_key", pa.string(), "as in the index"),
        _field("volume", pa.int32(), "number within the series, from 0; null where the series has no volume"),
        _field("file", pa.string(), "the NIfTI file that holds it, beside this table; null where none can"),
        _field(
            "graphs", pa.string(), "the Parquet file of its region graph (--graphs), beside this table; null without"
        ),
        _field("time_point", pa.int32(), "place on the file's fourth axis"),
        _field("slices", pa.int32(), "slices of the volume"),
        _field("rows", pa.int32(), "rows of a slice"),
        _field("columns", pa.int32(), "columns of a slice"),
        _field("slice_spacing_mm", pa.float64(), "median distance of neighbouring slices along the normal"),
        _field("row_spacing_mm", pa.float64(), "distance between rows"),
        _field("column_spacing_mm", pa.float64(), "distance between columns"),
        _field("geometry_status", pa.string(), "regular, tilted, single_slice, gap, uneven, conflicting or shifted"),
        _field("phase", pa.list_(pa.string()), "what tells it from others at the same places: name=value"),
        _field("notes", pa.list_(pa.string()), "what was dropped, recovered or assumed, or why there is no volume"),
    ]
)

HISTORY = pa.schema(
    [
        _field("seed", pa.int32(), "the model's seed"),
        _field("epoch", pa.int32(), "from 0"),
        _field("train_loss", pa.float64(), "mean over the epoch"),
        _field("validation_loss", pa.float64(), "after the epoch"),
        _field("validation_auroc", pa.float64(), "macro, one class against the rest"),
        _field("validation_accuracy", pa.float64(), "of the most probable class; of masks over pixels"),
        _field("validation_dice", pa.float64(), "of masks: mean over the classes, each over all pixels of all images"),
        _field("learning_rate", pa.float64(), "at the end of the epoch"),
        _field("seconds", pa.float64(), "wall time of the epoch"),
    ]
)

METRICS = pa.schema(
    [
        _field("label", pa.string(), "the class, or `macro`"),
        _field("subgroup", pa.string(), "`all`, or column=value"),
        _field("metric", pa.string(), "auroc, average_precision, accuracy, f1, sensitivity, specificity, …"),
        _field("value", pa.float64(), "point estimate; null where it is not defined"),
        _field("low", pa.float64(), "2.5 % of the bootstrap over patients"),
        _field("high", pa.float64(), "97.5 % of the bootstrap over patients"),
        _field("samples", pa.int64(), "samples it rests on"),
        _field("patients", pa.int64(), "patients it rests on"),
    ]
)
