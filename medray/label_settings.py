"""Where labels come from, what they ask for, and who trains, validates and tests."""

from dataclasses import dataclass, field
from typing import Literal

from medray.errors import SettingsError

TaskName = Literal["classify", "segment"]
"""A class of each image, or of each pixel."""


@dataclass(frozen=True)
class LabelSettings:
    """Where labels come from and how they find their images.

    Attributes:
        file: CSV or Parquet; none = the folder of each image is its class.
        column: the column with the class.
        join: the key of the join: `path` (relative to the archive, `shard.tar/member` inside a shard),
            `sop_instance_uid`, `series_instance_uid`, `study_instance_uid` or `patient`; `auto` takes the first of them
            that the file has.
        patient_column: groups images of one patient where the headers do not; none = the header's patient.
        split_column: column naming the side of the split, where the labels have one.
        where: keep only images whose index columns equal these values, e.g. {modality: CT}.
        mask_column: the column with the path of each image's mask (a PNG, TIFF or GIF of one channel, of the image's
            size, in the same archive); with it each pixel is classified (segmentation), and `column` is not read.
        mask_classes: names of the classes and their values in the masks, e.g. {background: 0, vessel: 255}; two or
            more. Another value in a mask fails its sample as `mask_value`.
        region_column: the column with the path of a mask of the pixels that count (other than 0), for instance the
            field of view; none, or an empty cell, = all pixels count.
    """

    file: str | None = None
    column: str = "label"
    join: Literal["auto", "path", "sop_instance_uid", "series_instance_uid", "study_instance_uid", "patient"] = "auto"
    patient_column: str | None = "patient_id"
    split_column: str | None = "split"
    where: dict[str, str] = field(default_factory=dict)
    mask_column: str | None = None
    mask_classes: dict[str, int] = field(default_factory=dict)
    region_column: str | None = None

    def __post_init__(self) -> None:
        """Refuse masks that say nothing.

        Raises:
            SettingsError: masks without classes or without a file, or classes without masks.
        """
        if self.mask_column is None:
            if self.mask_classes or self.region_column:
                raise SettingsError("--labels.mask_classes and --labels.region_column need --labels.mask_column.")
            return
        if self.file is None:
            raise SettingsError("--labels.mask_column is of a file of labels.", "Name it: --labels.file.")
        if len(self.mask_classes) < 2 or len(set(self.mask_classes.values())) < len(self.mask_classes):
            said = ", ".join(f"{name}: {value}" for name, value in self.mask_classes.items())
            what = f"--labels.mask_classes is {{{said}}}, and must name two classes or more, each of its own value."
            raise SettingsError(what, "For instance: --labels.mask_classes '{background: 0, vessel: 255}'.")

    @property
    def task(self) -> TaskName:
        """A class of each pixel where there are masks, else of each image."""
        return "segment" if self.mask_column else "classify"

    @property
    def mask_values(self) -> dict[str, int]:
        """The classes of the masks by rising value, however they were written down: the order of the logits."""
        return dict(sorted(self.mask_classes.items(), key=lambda item: item[1]))


@dataclass(frozen=True)
class SplitSettings:
    """Which patients train, validate and test.

    Attributes:
        train: names in the split column that train.
        validation: names in the split column that choose the epoch and the threshold.
        test: names in the split column that are kept for the end.
        validation_fraction: share of patients that validate where no column says so.
        test_fraction: share of patients that test where no column says so.
        seed: of the keyed hash that deals patients out.
    """

    train: tuple[str, ...] = ("train",)
    validation: tuple[str, ...] = ("val", "validation")
    test: tuple[str, ...] = ("test",)
    validation_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0
