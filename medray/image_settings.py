"""What decoding an image may take, and what is done to it: optional steps, region graphs, augmentation."""

import math
from dataclasses import dataclass, fields
from typing import Literal

from medray.errors import SettingsError

LARGEST_ELASTIC = 0.1
"""Of the side: control points 1/4 of a side apart fold nothing while they move less than 1/4 / 2.046.

Source: Choi and Lee 2000, Injectivity conditions of 2D and 3D uniform cubic B-spline functions,
doi:10.1006/gmod.2000.0531.
"""


@dataclass(frozen=True)
class DecodeSettings:
    """What one frame may take to be decoded, and how many are decoded twice.

    Attributes:
        cross_check: share of the frames (0 to 1) that an independent decoder reads too. Where the two disagree the
            frame fails as `decoders_disagree`; which frames are taken depends on their sample ids alone.
        max_samples: rows x columns x samples a frame may have; one that says more fails as `image_too_large` before
            memory is taken for it. The largest mammogram has a tenth of the default.
        frame_seconds: time in which a frame must be decoded and prepared, or it fails as `decoder_timeout`.
        gibibytes: memory of a decoding process; the frame that wants more fails as `decoder_out_of_memory`.
    """

    cross_check: float = 0.0
    max_samples: int = 2**28
    frame_seconds: float = 60.0
    gibibytes: float = 8.0

    def __post_init__(self) -> None:
        """Refuse what no frame can be given.

        Raises:
            SettingsError: a number out of its range.
        """
        _check("decode.cross_check", self.cross_check, 0 <= self.cross_check <= 1, "between 0 and 1")


@dataclass(frozen=True)
class SampleRecipe:
    """What one sample is: a frame, or several of them that get one answer together.

    Attributes:
        of: `frame`; `clip`, all frames of an object (cine, ultrasound, a multi-frame volume); `series` or `study`, all
            frames of all their objects. An object without a series or study is a sample of its own.
        frames: at the most; of a larger sample they are taken evenly, in its order: series after series, along the
            slice normal, by number.
    """

    of: Literal["frame", "clip", "series", "study"] = "frame"
    frames: int = 32

    @property
    def is_set(self) -> bool:
        """Whether a sample has several frames."""
        return self.of != "frame"

    def __post_init__(self) -> None:
        """Refuse a sample of nothing.

        Raises:
            SettingsError: a number out of its range.
        """
        _check("recipe.sample.frames", self.frames, self.frames >= 1, "1 or more")


@dataclass(frozen=True)
class GraphRecipe:
    """How an image becomes a region graph.

    Attributes:
        builder: `superpixel` (SLIC regions and their neighbours), `grid` (equal blocks), `knn` (SLIC regions, each
            joined to those that are nearest and most alike) or `multiscale` (SLIC regions, and what they merge into).
        regions: superpixels asked for; the graph has about as many nodes (`multiscale`: 1.4 times as many).
        compactness: m in SLIC's distance (difference of values)^2 + (m * distance / side of a region)^2. Values of
            prepared images have a standard deviation of about 1, so 0.3 means: one region's side away counts as much
            as 0.3 standard deviations. On an image scaled to [0, 1] whose standard deviation is a third, that is 0.1.
            Of several channels the difference's square is the mean of theirs. `knn` ranks regions by the same distance.
        iterations: SLIC sweeps.
        blur_px: standard deviation of the blur that places the regions, 1/16 of a region's side at the most; features
            come from the unblurred image.
        neighbours: regions that each region of `knn` is joined to; it may be chosen by others, too.
        texture: add the texture statistics (multi-scale DoG, gradient, coherence, histogram) to the node features.
        lbp: add the histogram of local binary patterns (10 bins) to the node features.
        position: add each region's (row, column) to the node features.
    """

    builder: Literal["superpixel", "grid", "knn", "multiscale"] = "superpixel"
    regions: int = 200
    compactness: float = 0.3
    iterations: int = 5
    blur_px: float = 1.0
    neighbours: int = 8
    texture: bool = False
    lbp: bool = False
    position: bool = False

    def __post_init__(self) -> None:
        """Refuse what no image can be given.

        Raises:
            SettingsError: a number out of its range.
        """
        _check("recipe.graph.regions", self.regions, self.regions >= 1, "1 or more")
        _check("recipe.graph.compactness", self.compactness, self.compactness >= 0, "0 or more")
        _check("recipe.graph.iterations", self.iterations, self.iterations >= 1, "1 or more")
        _check("recipe.graph.blur_px", self.blur_px, self.blur_px >= 0, "0 or more")
        _check("recipe.graph.neighbours", self.neighbours, self.neighbours >= 1, "1 or more")


@dataclass(frozen=True)
class StepRecipe:
    """Optional steps of a recipe, in the order in which they run, all off by default. None reads padding pixels.

    Attributes:
        content: a pixel is content where it is brighter than the darkest one by more than this share of the image's
            range; `crop` and `z_score` ask for it. What surrounds it must be dark, which in MONOCHROME1 is high values.
        crop: cut away rows and columns at the edges that hold no content.
        median_px: side (odd, in pixels) of the window of a median filter; 0 = off.
        nl_means: non-local means, as strong as this many standard deviations of the image's noise, which is estimated;
            0 = off, about 0.8 is usual.
        clahe: contrast-limited adaptive histogram equalisation: the most that a bin may hold, in means of a bin, in
            8 x 8 tiles; 0 = off, 2 to 4 is usual.
        spacing_mm: side of a pixel of the model input, instead of what fits the whole image into it: what is larger
            than the input is cut at the edges, what is smaller is padded; none = off. Images without spacing fail.
        z_score: mean and standard deviation come from the `real` pixels (not padding) or from the `content` alone.
        contrast: the normalised image is multiplied by this; negative turns bright into dark.
        brightness: added to the normalised image, in its standard deviations (or quarters of the window).
    """

    content: float = 0.05
    crop: bool = False
    median_px: int = 0
    nl_means: float = 0.0
    clahe: float = 0.0
    spacing_mm: float | None = None
    z_score: Literal["real", "content"] = "real"
    contrast: float = 1.0
    brightness: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no image can be given.

        Raises:
            SettingsError: a number out of its range.
        """
        _check("recipe.steps.content", self.content, 0 <= self.content < 1, "0 or more and below 1")
        odd = self.median_px == 0 or (self.median_px >= 3 and self.median_px % 2 == 1)
        _check("recipe.steps.median_px", self.median_px, odd, "0, or odd and 3 or more")
        _check("recipe.steps.nl_means", self.nl_means, self.nl_means >= 0, "0 or more")
        _check("recipe.steps.clahe", self.clahe, self.clahe >= 0, "0 or more")
        if self.spacing_mm is not None:
            _check("recipe.steps.spacing_mm", self.spacing_mm, self.spacing_mm > 0, "above 0")
        _check("recipe.steps.contrast", self.contrast, self.contrast != 0, "other than 0")
        _check("recipe.steps.brightness", self.brightness, True, "a number")


@dataclass(frozen=True)
class AugmentSettings:
    """Random changes of training images, drawn anew for each sample and epoch. A number is the largest change; 0 = off.

    They run in this order on the prepared image; geometry is one interpolation, filled with the image's minimum.

    Attributes:
        flip_left_right: mirror every second image.
        flip_up_down: turn every second image upside down.
        rotate_degrees: to either side.
        scale: 0.2 enlarges or shrinks by a factor between 1 / 1.2 and 1.2.
        shift: up or down, left or right, as a share of the side.
        crop: cut away up to this share of the side, at a random place, and enlarge the rest to the full size.
        elastic: bend smoothly, control points moving by this share of the side; at most 0.1.
        gamma: 0.3 takes values, between the image's minimum and maximum, to a power between 1 / 1.3 and 1.3.
        contrast: 0.2 multiplies values by a factor between 1 / 1.2 and 1.2.
        brightness: added or taken away; the image's standard deviation is about 1.
        blur_px: standard deviation of a Gaussian blur, in pixels.
        noise: standard deviation of Gaussian noise; the image's own is about 1.
        cut_out: side of a square that is hidden (set to 0, the mean), as a share of the image's side.
    """

    flip_left_right: bool = False
    flip_up_down: bool = False
    rotate_degrees: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    crop: float = 0.0
    elastic: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    blur_px: float = 0.0
    noise: float = 0.0
    cut_out: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no image can be given.

        Raises:
            SettingsError: a number out of its range.
        """
        most = {"rotate_degrees": 180.0, "shift": 1.0, "crop": 0.9, "elastic": LARGEST_ELASTIC, "cut_out": 1.0}
        for item in fields(self):
            value, largest = getattr(self, item.name), most.get(item.name, math.inf)
            rule = "0 or more" if largest == math.inf else f"from 0 to {largest:g}"
            _check(f"augment.{item.name}", value, 0 <= value <= largest, rule)

    @property
    def is_on(self) -> bool:
        """Whether any image is changed."""
        return self != AugmentSettings()


def _check(name: str, value: float, good: bool, rule: str) -> None:
    if not (good and math.isfinite(value)):
        raise SettingsError(f"--{name} is {value:g}, and must be {rule}.")
