"""One sample scored again: what is stored beside what came out now, and the image, its graph and its heat."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from medray.reports.html import definitions, document, missing, section, table

OF_CLASSES = ("logits", "probabilities", "area_fractions")
"""Columns with a value for each class."""
_LONGEST = 9  # values of a list that are written out; of longer ones the number and a digest
_WIDEST = 80  # letters of a list of names, likewise


@dataclass(frozen=True)
class Compared:
    """A column of the row, as it is stored and as it came out now; `same` = in every bit."""

    name: str
    stored: Any
    replayed: Any
    same: bool


@dataclass(frozen=True)
class Picture:
    """A picture as a data address, with its title and a sentence."""

    title: str
    caption: str
    address: str = field(repr=False)


@dataclass(frozen=True)
class ReplayContent:
    """Everything that is said of a sample.

    Attributes:
        sample_id: the only key that a page may show.
        classes: in the order of logits and probabilities; empty where the columns are not a value a class.
        batch: samples that went through the model with it, itself counted.
        compared: outcome and numbers.
        why: what differs between then and now, and may make numbers differ.
        provenance: (name, value): what made the stored row.
        pictures: of the image; empty where it could not be read.
    """

    sample_id: str
    classes: Sequence[str]
    batch: int
    compared: Sequence[Compared]
    why: Sequence[str] = ()
    provenance: Sequence[tuple[str, str]] = ()
    pictures: Sequence[Picture] = field(default=(), repr=False)

    def verdict(self) -> str:
        """Whether all is the same, in a sentence."""
        different = [each.name for each in self.compared if not each.same]
        if different:
            return f"Not what is stored: {', '.join(different)}."
        beside = f", in its batch of {self.batch}" if self.batch > 1 else ""
        return f"Bit-equal to what is stored{beside}."

    def numbers(self) -> list[tuple[str, str, str, bool]]:
        """Name, stored and replayed value of each number in words, and whether they are the same."""
        rows = []
        for each in self.compared:
            values = [value if isinstance(value, list) else [] for value in (each.stored, each.replayed)]
            if each.name in OF_CLASSES and self.classes and len(values[0]) == len(values[1]) == len(self.classes):
                for name, *pair in zip(self.classes, *values, strict=True):
                    same = np.array(pair[0]).tobytes() == np.array(pair[1]).tobytes()
                    rows.append((f"{each.name} · {name}", _text(pair[0]), _text(pair[1]), same))
            else:
                rows.append((each.name, _text(each.stored), _text(each.replayed), each.same))
        return rows

    def lines(self) -> list[str]:
        """The same for a terminal."""
        heads = ("", "stored", "replayed", "")
        rows = [heads, *((name, a, b, "=" if same else "DIFFERS") for name, a, b, same in self.numbers())]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        said = [
            "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
            for row in rows
        ]
        return [f"sample {self.sample_id}", *said, self.verdict(), *(f"  {reason}" for reason in self.why)]


def _text(value: Any) -> str:
    """A value so that two that differ read differently: 9 digits tell any two float32 apart."""
    if isinstance(value, float):
        return f"{value:.9g}"
    wide = isinstance(value, list) and sum(len(each) for each in value if isinstance(each, str)) > _WIDEST
    if isinstance(value, list) and (wide or len(value) > _LONGEST):
        return f"{len(value):,} values, SHA-256 {hashlib.sha256(np.array(value).tobytes()).hexdigest()[:12]}"
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value) or "none"
    return "none" if value is None else str(value)


def render_replay(content: ReplayContent) -> str:
    """Render the page as one string of HTML that fetches nothing."""
    header = (
        '<header>\n<p class="kicker">medray replay</p>\n'
        f"<h1>{escape(content.verdict())}</h1>\n"
        f'<p class="subtitle"><code>{escape(content.sample_id)}</code></p>\n</header>'
    )
    return document(
        f"{content.sample_id} · medray replay", header, [_pictures(content), _numbers(content), _origin(content)]
    )


def _pictures(content: ReplayContent) -> str:
    if not content.pictures:
        return section("pictures", "The image", missing("It failed, so there is nothing to show."))
    cards = "".join(
        f'<figure class="panel"><h3>{escape(picture.title)}</h3>\n<img src="{picture.address}" '
        f'alt="{escape(picture.title)}">\n<figcaption>{escape(picture.caption)}</figcaption></figure>\n'
        for picture in content.pictures
    )
    return section("pictures", "The image as the model saw it", f'<div class="cards pictures">\n{cards}</div>')


def _numbers(content: ReplayContent) -> str:
    rows = [
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{escape(stored)}</td>'
        f'<td class="number">{escape(replayed)}</td>'
        f'<td><span class="badge {"right" if same else "wrong"}">{"equal" if same else "differs"}</span></td></tr>\n'
        for name, stored, replayed, same in content.numbers()
    ]
    heads = ("What", "Stored", "Replayed", "Bit by bit")
    return section("numbers", "Stored and replayed", table("Stored and replayed", heads, rows))


def _origin(content: ReplayContent) -> str:
    why = "".join(missing(escape(reason)) for reason in content.why)
    note = "What made the stored row. What differs now is said below." if why else "What made the stored row."
    return section("origin", "Provenance", definitions(content.provenance, "provenance") + why, note)
