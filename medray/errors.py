"""Everything medray refuses, in one tree.

MedrayError                     one clear line: what, where, the rule, the cure
├── SettingsError               flags or settings that cannot work together
├── StorageError                an object store or file system that cannot be used
│   ├── NotFoundError           no such bucket, folder or object
│   ├── AccessDeniedError       an object or place that may not be read or written
│   │   └── CredentialsError    credentials missing, wrong or expired: nothing may be read any more, the job ends
│   ├── UnavailableError        a store that has stopped to answer: the job ends
│   └── FormatError             an object that is not of the format it should be
├── ArchiveError                an archive or index that is no archive or index
├── LabelError                  labels that do not fit the archive
│   └── LeakError               one patient on two sides of a split
├── GeometryError               slices that make no volume, or a mask that does not fit on it
├── BundleError                 a model bundle that this code cannot load
├── OutputError                 an output that exists, is unfinished or cannot be written
├── DifferentError              what is scored again is not what is stored
├── TooManyFailedError          the job is finished, and more samples failed than the user allows
└── SampleError                 one image cannot be used: it costs one row, with a `Reason`
"""

import os
import traceback
from enum import StrEnum


class MedrayError(Exception):
    """One clear line for the user: what is wrong and where, the rule, and the cure."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(f"{what} {cure}".strip())
        self.what, self.cure = what, cure

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.what, self.cure)


class SettingsError(MedrayError):
    """Flags or settings that cannot work together."""


class StorageError(MedrayError):
    """An object store or file system that cannot be used."""


class NotFoundError(StorageError):
    """No such bucket, folder or object."""


class AccessDeniedError(StorageError):
    """An object or place that may not be read or written."""


class CredentialsError(AccessDeniedError):
    """Credentials missing, wrong or expired: nothing may be read any more, so that the job ends."""


class UnavailableError(StorageError):
    """A store that has stopped to answer, so that the job ends."""


class FormatError(StorageError, ValueError):
    """An object that is not of the format it should be."""


class ArchiveError(MedrayError):
    """An archive or index that is no archive or index."""


class LabelError(MedrayError):
    """Labels that do not fit the archive."""


class LeakError(LabelError):
    """One patient on two sides of a split."""


class GeometryError(MedrayError):
    """Slices that make no volume, or a mask that does not fit on it."""


class BundleError(MedrayError):
    """A model bundle that this code cannot load."""


class OutputError(MedrayError):
    """An output that exists already, is unfinished, or cannot be written."""


class DifferentError(MedrayError):
    """What is scored again is not what is stored."""


class TooManyFailedError(MedrayError):
    """The job is finished, and more samples failed than the user allows."""


class Reason(StrEnum):
    """Why an object or sample is `skipped` or `failed`: the code that stands in its row."""

    # skipped: nothing is wrong, but there is no image to use
    CONTAINER = "container"  # a tar or zip shard: its members have rows of their own
    NOT_AN_IMAGE = "not_an_image"  # no format that medray reads
    NON_IMAGE_CLASS = "non_image_class"  # DICOM without pixels: SR, PR, KO, RTSTRUCT, PDF, waveform …
    DICOMDIR = "dicomdir"
    EMPTY_OBJECT = "empty_object"
    NO_LABEL = "no_label"
    # failed: it should have been an image, and it could not be used
    CORRUPT_HEADER = "corrupt_header"
    CORRUPT_CONTAINER = "corrupt_container"
    CORRUPT_IMAGE = "corrupt_image"
    NESTED_TOO_DEEP = "nested_too_deep"
    EXPANSION_LIMIT = "expansion_limit"
    UNSUPPORTED_CONTAINER = "unsupported_container"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    UNSUPPORTED_PIXELS = "unsupported_pixels"
    PIXEL_LENGTH_MISMATCH = "pixel_length_mismatch"
    PIXELS_MISSING = "pixels_missing"
    FRAME_MISSING = "frame_missing"
    IMAGE_TOO_LARGE = "image_too_large"
    DECODE_FAILED = "decode_failed"
    DECODERS_DISAGREE = "decoders_disagree"
    DECODER_CRASHED = "decoder_crashed"
    DECODER_TIMEOUT = "decoder_timeout"
    DECODER_OUT_OF_MEMORY = "decoder_out_of_memory"
    WORKER_KILLED = "worker_killed"
    WORKER_STALLED = "worker_stalled"
    BAD_RESCALE = "bad_rescale"
    SPACING_MISSING = "spacing_missing"
    VOI_MISSING = "voi_missing"
    BAD_VOI = "bad_voi"
    SUV_MISSING = "suv_missing"
    MASK_MISSING = "mask_missing"
    MASK_UNREADABLE = "mask_unreadable"
    MASK_SIZE = "mask_size"
    MASK_VALUE = "mask_value"
    NOT_FOUND = "not_found"
    ACCESS_DENIED = "access_denied"
    READ_FAILED = "read_failed"
    CHANGED_SINCE_INDEX = "changed_since_index"
    CHECKSUM_MISMATCH = "checksum_mismatch"  # a packed member whose bytes are not those that were packed
    INTERNAL = "internal"  # a defect of medray itself; the row's detail names the exception's type


class SampleError(MedrayError):
    """One image cannot be used. `detail` must name no path, patient or header text."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type, tuple[Reason, str]]:
        return type(self), (self.reason, self.detail)


def place_of(error: BaseException) -> str:
    """Type and place of an error that nobody foresaw, never its text, which may quote a header or a path."""
    places = traceback.extract_tb(error.__traceback__)
    ours = [place for place in places if f"{os.sep}medray{os.sep}" in place.filename] or places
    return f"{type(error).__name__} in {os.path.basename(ours[-1].filename)}, line {ours[-1].lineno}"
