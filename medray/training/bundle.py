"""A model bundle: a folder with `weights.safetensors` and `bundle.json`, all that scoring needs. No pickle.

`bundle.json` is written last, and its `model_id` is a hash over the weights and itself: a folder without it is
unfinished, and one that was edited or mixed up is refused.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from medray import __version__, storage
from medray.errors import BundleError, NotFoundError
from medray.image_settings import GraphRecipe, SampleRecipe, StepRecipe
from medray.label_settings import TaskName
from medray.models.catalog import build_model
from medray.retries import NO_BUCKET
from medray.samples.tables import InputKind
from medray.settings import Recipe

FORMAT_VERSION = 1
MANIFEST, WEIGHTS = "bundle.json", "weights.safetensors"
TRAIN_AGAIN = "Train the model again with this version, or score with the version that made it."


@dataclass(frozen=True)
class Bundle:
    """A trained model and how its input is made.

    Attributes:
        model_name: key of MODELS.
        options: of `build_model`.
        input_kind: what the model reads.
        in_channels: channels of the prepared image.
        node_features: columns of `x`; 0 for image models.
        edge_features: columns of `edge_attr`; 0 for image models.
        classes: names in the order of the logits.
        recipe: stored values to model input.
        seed: of the training run.
        task: what the model answers for.
        threshold: as in `training.task.Classify`.
        split_hash: of the split it was trained on.
        metrics: validation figures of the saved weights.
        versions: of medray, Python and the libraries that made it.
        model_id: 16 hexadecimal digits; empty before `save_bundle`.
        weights: the state dict, on the CPU; empty before `save_bundle`.
    """

    model_name: str
    options: dict[str, Any]
    input_kind: InputKind
    in_channels: int
    node_features: int
    edge_features: int
    classes: tuple[str, ...]
    recipe: Recipe
    seed: int
    task: TaskName = "classify"
    threshold: float | None = None
    split_hash: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=lambda: library_versions())
    model_id: str = ""
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def prepared_kind(self) -> InputKind:
        """What scoring prepares: where nodes answer for pixels, also the node of each pixel."""
        return "regions" if self.task == "segment" and self.input_kind == "graph" else self.input_kind

    def build_model(self) -> nn.Module:
        """The model with its weights, ready to score (on the CPU, in evaluation mode).

        Raises:
            BundleError: the weights do not fit the architecture.
        """
        model = build_model(
            self.model_name,
            num_classes=len(self.classes),
            in_channels=self.in_channels,
            node_features=self.node_features,
            edge_features=self.edge_features,
            task=self.task,
            options=self.options,
        )
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise BundleError(f"The weights of {self.model_id} do not fit {self.model_name}.", TRAIN_AGAIN) from error
        return model.eval()


def library_versions(**more: str) -> dict[str, str]:
    """Versions of what makes a model; `more` for what only the caller imports."""
    own = {"medray": __version__, "python": platform.python_version()}
    return {**own, "torch": torch.__version__, "numpy": np.__version__, **more}


def _model_id(manifest: Mapping[str, Any], weights: bytes) -> str:
    content = {name: value for name, value in manifest.items() if name != "model_id"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(hashlib.sha256(weights).digest() + canonical).hexdigest()[:16]


def _manifest(bundle: Bundle) -> dict[str, Any]:
    content = asdict(replace(bundle, weights={}))
    del content["weights"]
    recipe = {"recipe_id": bundle.recipe.id()}
    manifest: dict[str, Any] = json.loads(json.dumps({"format_version": FORMAT_VERSION, **content, **recipe}))
    return manifest


def save_bundle(uri: str, bundle: Bundle, model: nn.Module) -> Bundle:
    """Write a bundle, its manifest last; an older one at the same place stops being one first.

    Args:
        uri: the folder.
        bundle: everything but weights and id.
        model: the trained model, not wrapped.

    Returns:
        The bundle with its weights and id.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    data = save_tensors(weights)
    manifest = _manifest(bundle)
    manifest["model_id"] = _model_id(manifest, data)
    storage.delete(storage.join(uri, MANIFEST))
    storage.write_bytes(storage.join(uri, WEIGHTS), data)
    storage.write_json(storage.join(uri, MANIFEST), manifest)
    return replace(bundle, model_id=manifest["model_id"], weights=weights)


def _read_manifest(uri: str) -> dict[str, Any]:
    try:
        manifest = storage.read_json(storage.join(uri, MANIFEST))
    except NotFoundError as error:
        if NO_BUCKET in error.what:
            raise
        raise BundleError(f"{uri} holds no finished bundle ({MANIFEST} is missing).", "Finish the training.") from None
    except ValueError:
        raise BundleError(f"{MANIFEST} in {uri} is no JSON.", "Copy the bundle again, or train again.") from None
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(f"{uri} is of bundle format {version}; this medray reads {FORMAT_VERSION}.", TRAIN_AGAIN)
    checked: dict[str, Any] = manifest
    return checked


def _check_names(what: str, given: Mapping[str, Any], known: set[str]) -> None:
    if odd := sorted(set(given) ^ known):
        problem = "unknown" if odd[0] in given else "missing"
        raise BundleError(f"The bundle's {what} has a field {odd[0]!r} that is {problem} here.", TRAIN_AGAIN)


def _recipe(content: dict[str, Any], recipe_id: str) -> Recipe:
    _check_names("recipe", content, {item.name for item in fields(Recipe)})
    _check_names("graph recipe", content["graph"], {item.name for item in fields(GraphRecipe)})
    _check_names("steps", content["steps"], {item.name for item in fields(StepRecipe)})
    _check_names("sample", content["sample"], {item.name for item in fields(SampleRecipe)})
    pairs = {name: tuple(content[name]) for name in ("window", "ct_window") if content[name] is not None}
    parts = {"graph": GraphRecipe(**content["graph"]), "steps": StepRecipe(**content["steps"])}
    parts["sample"] = SampleRecipe(**content["sample"])
    recipe = Recipe(**{**content, **pairs, **parts})
    if recipe.id() != recipe_id:
        raise BundleError("The bundle's recipe does not have the id that stands beside it.", TRAIN_AGAIN)
    return recipe


def _bundle(manifest: dict[str, Any], weights: dict[str, Tensor]) -> Bundle:
    known = {item.name for item in fields(Bundle)} - {"weights"}
    _check_names("manifest", manifest, known | {"format_version", "recipe_id"})
    content = {name: manifest[name] for name in known - {"recipe", "classes"}}
    recipe = _recipe(manifest["recipe"], manifest["recipe_id"])
    return Bundle(**content, classes=tuple(manifest["classes"]), recipe=recipe, weights=weights)


def load_bundle(uri: str) -> Bundle:
    """Read a bundle and check that it is whole, unedited and of this format.

    Raises:
        BundleError: no bundle, another format version, weights or manifest that are not those that were saved, or
            a field that this version does not know.
    """
    manifest = _read_manifest(uri)
    try:
        data = storage.read_bytes(storage.join(uri, WEIGHTS))
    except NotFoundError:
        raise BundleError(f"{WEIGHTS} is missing in {uri}.", "Copy the whole folder, or train again.") from None
    if _model_id(manifest, data) != manifest.get("model_id"):
        raise BundleError(f"{uri} is not as it was saved: its hash differs.", "Copy the bundle again, or train again.")
    return _bundle(manifest, load_tensors(data))
