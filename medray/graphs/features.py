"""Names and formulas of what stands in a region graph.

All features but `row`, `column`, `dy` and `dx` stay as they are when the image is turned by 90 degrees or mirrored.
Values are those of the image as it comes; prepared images have a standard deviation of about 1, so that every
feature is of order 1. Here A is a region's area in pixels and M the mean area of the image's regions.
"""

from medray.image_settings import GraphRecipe

STATISTICS = (
    "log_area",  # log(A / M)
    "mean",
    "std",  # population standard deviation of the region's values
    "min",
    "max",
    "gradient",  # log(1 + mean length of the gradient by pixel * sqrt(M))
    "long_axis",  # sqrt(larger eigenvalue of the second moments / A); pixels are unit squares: 0.289 for a square
    "short_axis",  # the same of the smaller eigenvalue
    "perimeter",  # pixel sides that lie at another region or at the image's border / (4 sqrt(A)): 1 for a square
    "border_share",  # of these sides, the share at the image's border
    "compactness",  # 4 pi A / sides^2 (Polsby and Popper 1991): 0.785 for a square
    "radius",  # distance of the centroid from the image's centre / half the image's diagonal
)
POSITION = ("row", "column")  # centroid from the image's centre / longer side of the image, -0.5 … 0.5
BAND_SIGMAS = (1, 2, 4, 8)
GRADIENT_SIGMAS = (1, 2, 4)
HISTOGRAM_EDGES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
TEXTURE = (
    # G(s): the image blurred by s pixels, G(0) itself. Band s = G(s / 2) - G(s), and for s = 1 G(0) - G(1)
    *(name for s in BAND_SIGMAS for name in (f"band_{s}", f"band_{s}_size")),  # its mean, the mean of its |value|
    # g: gradient of G(s). J: sum of g g^T over the region, with eigenvalues a >= b
    *(name for s in GRADIENT_SIGMAS for name in (f"gradient_{s}", f"coherence_{s}")),  # s * mean |g|; (a - b) / (a + b)
    *(f"histogram_{k}" for k in range(len(HISTOGRAM_EDGES) + 1)),  # share of the region's values between two edges
)

STORED_EDGE_FEATURES = (
    "boundary_length",  # pixel sides between the two regions / sqrt(M)
    "contrast",  # mean |difference| of the pixel pairs across these sides
)
EDGE_FEATURES = (
    *STORED_EDGE_FEATURES,
    "distance",  # between the centroids, in units of (longer side / sqrt(nodes)), for square images sqrt(M)
    "dy",  # row of the source less row of the target, in the same units
    "dx",  # column of the source less column of the target
    "mean_difference",  # mean of the source less mean of the target
)
"""Columns of `edge_attr` after collate; the last four are derived there."""


def node_feature_names(recipe: GraphRecipe) -> tuple[str, ...]:
    """Columns of `x`, in order."""
    return STATISTICS + (TEXTURE if recipe.texture else ()) + (POSITION if recipe.position else ())


def edge_feature_names(recipe: GraphRecipe) -> tuple[str, ...]:
    """Columns of `edge_attr` to collate: directions only where the recipe wants positions."""
    return tuple(name for name in EDGE_FEATURES if recipe.position or name not in ("dy", "dx"))
