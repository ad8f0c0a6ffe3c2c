"""Each reason of skipping or failing in words, and its cure."""

from medray.errors import Reason

# reason -> (what it means, what to do about it)
REASONS: dict[Reason, tuple[str, str]] = {
    Reason.CONTAINER: ("A tar or zip shard.", "Nothing to do: each of its members has a row of its own."),
    Reason.NOT_AN_IMAGE: ("No format that medray reads.", "Nothing to do, unless images were expected here."),
    Reason.NON_IMAGE_CLASS: ("DICOM without pixels: a report, plan, presentation state …", "Nothing to do."),
    Reason.DICOMDIR: ("The directory file of a DICOM medium.", "Nothing to do: its instances have rows of their own."),
    Reason.EMPTY_OBJECT: ("The object has no bytes.", "Copy it again from where it came."),
    Reason.NO_LABEL: ("No label was found for it.", "Add it to the labels, or check the column that joins them."),
    Reason.CORRUPT_HEADER: ("Its DICOM header cannot be parsed.", "Export it again; dcmdump shows where it breaks."),
    Reason.CORRUPT_CONTAINER: ("The shard is damaged or cut off.", "Copy the shard again and compare its size."),
    Reason.CORRUPT_IMAGE: ("Its compressed image is damaged or cut off.", "Copy or export it again."),
    Reason.NESTED_TOO_DEEP: ("A shard within a shard, deeper than allowed.", "Unpack the outer shard first."),
    Reason.EXPANSION_LIMIT: (
        "It grows far beyond its size when it is unpacked.",
        "Make sure that it is no zip bomb, then store its members uncompressed.",
    ),
    Reason.UNSUPPORTED_CONTAINER: (
        "A shard of a kind that members cannot be read from.",
        "Pack it as an uncompressed tar or a plain zip.",
    ),
    Reason.UNSUPPORTED_TRANSFER_SYNTAX: (
        "Compressed in a way that no decoder here reads.",
        "See medray doctor; else transcode it, with gdcmconv for instance.",
    ),
    Reason.UNSUPPORTED_PIXELS: (
        "Its pixel module is of a kind that medray refuses to guess at.",
        "Its detail names the attribute; convert it at the source.",
    ),
    Reason.PIXEL_LENGTH_MISMATCH: (
        "Its pixel data are shorter or longer than its header says.",
        "Export it again: part of the image is missing, or the header is wrong.",
    ),
    Reason.PIXELS_MISSING: ("An image class without pixel data.", "Export it with its pixels."),
    Reason.FRAME_MISSING: ("The header counts more frames than there are.", "Export it again."),
    Reason.IMAGE_TOO_LARGE: (
        "Larger than one image may be.",
        "Raise `--decode.max_samples`, or score a smaller level or tiles of it.",
    ),
    Reason.DECODE_FAILED: ("Every decoder refused its pixels.", "Open it in a viewer; where it opens, report it."),
    Reason.DECODERS_DISAGREE: (
        "Two decoders read different values from it.",
        "Find out which is right before it is used: open it in a viewer, and report it.",
    ),
    Reason.DECODER_CRASHED: (
        "A decoder's process died on it.",
        "Only this image was given up; please report its transfer syntax.",
    ),
    Reason.DECODER_TIMEOUT: (
        "It was not decoded and prepared in time.",
        "Only this image was given up; `medray retry` with `--decode.frame_seconds` gives more time.",
    ),
    Reason.DECODER_OUT_OF_MEMORY: (
        "Its decoding process ran out of memory, or the system ended it.",
        "Only this image was given up; `medray retry` with `--decode.gibibytes` gives more.",
    ),
    Reason.WORKER_KILLED: (
        "Its graph or the model's answer to it ended the worker, again and again.",
        "Only this sample was given up; look at it, check that memory suffices, and please report it.",
    ),
    Reason.WORKER_STALLED: (
        "Its graph or the model's answer to it never came.",
        "Only this sample was given up; `--ray.stalled_s` gives more time.",
    ),
    Reason.BAD_RESCALE: ("Its rescale slope or intercept cannot be used.", "Correct the header at the source."),
    Reason.SPACING_MISSING: (
        "Its header tells no pixel spacing, and the recipe asks for one.",
        "Take `spacing_mm` out of the recipe, or leave such images out.",
    ),
    Reason.VOI_MISSING: (
        "Its header has not the window or VOI table that the recipe asks for.",
        "Ask for another with `--recipe.voi`, or set `--recipe.window` for all images.",
    ),
    Reason.BAD_VOI: (
        "The window or VOI table that the recipe asks for is one that the standard forbids.",
        "Ask for another with `--recipe.voi`, or set `--recipe.window` for all images.",
    ),
    Reason.SUV_MISSING: (
        "Its header does not hold all that SUV by body weight takes.",
        "Its detail names the attribute; correct the header at the source, or use `--recipe.pet modality`.",
    ),
    Reason.MASK_MISSING: (
        "The labels name a mask for it that is not in the archive.",
        "Correct the path in the labels, or index the archive again.",
    ),
    Reason.MASK_UNREADABLE: (
        "Its mask cannot be read.",
        "Save it as a PNG, TIFF or GIF of one channel; DICOM segmentations are not read as labels.",
    ),
    Reason.MASK_SIZE: (
        "Its mask has other rows, columns or pages than the image has rows, columns and frames.",
        "Save the mask on the image's own grid.",
    ),
    Reason.MASK_VALUE: (
        "Its mask has a value that `--labels.mask_classes` does not list.",
        "List the value as a class, correct the mask, or leave such pixels out by `--labels.region_column`.",
    ),
    Reason.NOT_FOUND: ("It was indexed and is gone.", "Index the archive again."),
    Reason.ACCESS_DENIED: ("The store refused to hand it out.", "Grant the right to read it."),
    Reason.READ_FAILED: (
        "The store failed again and again.",
        "`medray retry OUT --reason read_failed` tries these again, and nothing else.",
    ),
    Reason.CHANGED_SINCE_INDEX: ("It was overwritten after it was indexed.", "Index the archive again."),
    Reason.CHECKSUM_MISMATCH: (
        "Its bytes in the shard that the detail names are not those that were packed, also when read again.",
        "Restore that shard (`sha256sum -c SHA256SUMS` beside it names each broken one), or delete it and pack again.",
    ),
    Reason.INTERNAL: ("A defect of medray itself.", "Please report it; its detail names the exception."),
}


def explain(reason: str) -> tuple[str, str]:
    """Give meaning and cure of a reason's code; a code of another version has neither."""
    known = reason in Reason.__members__.values()
    return REASONS[Reason(reason)] if known else ("A reason that this version does not know.", "Update medray.")
