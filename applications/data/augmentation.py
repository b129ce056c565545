"""Images changed at random while a network is trained."""

import numpy as np


def augment(
    images: np.ndarray, random: np.random.Generator, *, shift: float, mirror: bool
) -> np.ndarray:
    """Images that are shifted and mirrored at random, each on its own.

    Args:
        images: (N, H, W, C).
        random: what the shifts and mirrors are drawn from.
        shift: largest shift as a fraction of the sides; border pixels are repeated.
        mirror: whether half of the images, drawn at random, are mirrored left to right.
    """
    count, height, width, _ = images.shape
    down, right = (round(shift * side) for side in (height, width))
    if not (down or right or mirror):
        return images
    rows = np.arange(height) + random.integers(-down, down + 1, (count, 1))
    columns = np.arange(width) + random.integers(-right, right + 1, (count, 1))
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    if mirror:
        flipped = random.random((count, 1)) < 0.5
        columns = np.where(flipped, columns[:, ::-1], columns)
    return images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
