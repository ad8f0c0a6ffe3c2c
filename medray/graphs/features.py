"""Names and formulas of what stands in a region graph.

All features but `row`, `column`, `dz`, `dy` and `dx` stay as they are when the image is turned by 90 degrees or
mirrored. Values are those of the image as it comes; prepared images have a standard deviation of about 1, so that every
feature is of order 1. Here A is a region's area in pixels and M the mean area of the image's regions (of level 0).
Values are means over the channels, but for features that name a channel and for `contrast`, the mean of the channels'
own contrasts.

Under a mask "the image" is the smallest rectangle that holds the mask: centre, sides and diagonal are its, and the
mask's edge is border. A neighbour past the border counts as the pixel itself.
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
PATTERN = tuple(f"pattern_{k}" for k in range(10))
"""Shares of the region's pixels of which k of the 8 points 1 pixel away are no darker, and lie side by side; 9: do not.

Source: Ojala, Pietikainen and Maenpaa 2002, doi:10.1109/TPAMI.2002.1017623: LBP of 8 points, radius 1, riu2; bilinear.
"""
HISTOGRAM_EDGES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
TEXTURE = (
    # G(s): the image blurred by s pixels, G(0) itself. Band s = G(s / 2) - G(s), and for s = 1 G(0) - G(1)
    *(name for s in BAND_SIGMAS for name in (f"band_{s}", f"band_{s}_size")),  # its mean, the mean of its |value|
    # g: gradient of G(s). J: sum of g g^T over the region, with eigenvalues a >= b
    *(name for s in GRADIENT_SIGMAS for name in (f"gradient_{s}", f"coherence_{s}")),  # s * mean |g|; (a - b) / (a + b)
    *(f"histogram_{k}" for k in range(len(HISTOGRAM_EDGES) + 1)),  # share of the region's values between two edges
)

STORED_EDGE_FEATURES = (
    "boundary_length",  # pixel sides between the two regions / sqrt(M); 0 where they do not touch
    "contrast",  # mean |difference| of the pixel pairs across these sides; 0 where they do not touch
)
EDGE_FEATURES = (
    *STORED_EDGE_FEATURES,
    "distance",  # between the centroids, in units of (longer side / regions^(1 / dims)): sqrt(M) if square
    "dz",  # slice of the source less slice of the target, in the same units; volumes only
    "dy",  # row of the source less row of the target
    "dx",  # column of the source less column of the target
    "mean_difference",  # mean of the source less mean of the target
    "to_parent",  # 1 where the target is the region that the source is part of, one level above; else 0
    "to_child",  # 1 where the source is the region that the target is part of; else 0
)
"""Columns of `edge_attr` after collate, in this order; all but the first two are derived there."""
DIRECTIONS = ("dz", "dy", "dx")
KINDS = ("to_parent", "to_child")


def channel_feature_names(channels: int) -> tuple[str, ...]:
    """Mean and standard deviation of each channel; none for images of one channel, whose own they are."""
    return tuple(f"{name}_{k}" for k in range(channels) for name in ("mean", "std")) if channels > 1 else ()


def node_feature_names(recipe: GraphRecipe, channels: int = 1) -> tuple[str, ...]:
    """Columns of `x`, in order, for images of that many channels."""
    chosen = (TEXTURE if recipe.texture else ()) + (PATTERN if recipe.lbp else ())
    return STATISTICS + channel_feature_names(channels) + chosen + (POSITION if recipe.position else ())


def edge_feature_names(recipe: GraphRecipe) -> tuple[str, ...]:
    """Columns of `edge_attr` to collate: directions where the recipe wants positions, kinds where it has levels."""
    left_out = {"dz"} | (set() if recipe.position else set(DIRECTIONS))
    left_out |= set() if recipe.builder == "multiscale" else set(KINDS)
    return tuple(name for name in EDGE_FEATURES if name not in left_out)
