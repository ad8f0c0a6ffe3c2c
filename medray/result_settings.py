"""Settings of what reads finished predictions: a report, a row scored again to be compared, or what failed."""

from dataclasses import dataclass, field
from typing import Literal

from medray.image_settings import DecodeSettings
from medray.label_settings import LabelSettings
from medray.settings import RaySettings


@dataclass(frozen=True)
class ReportSettings:
    """Turn predictions (and labels) into a metrics table and one HTML page.

    Attributes:
        predictions: a predictions table.
        out: where metrics and page go.
        bundle: the bundle that made the predictions, for heat maps; none = no heat maps.
        labels: the labels; without a file the page shows scores and failures only.
        split: which side of the split to report on.
        history: the training's output folder, to draw its curves.
        key_file: file with the secret key of the hashed identifiers; none = $MEDRAY_KEY, else ~/.config/medray/key.
        bootstrap: resamples over patients for the intervals.
        examples: images shown with heat maps.
    """

    predictions: str
    out: str
    bundle: str | None = None
    labels: LabelSettings = field(default_factory=LabelSettings)
    split: Literal["test", "validation", "train", "all"] = "test"
    history: str | None = None
    key_file: str | None = None
    bootstrap: int = 1000
    examples: int = 12


@dataclass(frozen=True)
class ReplaySettings:
    """Score one sample of finished predictions again, as it was scored, and show it: `medray replay OUT SAMPLE_ID`.

    It ends with code 0 where every number is bit-equal to the stored one, and with 4 where one is not. Bit-equality is
    promised on the same machine (CPU or GPU), code and libraries; where something differs, it is named.

    Attributes:
        predictions: the predictions table; may stand first, without its flag.
        sample: a sample_id of it; may stand second, without its flag.
        out: folder for the page `replay-….html`, with the image, its region graph and its heat.
        bundle: the bundle that scored it; none = where it lay when it did.
        key_file: file with the secret key of the hashed identifiers; none = $MEDRAY_KEY, else ~/.config/medray/key.
    """

    predictions: str
    sample: str
    out: str = "."
    bundle: str | None = None
    key_file: str | None = None


@dataclass(frozen=True)
class RetrySettings:
    """Score again what failed for a reason, and nothing else: `medray retry OUT --reason X`.

    The other rows stay as they are, bit for bit. Killed at any moment, the old table is whole or the new one is, and
    the same command goes on. What failed while it was indexed needs `medray index` first.

    Attributes:
        predictions: the predictions table; may stand first, without its flag.
        reason: why the samples failed; may be given more than once. `all` = for whatever reason.
        bundle: the bundle that scored the others; none = where it lay when it did.
        key_file: file with the secret key of the hashed identifiers; none = $MEDRAY_KEY, else ~/.config/medray/key.
        actors: warm model actors; none = one a CPU (or GPU).
        use_gpu: a GPU for each actor.
        batch_size: samples in one forward pass; none = as in `score`.
        max_failed_fraction: end with exit code 3 where a larger share of all samples is failed afterwards.
        decode: what decoding may take, and how it is checked: what ran out of time or memory may be given more; none =
            as the others were scored. `--decode.frame_seconds 300` and the rest of them are as in `score`.
        ray: where the job runs.
    """

    predictions: str
    reason: list[str]
    bundle: str | None = None
    key_file: str | None = None
    actors: int | None = None
    use_gpu: bool = False
    batch_size: int | None = None
    max_failed_fraction: float = 1.0
    decode: DecodeSettings | None = None
    ray: RaySettings = field(default_factory=RaySettings)
