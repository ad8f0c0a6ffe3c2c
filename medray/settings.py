"""One frozen dataclass a job, one flag a field. `medray VERB --help` prints these docstrings."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Literal

from medray.errors import SettingsError
from medray.image_settings import AugmentSettings, DecodeSettings, GraphRecipe, SampleRecipe, StepRecipe
from medray.label_settings import LabelSettings, SplitSettings, TaskName
from medray.network_settings import NetworkSettings

PathStyle = Literal["sealed", "plain"]
ModelName = Literal[
    "cnn", "resnet18", "vig", "deepsets", "gcn", "sage", "gin", "gat", "gatedgcn", "pna", "gps", "hybrid"
]
TestTimeFlips = Literal["off", "left_right", "up_down", "both"]
AggregateLevel = Literal["series", "study", "patient"]


@dataclass(frozen=True)
class Recipe:
    """How stored values become model input. It is saved in the bundle; training and scoring have no other way.

    Attributes:
        size: rows and columns of the model input, in pixels.
        channels: 1 (colour becomes luminance) or 3 (grey is repeated).
        fit: keep the aspect ratio and pad (`pad`) or not (`stretch`).
        window: (center, width) in modality values applied to every image; none = z-score over the image.
        ct_window: (center, width) in Hounsfield units applied to CT where `window` is none; null = z-score for CT too.
        voi: the header's own window or VOI table, by its number (from 0, windows first) or by its explanation, in the
            place of `window` and `ct_window`; none = never the header's. An image without it fails as `voi_missing`.
        pet: PET in the units of its header (`modality`), or as SUV by body weight (`suv_bw`, else `suv_missing`).
        clip_percent: cut this share (percent) at each end before the z-score; off: small bright lesions live there.
        invert_monochrome1: make high values bright in every image (PS3.3 C.7.6.3.1.2).
        steps: optional steps: crop, spacing, noise, local contrast.
        graph: how the prepared image becomes a region graph, for models that want one.
        sample: what gets one answer: a frame, or all frames of a clip, series or study.
    """

    size: int = 128
    channels: Literal[1, 3] = 1
    fit: Literal["pad", "stretch"] = "pad"
    window: tuple[float, float] | None = None
    ct_window: tuple[float, float] | None = (40.0, 400.0)
    voi: int | str | None = None
    pet: Literal["modality", "suv_bw"] = "modality"
    clip_percent: float = 0.0
    invert_monochrome1: bool = True
    steps: StepRecipe = field(default_factory=StepRecipe)
    graph: GraphRecipe = field(default_factory=GraphRecipe)
    sample: SampleRecipe = field(default_factory=SampleRecipe)

    def id(self) -> str:
        """12 hexadecimal digits of the recipe's SHA-256: it stands in every prediction row."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class RaySettings:
    """Where the job runs.

    Attributes:
        address: Ray cluster to join (`auto`, `ray://…`); none = the one this job was submitted to, else one of its
            own on loopback.
        cpus: CPUs of a cluster of its own; none = all of the machine.
        unit_bytes: decoded pixels a unit holds at the most: one read task, one block, one part file.
        max_retries: times that a task or unit starts again whose worker died; scoring takes the unit apart the last
            time and gives up only the sample that ends its worker (`worker_killed`, `worker_stalled`). 0 = never.
        stalled_s: seconds without a heartbeat of a unit (a frame decoded, a graph built, a batch scored) after which
            scoring names it and its stage on stderr; after three times that its worker is ended, as if it had died.
        no_progress_s: seconds without a heartbeat or finished unit after which the job ends and names the stage.
        metrics_port: where a cluster of its own serves its metrics for Prometheus, on loopback; none = any free port.
    """

    address: str | None = None
    cpus: int | None = None
    unit_bytes: int = 64 * 2**20
    max_retries: int = 3
    stalled_s: float = 45.0
    no_progress_s: int = 600
    metrics_port: int | None = None


@dataclass(frozen=True)
class IndexSettings:
    """Walk an archive and write one row for each object or shard member.

    Attributes:
        archive: the archive: `s3://bucket/prefix`, `file:///…` or a path.
        out: where the index table goes.
        key_file: file with the secret key of the hashed identifiers; none = $MEDRAY_KEY, else ~/.config/medray/key.
        paths: `sealed` encrypts object names in the tables with the key (they often hold patients' names);
            `plain` writes them as they are.
        header_bytes: first ranged read of an object; it doubles until the header is complete.
        objects_per_task: objects one index task reads.
        restart: read everything again instead of only what is new or changed.
        price_per_hour: what an hour of all machines of the job costs together, in any currency; the summary at the
            end then has the cost of 1,000 objects.
        ray: where the job runs.
    """

    archive: str
    out: str
    key_file: str | None = None
    paths: PathStyle = "sealed"
    header_bytes: int = 32 * 1024
    objects_per_task: int = 512
    restart: bool = False
    price_per_hour: float | None = None
    ray: RaySettings = field(default_factory=RaySettings)


@dataclass(frozen=True)
class PackSettings:
    """Pack the objects of an index into tar shards and write an index of them, which stands for the old one.

    Packed are DICOM of every kind (reports, plans and broken files too), PNG, JPEG and TIFF, series together and slices
    in order. All else keeps its place. The archive is only read. Give OUT wherever an index is asked for; OUT/shards
    holds tars for any reader (WebDataset) and SHA256SUMS for `sha256sum -c`. Each member is checked when it is read.

    Attributes:
        index: the index of the archive.
        out: where shards and the new index go, outside of the archive. The same command again goes on where it stopped.
        key_file: file with the secret key of the hashed identifiers; none = $MEDRAY_KEY, else ~/.config/medray/key.
        paths: as in `index`, for the shards' own index.
        shard_bytes: a shard's size at the most. A series that fits in one is never split; an object that is larger is a
            shard of its own.
        price_per_hour: what an hour of all machines of the job costs together, in any currency; the summary at the
            end then has the cost of 1,000 images.
        ray: where the job runs.
    """

    index: str
    out: str
    key_file: str | None = None
    paths: PathStyle = "sealed"
    shard_bytes: int = 256 * 2**20
    price_per_hour: float | None = None
    ray: RaySettings = field(default_factory=RaySettings)


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW with a one-cycle schedule.

    Attributes:
        epochs: passes over the training samples.
        batch_size: samples a step and worker.
        learning_rate: its peak.
        weight_decay: of AdamW.
        class_weights: weigh classes by the inverse of their frequency.
    """

    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    class_weights: bool = False


@dataclass(frozen=True)
class TrainSettings:
    """Train a model on an index (or an archive) with labels.

    Attributes:
        source: an index table or an archive (which is indexed first, beside the output).
        out: where cache, checkpoints, history and bundle go. The same command again goes on where it stopped.
        model: on images `cnn`, `resnet18` or `vig` (a graph network on patches); on region graphs `deepsets` (no
            edges), `gcn`, `sage`, `gin`, `gat`, `gatedgcn`, `pna` or `gps`; on both `hybrid` (convolutions pooled on
            the regions).
        network: sizes and parts of the model.
        key_file: file with the secret key of the hashed identifiers; none = $MEDRAY_KEY, else ~/.config/medray/key.
        labels: the labels.
        split: the split.
        recipe: stored values to model input.
        augment: random changes of training images; validation and test images are never changed.
        decode: what decoding may take, and how it is checked.
        optimizer: the optimizer.
        seeds: how many models, each from a seed of its own; the summary has their mean and interval.
        seed: the first seed.
        num_workers: training workers (DDP); 0 = in this process.
        use_gpu: a GPU for each worker.
        cache: where prepared samples go; none = OUT/cache.
        stages: read, decode and convert in one task (`fused`) or convert in actors of their own (`actors`).
        ray: where the job runs.
    """

    source: str
    out: str
    model: ModelName = "cnn"
    network: NetworkSettings = field(default_factory=NetworkSettings)
    key_file: str | None = None
    labels: LabelSettings = field(default_factory=LabelSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    recipe: Recipe = field(default_factory=Recipe)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    seeds: int = 1
    seed: int = 0
    num_workers: int = 0
    use_gpu: bool = False
    cache: str | None = None
    stages: Literal["fused", "actors"] = "fused"
    ray: RaySettings = field(default_factory=RaySettings)

    @property
    def task(self) -> TaskName:
        """What the labels ask for: a class of each image, or of each pixel where they name masks."""
        return self.labels.task


@dataclass(frozen=True)
class ScoreSettings:
    """Score every sample of an index (or an archive) with a bundle, or with several in one pass over the pixels.

    Attributes:
        source: an index table or an archive (which is indexed first, beside the output).
        out: where the predictions go. The same command again goes on where it stopped.
        bundle: the model bundle. `--bundle A --bundle B` reads and decodes each frame once, and writes a table of
            predictions for each, in OUT/FAMILY-ID folders that OUT itself lists.
        ensemble: `mean` adds the table OUT/ensemble-ID: the mean of the bundles' probabilities, which must have the
            same classes; their recipes may differ. The answer of two classes is at the mean of the bundles' thresholds.
        test_time_flips: each bundle answers with the mean of its probabilities of the image and its mirror images:
            `left_right`, `up_down` or `both` (four); region graphs are made anew of each. A mirrored body has its heart
            on the right: leave it off where the side matters to a class.
        key_file: file with the secret key of the hashed identifiers; none = $MEDRAY_KEY, else ~/.config/medray/key.
        batch_size: samples in one forward pass; none = 16, and with `use_gpu` 64.
        actors: warm model actors; none = one a CPU (or GPU).
        use_gpu: a GPU for each actor.
        stages: read, decode, convert and score in one actor (`fused`), or read and convert in tasks of their own
            that feed the model actors (`actors`).
        max_failed_fraction: end with exit code 3 where a larger share of the samples failed.
        explain: samples whose heat is stored in OUT/_explanations: none (`off`), the surest answers of each class
            (`top`), what is predicted as any class but the first (`flagged`), or `all`.
        explain_top: answers of each class that `top` takes.
        explain_method: `cam` (LayerCAM of images, node-CAM of graphs), `integrated_gradients` or `occlusion`.
        probabilities: store those of each pixel of the model's input, as float16, where the bundle segments: the
            report's AUROC needs them.
        aggregate: one row a group of samples as well, in OUT/_aggregates/LEVEL-RULE: `mean` of the probabilities;
            `max`, the surest sample (with two classes that of the second class, the finding); `noisy_or` (two classes):
            1 - product of (1 - p), which takes samples as independent and nears 1 in long series.
        aggregate_to: the groups: `series`, `study` or `patient`. A sample without such a key is a group of its object.
        decode: what decoding may take, and how it is checked.
        price_per_hour: what an hour of all machines of the job costs together, in any currency; the summary at the
            end then has the cost of 1,000 samples.
        ray: where the job runs.
    """

    source: str
    out: str
    bundle: list[str] | str
    key_file: str | None = None
    batch_size: int | None = None
    actors: int | None = None
    use_gpu: bool = False
    stages: Literal["fused", "actors"] = "fused"
    max_failed_fraction: float = 1.0
    explain: Literal["off", "top", "flagged", "all"] = "off"
    explain_top: int = 100
    explain_method: Literal["cam", "integrated_gradients", "occlusion"] = "cam"
    probabilities: bool = False
    ensemble: Literal["off", "mean"] = "off"
    test_time_flips: TestTimeFlips = "off"
    aggregate: Literal["off", "mean", "max", "noisy_or"] = "off"
    aggregate_to: AggregateLevel = "patient"
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    price_per_hour: float | None = None
    ray: RaySettings = field(default_factory=RaySettings)

    @property
    def bundles(self) -> list[str]:
        """The folders of the bundles, one or several."""
        return [self.bundle] if isinstance(self.bundle, str) else list(self.bundle)

    def samples_a_pass(self, recipe: Recipe) -> int:
        """Samples in one forward pass: few enough for the caches of a CPU, many enough for a GPU.

        One that has several frames goes by itself.
        """
        own = 64 if self.use_gpu else 16
        return 1 if recipe.sample.is_set else own if self.batch_size is None else self.batch_size

    def __post_init__(self) -> None:
        """Refuse what nothing can be scored with.

        Raises:
            SettingsError: a number out of its range.
        """
        for name in ("batch_size", "actors"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise SettingsError(f"--{name} is {getattr(self, name)}, and must be 1 or more.", "Or leave it out.")
