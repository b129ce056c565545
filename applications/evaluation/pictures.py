"""Pictures for logs, drawn with Pillow: uint8 (H, W, 3) in 0..255; and charts in files."""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from applications.files import write_atomic

_TEXT = 12  # size of letters in pixels
_GAP = 6
_WHITE, _INK, _GREY = (255, 255, 255), (27, 33, 41), (91, 102, 115)
_LIGHT, _DARK = np.array([240, 244, 248]), np.array([11, 90, 148])  # the least and the most
_NUMBERED = 30  # classes up to which a matrix has numbers
_THUMBNAIL = 64  # longest side in pixels of a picture in a page


def data_uri(image: np.ndarray) -> str:
    """A small picture as the text of a page: PNG where pixels are few, else JPEG.

    Args:
        image: uint8 0..255, (H, W, 1 or 3).
    """
    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    few = max(image.shape[:2]) <= 32 and image.shape[-1] == 1
    buffer = io.BytesIO()
    picture.save(buffer, "PNG" if few else "JPEG", quality=85, optimize=True)
    kind = "png" if few else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def confusion_matrix(matrix: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Rows are the true classes, columns the predicted ones; darker is a larger share of the row.

    Args:
        matrix: counts, (classes, classes).
        names: of the classes.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = int(np.clip(900 // len(matrix), 2, 36))
    numbered = len(matrix) <= _NUMBERED
    font = ImageFont.load_default(_TEXT)
    shown = [_cut(name, 16) for name in names] if numbered else []
    margin = max((int(font.getlength(name)) for name in shown), default=0) + 2 * _GAP
    edge = margin + side * len(matrix)
    picture = Image.new("RGB", (edge + _GAP, edge + _GAP), _WHITE)
    colours = _LIGHT + np.sqrt(shares)[..., None] * (_DARK - _LIGHT)
    cells = colours.astype(np.uint8).repeat(side, 0).repeat(side, 1)
    picture.paste(Image.fromarray(cells), (margin, margin))
    draw = ImageDraw.Draw(picture)
    for row, name in enumerate(shown):
        middle = margin + side * row + side // 2
        draw.text((margin - _GAP, middle), name, _INK, font, anchor="rm")
        picture.paste(_upright(name, font, margin, side), (margin + side * row, 0))
        for column, count in enumerate(matrix[row]):
            if count:
                fill = _WHITE if shares[row, column] > 0.3 else _INK
                place = (margin + side * column + side // 2, middle)
                draw.text(place, str(count), fill, font, anchor="mm")
    return np.asarray(picture)


def _upright(text: str, font, length: int, width: int) -> Image.Image:
    """Text that is read from below."""
    flat = Image.new("RGB", (length, width), _WHITE)
    ImageDraw.Draw(flat).text((_GAP, width // 2), text, _INK, font, anchor="lm")
    return flat.rotate(90, expand=True)


def captioned(images: np.ndarray, captions: Sequence[str], columns: int = 4) -> np.ndarray:
    """Images in a grid, each with two lines under it.

    Args:
        images: uint8 (N, H, W, 1 or 3), N >= 1.
        captions: N texts of up to two lines.
        columns: images in a row.
    """
    font = ImageFont.load_default(_TEXT)
    width, height = 140, 140 + 2 * _TEXT + 3 * _GAP
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    picture = Image.new("RGB", (columns * (width + _GAP), rows * (height + _GAP)), _WHITE)
    draw = ImageDraw.Draw(picture)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = place % columns * (width + _GAP), place // columns * (height + _GAP)
        scaled = _rgb(image).resize((width, width), Image.Resampling.NEAREST)
        picture.paste(scaled, (left, top))
        for line, text in enumerate(caption.split("\n")[:2]):
            at = (left, top + width + _GAP + line * (_TEXT + 3))
            draw.text(at, _cut(text, 22), _GREY if line else _INK, font)
    return np.asarray(picture)


def activation_maps(images: np.ndarray, maps: np.ndarray, side: int = 96) -> np.ndarray:
    """Each image in a row, its maps beside it; black is a map's least value, white its greatest.

    Args:
        images: uint8 (N, H, W, 1 or 3).
        maps: (N, h, w, channels).
        side: of one tile in pixels.
    """
    tiles = side + _GAP
    picture = Image.new("RGB", (tiles * (1 + maps.shape[-1]), tiles * len(images)), _WHITE)
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    grey = (255 * (maps - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    for row, image in enumerate(images):
        shown = [_rgb(image), *(Image.fromarray(grey[row, ..., k]) for k in range(maps.shape[-1]))]
        for column, tile in enumerate(shown):
            scaled = tile.convert("RGB").resize((side, side), Image.Resampling.NEAREST)
            picture.paste(scaled, (column * tiles, row * tiles))
    return np.asarray(picture)


def by_depth(values: Sequence[float], width: int = 720, height: int = 320) -> np.ndarray:
    """Bars on a logarithmic scale, the first on the left; each line is a power of ten.

    Args:
        values: > 0; what is 0 or not finite has no bar.
        width, height: in pixels.
    """
    found = np.asarray(values, float)
    known = np.isfinite(found) & (found > 0)
    logs = np.log10(np.where(known, found, 1))
    low = np.floor(logs[known].min()) if known.any() else 0
    high = max(np.ceil(logs[known].max()), low + 1) if known.any() else 1
    left, bottom = 8 * _GAP, height - 3 * _GAP
    picture = Image.new("RGB", (width, height), _WHITE)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_TEXT)
    scale = (bottom - 2 * _GAP) / (high - low)
    for power in range(int(low), int(high) + 1):
        y = bottom - (power - low) * scale
        draw.line((left, y, width, y), (225, 229, 234))
        draw.text((left - _GAP, y), f"1e{power}", _GREY, font, anchor="rm")
    step = (width - left) / max(len(found), 1)
    for place in np.flatnonzero(known):
        top = bottom - (logs[place] - low) * scale
        start = left + place * step
        draw.rectangle((start, top, start + max(step - 2, 1), bottom), tuple(_DARK.tolist()))
    draw.text((left, height), "input", _GREY, font, anchor="lb")
    draw.text((width - 2, height), "classifier", _GREY, font, anchor="rb")
    return np.asarray(picture)


def _rgb(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).convert("RGB")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


# ------------------------------------------------------------------------------------------ charts


def save_reliability(result: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Draw accuracy against confidence: Guo et al. 2017, arXiv:1706.04599, figure 1.

    Bars on the diagonal are those of a calibrated network; the line is the share of the images that
    lie in a bin.

    Args:
        result: what `evaluate` returned; with a temperature, its probabilities are drawn beside.
        path: a `.png` file. One that exists is replaced.
    """
    from matplotlib.figure import Figure

    panels = [("as trained", result["calibration"])]
    if "temperature" in result:
        after = result["temperature"]["test"]
        title = f"temperature {result['temperature']['temperature']:.3g}"
        panels.append((title, {"ece": after["ece_after"], "bins": after["bins_after"]}))
    figure = Figure((4 * len(panels), 4), layout="constrained")
    for axes, (title, found) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        bins = found["bins"]
        middles = [(each["above"] + each["to"]) / 2 for each in bins]
        width = bins[0]["to"] - bins[0]["above"]
        shares = [each["images"] / result["images"] for each in bins]
        heights = [each["accuracy"] or 0 for each in bins]
        axes.bar(middles, heights, width, color=_DARK / 255, edgecolor="white", label="accuracy")
        axes.plot((0, 1), (0, 1), color="black", linewidth=1, linestyle="--", label="calibrated")
        axes.plot(middles, shares, color="darkorange", marker=".", label="share of images")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy, share")
        axes.set_title(f"{title}: ECE {100 * found['ece']:.2f} %", fontsize=10)
        axes.legend(fontsize=8, loc="upper left")
    write_atomic(path, lambda file: figure.savefig(file, dpi=130, metadata={"Software": None}))


def save_robustness(
    accuracy: Mapping[str, Sequence[float]], clean: float, path: str | os.PathLike[str]
) -> None:
    """Draw accuracy against the strength of corruptions.

    Args:
        accuracy: by corruption, in 0..1 at strengths 1, 2, ...
        clean: accuracy of the images as they are, drawn at strength 0.
        path: a `.png` file. One that exists is replaced.
    """
    from matplotlib.figure import Figure

    figure = Figure((5.5, 4), layout="constrained")
    axes = figure.subplots()
    for kind, values in accuracy.items():
        axes.plot(range(len(values) + 1), [clean, *values], marker="o", label=kind)
    axes.set(xlabel="strength", ylabel="accuracy", ylim=(0, 1.02))
    axes.legend(fontsize=8, loc="lower left")
    write_atomic(path, lambda file: figure.savefig(file, dpi=130, metadata={"Software": None}))
