"""Groups of patients dealt out to the sides of a split: a fair share of each class, the same whatever the order."""

from collections import Counter
from math import floor

from medray.archive.identity import keyed_hash
from medray.errors import LabelError, SettingsError

TRAIN, VALIDATION, TEST = SIDES = ("train", "validation", "test")
CLASSES_NAMED_AT_MOST = 3

Groups = dict[str, frozenset[str]]


def deal(groups: Groups, fractions: dict[str, float], seed: int, key: bytes) -> dict[str, str]:
    """A side for each group: the others than `train` get their fraction of all groups, spread over the classes.

    Groups are put in the order of their classes and, within, of their keyed hash; each side takes every n-th. A side
    with a fraction above zero gets at least one of three groups; each class keeps at least one group that trains.

    Args:
        groups: name of each group, and the classes in it.
        fractions: by side, without `train`.

    Raises:
        LabelError: a class with a single group.
        SettingsError: fractions below zero, or that leave nothing to train on.
    """
    if min(fractions.values()) < 0 or sum(fractions.values()) >= 1:
        raise SettingsError(
            "The split's fractions are below zero or leave nothing to train on.",
            "Give --split.validation_fraction and --split.test_fraction with a sum below 1.",
        )
    _refuse_single_groups(groups)
    order = sorted(groups, key=lambda name: (sorted(groups[name]), keyed_hash(key, f"split {seed}: {name}")))
    sides = dict.fromkeys(order, TRAIN)
    left = order
    for side, fraction in fractions.items():
        picked = _every(left, fraction * len(order) / len(left)) if left else []
        if not picked and fraction > 0 and len(order) >= 3:
            picked = [left[len(left) // 2]]
        sides |= dict.fromkeys(picked, side)
        left = [name for name in left if sides[name] == TRAIN]
    _return_classes(groups, order, sides)
    return sides


def _every(names: list[str], share: float) -> list[str]:
    return [name for n, name in enumerate(names) if floor((n + 1) * share + 0.5) > floor(n * share + 0.5)]


def _return_classes(groups: Groups, order: list[str], sides: dict[str, str]) -> None:
    """Give a class that would not train one of its groups back; of those that validate first."""
    for label in sorted(frozenset().union(*groups.values())):
        having = [name for name in order if label in groups[name]]
        if having and all(sides[name] != TRAIN for name in having):
            sides[min(having, key=lambda name: (sides[name] != VALIDATION, having.index(name)))] = TRAIN


def _refuse_single_groups(groups: Groups) -> None:
    counts = Counter(label for labels in groups.values() for label in labels)
    if not counts:
        raise LabelError("No image has a label, so there is nothing to split.", "Check --labels.")
    single = sorted(label for label, count in counts.items() if count == 1)
    if single:
        raise LabelError(
            f"{named(single, len(counts))} a single patient, who cannot both train and test "
            "(patients who share a study count as one).",
            "Give a split column, leave the class out of the labels, or add patients.",
        )


def named(labels: list[str], of: int) -> str:
    """Classes by name where they are few; a number where classes may turn out to be patients."""
    if len(labels) > CLASSES_NAMED_AT_MOST or 2 * len(labels) > of > 2:
        return f"{len(labels)} of {of} classes have"
    return f"The class {labels[0]!r} has" if len(labels) == 1 else f"The classes {', '.join(map(repr, labels))} have"
