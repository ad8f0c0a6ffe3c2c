import re
from xml.etree import ElementTree

import numpy as np
import pytest

from medray.reports.heat_figures import HeatChecks, draw_heat_checks

NAMES = ["insertion", "deletion", "randomisation"]


def checks(samples: int = 4) -> HeatChecks:
    """The method's insertion rises at once and brightness's evenly; all correlations end at 0.25."""
    even = np.linspace(0, 1, 21)
    insertion = np.stack([np.tile(curve, (samples, 1)) for curve in (np.ones(21), even)])
    correlation = np.tile([0.75, 0.5, 0.25], (samples, 1))
    return HeatChecks("LayerCAM", insertion, 1 - insertion, ["head.3", "head.0", "net.a.b.c.conv"], correlation)


def test_the_captions_say_the_areas_and_the_last_correlation() -> None:
    insertion, deletion, randomisation = draw_heat_checks(checks())
    assert "higher is better: LayerCAM 1.000, brightness alone 0.500; mean of 4 images" in insertion.caption
    assert "lower is better: LayerCAM 0.000, brightness alone 0.500" in deletion.caption
    assert "rank correlation 0.25" in randomisation.caption


@pytest.mark.parametrize("samples", [1, 4])
def test_figures_are_well_formed_and_take_every_colour_from_the_style_sheet(samples: int) -> None:
    figures = draw_heat_checks(checks(samples))
    assert [figure.name for figure in figures] == NAMES
    for figure in figures:
        ElementTree.fromstring(figure.svg)
        assert not re.search(r"#[0-9a-fA-F]{6}\b", re.sub(r'(href="|url\()#[^")]*', "", figure.svg)), figure.name
    assert figures == draw_heat_checks(checks(samples))


def test_long_names_of_layers_are_cut_to_their_end() -> None:
    svg = draw_heat_checks(checks())[2].svg
    assert ">b.c.conv<" in svg and ">head.3<" in svg and "net.a" not in svg
