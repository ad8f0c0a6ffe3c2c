"""What a report page shows, as plain values: whoever gathers them knows nothing of HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int16

from medray.label_settings import TaskName
from medray.reports.figures import Figure
from medray.reports.mask_metrics import MASK_METRIC_NAMES
from medray.reports.measures import METRIC_NAMES


@dataclass(frozen=True)
class Example:
    """One image with what the model made of it.

    Attributes:
        image: grey values of any range, high = bright.
        heat: evidence for the predicted class, 0 and above, of any size; shown relative to its maximum; none = no
            heat map could be made.
        caption: one line in words, for instance the kind of case.
        truth: the label; none where there is none.
        prediction: the predicted class.
        probability: of the predicted class.
        sample_id: the only key that a page may show.
    """

    image: Float[np.ndarray, "rows columns"]
    heat: Float[np.ndarray, "heat_rows heat_columns"] | None
    caption: str
    truth: str | None
    prediction: str
    probability: float
    sample_id: str


@dataclass(frozen=True)
class MaskExample:
    """One image, its mask and the model's, all on the pixels of the model's input.

    Attributes:
        image: grey values of any range, high = bright.
        truth: class numbers; -1 = the pixel does not count.
        prediction: class numbers; -1 = the model did not see it.
        caption: one line in words.
        dice: of each class; NaN where neither mask has it.
        sample_id: the only key that a page may show.
    """

    image: Float[np.ndarray, "rows columns"]
    truth: Int16[np.ndarray, "rows columns"]
    prediction: Int16[np.ndarray, "rows columns"]
    caption: str
    dice: Sequence[float]
    sample_id: str


@dataclass(frozen=True)
class Measures:
    """Which metrics a page shows.

    Attributes:
        hero: the one in large figures.
        key: those beside it.
        table: rows of the table.
        note: over the table.
    """

    hero: str
    key: tuple[str, ...]
    table: tuple[str, ...]
    note: str


MEASURES: dict[TaskName, Measures] = {
    "classify": Measures(
        "auroc",
        ("average_precision", "accuracy", "sensitivity", "specificity", "expected_calibration_error"),
        METRIC_NAMES,
        "Each class against the rest; macro is their mean, its accuracy the share of samples that are right.",
    ),
    "segment": Measures(
        "dice",
        ("dice_pooled", "accuracy", "sensitivity", "specificity", "auroc"),
        MASK_METRIC_NAMES,
        "Each class against the rest, on the images' own rows and columns, where pixels count. Dice is the mean over "
        "the samples that have the class in either mask; all other numbers are over all pixels at once. Macro is the "
        "mean over the classes, its accuracy the share of pixels that are right.",
    ),
}


@dataclass(frozen=True)
class Failure:
    """How many samples or objects ended with one reason (`errors.Reason`), `skipped` or `failed`."""

    status: str
    reason: str
    count: int


@dataclass(frozen=True)
class PageContent:
    """Everything on the page. What is empty or none is said in a sentence in its place.

    Attributes:
        title: of the page, for instance the archive's or the study's name.
        subtitle: one sentence under it.
        classes: names of the classes; of two the last is the positive one, and the headline is its.
        card: rows of the model card.
        funnel: (name, count) from the objects listed down to the samples measured.
        failures: the reasons that the funnel narrows for.
        metrics: rows of `schema.METRICS`; none where no labels were given.
        history: rows of `schema.HISTORY`.
        figures: of `figures.draw_figures`.
        examples: images, twelve by default.
        heat_method: what made the heat, for the legend: `LayerCAM`, `node-CAM`.
        heat_checks: figures on what that heat is worth.
        provenance: (name, value): model, recipe, versions, command.
        task: what the model answers for: it decides the sections.
        masks: images with their masks, of a segmentation.
        remarks: sentences to say under the metrics.
    """

    title: str
    classes: Sequence[str]
    subtitle: str = ""
    card: Sequence[tuple[str, str]] = ()
    funnel: Sequence[tuple[str, int]] = ()
    failures: Sequence[Failure] = ()
    metrics: pa.Table | None = None
    history: pa.Table | None = None
    figures: Sequence[Figure] = ()
    examples: Sequence[Example] = field(default=(), repr=False)
    heat_method: str = ""
    heat_checks: Sequence[Figure] = ()
    provenance: Sequence[tuple[str, str]] = ()
    task: TaskName = "classify"
    masks: Sequence[MaskExample] = field(default=(), repr=False)
    remarks: Sequence[str] = ()

    def headline(self) -> str:
        """The label whose numbers stand first: the positive class of two, else `macro`."""
        return self.classes[1] if len(self.classes) == 2 else "macro"
