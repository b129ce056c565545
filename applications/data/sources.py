"""Images to train on: the embedded digits, Keras' data sets, image folders and `.npz` files.

>>> from applications.data import open_source
>>> source = open_source("digits", seed=0)  # classes, native side and channels are known
>>> data = source.at(16)  # every image as 16x16
>>> data.train.batch([0, 1]).shape
(2, 16, 16, 1)

Pixels are uint8 0..255 throughout. A split that the data do not have is cut from the training
images, class by class, with the seed: 20 % test, then 10 % of the rest validation, at least one
image of each class in each; `Dataset.split` records it.

A folder is `train/<class>/*` with, optionally, `val/` (or `valid/`, `validation/`, `dev/`) and
`test/` (or `testing/`) beside it, in any case, or just `<class>/*`, of which both splits are cut;
`folders` says what is read. Only what fits in memory is decoded once, the rest whenever it is asked
for.
"""

import difflib
import importlib
import math
import os
import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from applications.console import one_line
from applications.data.cache import on_disk
from applications.data.folders import beside_splits, class_names, list_images, split_folders
from applications.data.images import (
    checked_shape,
    decode_pixels,
    half_up,
    image_array,
    in_threads,
    is_grey,
    load_images,
    opened_image,
    text_array,
)
from applications.files import naming_file

SPLITS = ("train", "validation", "test")
FRACTIONS = {"test": 0.2, "validation": 0.1}  # cut in this order, each from what is left
MEMORY_LIMIT = 2 * 2**30  # bytes of decoded images

_DIGITS = tuple("0123456789")
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()
_FASHION = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")
_CIFAR100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
    camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
    cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
    lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
    spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm
""".split()
# Name in keras.datasets -> class names, and whether a mirrored image keeps its class.
KERAS_DATASETS = {
    "mnist": (_DIGITS, False),
    "fashion_mnist": (tuple(_FASHION), True),
    "cifar10": (tuple(_CIFAR10), True),
    "cifar100": (tuple(_CIFAR100), True),
}
NAMES = ("digits", *KERAS_DATASETS)


class Subset:
    """The images of one split, decoded and resized when they are asked for or already in memory.

    Attributes:
        labels: class indices, int64, (N,).
        ids: N texts that name the images: the file's path relative to the data folder, or the array
            and the row (`"train/17"`).
    """

    labels: np.ndarray
    ids: Sequence[str]

    def __init__(self, images, labels, ids, shape, resize, in_memory):
        self.labels, self.ids = labels, ids
        self._shape, self._resize = shape, resize
        self._images = load_images(images, shape, resize) if in_memory else images

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Subset of {len(self):,} images>"

    @property
    def undecoded(self) -> list[str]:
        """Paths of the image files that are decoded when they are asked for."""
        return self._images.tolist() if self._images.dtype == object else []

    def batch(self, rows: np.ndarray | Sequence[int]) -> np.ndarray:
        """Images of the given rows: uint8 0..255, (len(rows), H, W, C).

        Raises:
            ValueError: an image file cannot be decoded; the message names it.
        """
        return load_images(self._images[np.asarray(rows, dtype=np.intp)], self._shape, self._resize)


@dataclass(frozen=True)
class Dataset:
    """Three splits of images of one shape.

    Attributes:
        name: short name, fit for a folder's name.
        labels: class names; a label is an index into them.
        image_shape: (H, W, C) of every image.
        train, validation, test: the splits.
        mirror: whether an image mirrored left to right keeps its class (False if unknown).
        split: how the splits came about, ready for JSON: `source`, `seed`, `size`, `channels`,
            `resize`, `cut` (the fractions of the splits that were cut), `not_read` (entries of the
            folder that are no images, each with the reason) and for each split `of`
            (the array or folder), `count` and `rows` (`"all"`, row numbers, or paths of files).
    """

    name: str
    labels: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train: Subset
    validation: Subset
    test: Subset
    mirror: bool
    split: dict = field(repr=False)

    def check(self) -> None:
        """Decode every image file that is not in memory, and forget it.

        Raises:
            ValueError: some cannot be decoded; the message names the first ten.
        """
        paths = [path for s in (self.train, self.validation, self.test) for path in s.undecoded]

        def decode(row: int) -> None:
            with opened_image(paths[row]) as image:
                decode_pixels(image)

        in_threads(decode, len(paths), "Checking images")


@dataclass(frozen=True)
class _Part:
    """Images as they are stored: an array or a folder, before splits are cut from it."""

    name: str
    images: np.ndarray  # uint8 (N, H, W, C), or paths (N,) as objects
    labels: np.ndarray  # int64 (N,)
    ids: np.ndarray | None = None  # paths relative to the data folder, (N,) as objects

    def __len__(self) -> int:
        return len(self.labels)

    def id_list(self, rows: np.ndarray) -> list[str]:
        if self.ids is None:
            return [f"{self.name}/{row}" for row in rows.tolist()]
        return self.ids[rows].tolist()


@dataclass(frozen=True)
class Source:
    """Data whose classes, sizes and splits are known and of which nothing is resized yet.

    Attributes:
        name: short name, fit for a folder's name.
        labels: class names; a label is an index into them.
        side: median of all heights and widths, in pixels.
        channels: 1 if all images are greyscale, else 3.
        mirror: whether an image mirrored left to right keeps its class (False if unknown).
        not_read: `"PATH: REASON"` of each entry of a folder that is no image and no class.
    """

    name: str
    labels: tuple[str, ...]
    side: int
    channels: int
    mirror: bool
    not_read: tuple[str, ...]
    _splits: dict[str, tuple[_Part, np.ndarray | None]] = field(repr=False)  # rows, None: all
    _record: dict = field(repr=False)

    def count(self, split: str) -> int:
        """Images of a split: "train", "validation" or "test"."""
        part, rows = self._splits[split]
        return len(part if rows is None else rows)

    def images_of_classes(self, split: str) -> np.ndarray:
        """How many images each class has in a split: int64 (classes,)."""
        part, rows = self._splits[split]
        labels = part.labels if rows is None else part.labels[rows]
        return np.bincount(labels, minlength=len(self.labels))

    def of_classes(self, names: Collection[str]) -> "Source":
        """The data without the training and validation images of all classes but these.

        Labels and test images stay.

        Raises:
            ValueError: the data have no such class, or no images of these to train and to validate.
        """
        unknown = [name for name in names if name not in self.labels]
        if unknown:
            raise ValueError(
                f"`transfer_classes` must be classes of the data: {listed(self.labels)}. "
                f"Received: {listed(unknown)}"
            )
        wanted = [self.labels.index(name) for name in names]
        splits = dict(self._splits)
        for split in ("train", "validation"):
            part, rows = splits[split]
            every = np.arange(len(part)) if rows is None else rows
            kept = every[np.isin(part.labels[every], wanted)]
            if len(kept) == 0:
                raise ValueError(
                    f"`transfer_classes` must have {split} images. Received: {listed([*names])}"
                )
            splits[split] = part, kept
        return replace(self, _splits=splits, _record={**self._record, "classes": list(names)})

    def focused(self, names: Sequence[str], rest: str, seed: int) -> "Source":
        """The data of a specialist: these classes, and all others as one, the dustbin.

        Half of the training and of the validation images are of its own classes, as long as there
        are as many others, which are drawn. All test images stay.

        Args:
            names: its own classes, in their order.
            rest: what the dustbin, the last class, is called.
            seed: of the draw.

        Raises:
            ValueError: its own classes have no images to train or to validate.
        """
        mapped = np.array(
            [names.index(x) if x in names else len(names) for x in self.labels], np.int64
        )
        random, splits = np.random.RandomState(seed), {}
        for split, (part, rows) in self._splits.items():
            part = replace(part, labels=mapped[part.labels])
            every = np.arange(len(part)) if rows is None else rows
            if split != "test":
                own, others = (
                    every[(part.labels[every] < len(names)) == inside] for inside in (True, False)
                )
                if len(own) == 0:
                    raise ValueError(
                        "`data` must have images to train and to validate of classes that a "
                        f"specialist has. Received: {listed(names)} without {split} images"
                    )
                drawn = random.permutation(others)[: len(own)]
                every = np.sort(np.concatenate([own, drawn]))
            splits[split] = part, every
        record = {**self._record, "classes": [*names, rest]}
        return replace(self, labels=(*names, rest), _splits=splits, _record=record)

    def held(self, shape: tuple[int, int, int], keep: Collection[str] = SPLITS) -> int:
        """Bytes of the decoded images of these splits."""
        return sum(map(self.count, keep)) * math.prod(shape)

    def at(
        self,
        size: int | tuple[int, int],
        channels: int | None = None,
        resize: str = "stretch",
        *,
        keep: Collection[str] = SPLITS,
        cache: str | None = None,
        memory_limit: int = MEMORY_LIMIT,
    ) -> Dataset:
        """The data at one image size.

        Args:
            size: side in pixels, or (height, width).
            channels: 1 or 3; None keeps those of the source.
            resize: "stretch" ignores the proportions, "crop" scales the short side and crops the
                centre, "pad" scales the long side and centres the image on zeros.
            keep: splits to decode now and keep; the others are decoded a batch at a time.
            cache: where they are kept: "memory", "disk" (`cache.on_disk`; of image files alone) or
                "none". None: in memory, unless they exceed the limit.
            memory_limit: bytes; where the decoded images of `keep` exceed it nothing is kept.

        Raises:
            ValueError: an option is out of range, or an image cannot be decoded (it is named).
        """
        shape = self._shape(size, channels, resize)
        if cache is None:
            cache = "memory" if self.held(shape, keep) <= memory_limit else "none"
        subsets, record = {}, {}
        for split, (part, rows) in self._splits.items():
            every = np.arange(len(part)) if rows is None else rows
            images = part.images if rows is None else part.images[rows]
            ids = part.id_list(every)
            kept = cache if split in keep else "none"
            if kept == "disk" and images.dtype == object:
                images = on_disk(images, shape, resize)
            in_memory = kept == "memory" or (kept == "disk" and images.shape[1:] != shape)
            subsets[split] = Subset(images, part.labels[every], ids, shape, resize, in_memory)
            named = ids if part.ids is not None else every.tolist()
            record[split] = {
                "of": part.name,
                "count": self.count(split),
                "rows": "all" if rows is None else named,
            }
        split = {
            **self._record,
            "size": list(shape[:2]),
            "channels": shape[2],
            "resize": resize,
            **record,
        }
        return Dataset(self.name, self.labels, shape, **subsets, mirror=self.mirror, split=split)

    def test_at(
        self, size: int | tuple[int, int], channels: int | None = None, resize: str = "stretch"
    ) -> Subset:
        """The test split alone, decoded a batch at a time. Arguments and errors as of `at`."""
        return self.split_at("test", size, channels, resize)

    def split_at(
        self,
        split: str,
        size: int | tuple[int, int],
        channels: int | None = None,
        resize: str = "stretch",
        *,
        keep: bool = False,
    ) -> Subset:
        """As `test_at`, of "train", "validation" or "test"; `keep` decodes it once, if it fits."""
        shape = self._shape(size, channels, resize)
        part, rows = self._splits[split]
        every = np.arange(len(part)) if rows is None else rows
        images, labels = part.images[every], part.labels[every]
        in_memory = keep and len(every) * math.prod(shape) <= MEMORY_LIMIT
        return Subset(images, labels, part.id_list(every), shape, resize, in_memory)

    def pooled(self) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
        """All images as they are stored, whatever their split.

        Returns:
            The images, uint8 (N, h, w, c), or paths of files, objects (N,); class indices (N,);
            N ids; and whether each belongs to the test split, bool (N,).
        """
        images, labels, ids, tested = [], [], [], []
        for split, (part, rows) in self._splits.items():
            every = np.arange(len(part)) if rows is None else rows
            images.append(part.images[every])
            labels.append(part.labels[every])
            ids += part.id_list(every)
            tested.append(np.full(len(every), split == "test"))
        return np.concatenate(images), np.concatenate(labels), ids, np.concatenate(tested)

    def _shape(
        self, size: int | tuple[int, int], channels: int | None, resize: str
    ) -> tuple[int, int, int]:
        height, width = size if isinstance(size, tuple | list) else (size, size)
        return checked_shape(
            (height, width, self.channels if channels is None else channels), resize
        )


def open_source(data: str | os.PathLike[str], *, seed: int = 0) -> Source:
    """Find the data, check them and cut the splits they lack.

    Args:
        data: "digits", "mnist", "fashion_mnist", "cifar10", "cifar100", a folder of images or the
            path of an `.npz` file with `x_train, y_train` and optionally `x_test, y_test` and
            `x_val, y_val` (images (N, H, W) or (N, H, W, 1 or 3) of integers 0..255, labels (N,)).
            A folder called like a data set is written `./digits`.
        seed: of the cut, 0..2**32 - 1. The same data and seed give the same splits anywhere.

    Raises:
        ValueError: `data` is unknown, or what it holds cannot be used; the message says what.
        OSError: a file cannot be read or a data set cannot be downloaded.
    """
    data = os.fspath(data)
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must be within 0..2**32 - 1. Received: seed={seed}")
    if data == "digits":
        return _digits(seed)
    if data in KERAS_DATASETS:
        return _keras_dataset(data, seed)
    path = Path(os.path.expanduser(data))  # leaves `~nobody` as it is
    if path.is_dir():
        return _folder(data, path, seed)
    if path.is_file() and path.suffix.lower() == ".npz":
        return _npz(data, path, seed)
    near = difflib.get_close_matches(data.lower(), NAMES, n=1)
    raise ValueError(
        f"`data` must be one of {', '.join(NAMES)}, a folder of images or an .npz file. "
        f"Received: data={data!r}" + (f". Did you mean {near[0]!r}?" if near else "")
    )


def open_test(data: str | os.PathLike[str], labels: Sequence[str], *, seed: int = 0) -> Source:
    """The images to test a network of these classes on; `test_at` of the result gives them.

    Args:
        data: as for `open_source`, and folders that `train` would not take: a test folder alone, or
            classes alone, all of whose images are then tested. Data with training images are
            tested on their test split, which is cut where they have none.
        labels: class names of the network. The data may lack some.
        seed: of a cut, 0..2**32 - 1.

    Raises:
        ValueError: as `open_source`, or the data have a class that the network does not know.
    """
    root = Path(os.path.expanduser(data))
    if os.fspath(data) in NAMES or not root.is_dir():
        source = open_source(data, seed=seed)
    else:
        folders = split_folders(root)
        if "train" in folders:
            source = open_source(data, seed=seed)
        elif folders and "test" not in folders:
            raise ValueError(
                f"`data` must hold test/ or train/. Received: {next(iter(folders.values()))}/ "
                f"alone in {root}"
            )
        else:
            name = folders.get("test", "")
            own = class_names(root / name)
            parts, not_read = _listed(root, {"test": name}, own)
            side, channels = _inspected([parts["test"].images])
            source = _source(
                *(os.fspath(data), root, own, False, parts, seed),
                **{"side": side, "channels": channels, "not_read": not_read},
            )
    unknown = [label for label in source.labels if label not in labels]
    if unknown:
        raise ValueError(
            f"`data` must have no class but the network's: {listed(labels)}. "
            f"Received: {listed(unknown)}"
        )
    part, rows = source._splits["test"]
    index = np.array([list(labels).index(label) for label in source.labels], np.int64)
    mapped = replace(part, labels=index[part.labels])
    return replace(source, _splits={"test": (mapped, rows)})


def short_name(path: str | os.PathLike[str]) -> str:
    """What a file or folder is called, fit for a folder's name."""
    base = os.path.basename(os.path.abspath(path))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", base).strip("-.") or "data"


def listed(labels: Sequence[str], limit: int = 10) -> str:
    """The first class names, and how many there are."""
    more = f", ... ({len(labels)} classes)" if len(labels) > limit else ""
    return ", ".join(labels[:limit]) + more


# Where data come from ----------------------------------------------------------------------------


def _digits(seed: int) -> Source:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)  # (1797, 64), 0..16
    images = np.rint(np.asarray(x) * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    part = _Part("images", images, np.asarray(y, np.int64))
    return _source("digits", "digits", _DIGITS, False, {"train": part}, seed, side=8, channels=1)


def _keras_dataset(name: str, seed: int) -> Source:
    labels, mirror = KERAS_DATASETS[name]
    module = importlib.import_module(f"keras.datasets.{name}")
    try:
        loaded = module.load_data()
    except Exception as error:  # Keras raises a plain Exception when a download fails
        raise OSError(
            f"`data` must be a data set that Keras has in its cache or can download. "
            f"Received: data={name!r} ({one_line(error)})"
        ) from error
    parts = {
        split: _Part(split, image_array(f"x_{split}", x), y.reshape(-1).astype(np.int64))
        for split, (x, y) in zip(("train", "test"), loaded, strict=True)
    }
    _, side, _, channels = parts["train"].images.shape
    return _source(name, name, labels, mirror, parts, seed, side=side, channels=channels)


def _folder(data: str, root: Path, seed: int) -> Source:
    folders = split_folders(root)
    if folders and "train" not in folders:
        name = next(iter(folders.values()))
        raise ValueError(
            f"`data` must hold a folder train/ beside {name}/. Received: data={data!r}"
        )
    folders = folders or {"train": ""}
    labels = class_names(root / folders["train"])
    if len(labels) < 2:
        raise ValueError(
            f"`data` must hold a folder of images for each of two or more classes. "
            f"Received: {len(labels)} in {root / folders['train']}"
        )
    parts, not_read = _listed(root, folders, labels)
    side, channels = _inspected([part.images for part in parts.values()])
    return _source(
        data, root, labels, False, parts, seed, side=side, channels=channels, not_read=not_read
    )


def _listed(
    root: Path, folders: Mapping[str, str], labels: tuple[str, ...]
) -> tuple[dict[str, _Part], tuple[str, ...]]:
    """The images of each split's folder, and what in them is not read."""
    parts: dict[str, _Part] = {}
    not_read = beside_splits(root) if "" not in folders.values() else []
    for split, name in folders.items():
        found = list_images(root, name, labels)
        paths = text_array([os.path.join(root, path) for path in found.ids])
        indices = np.array([labels.index(label) for label in found.classes], np.int64)
        parts[split] = _Part(name or ".", paths, indices, text_array(found.ids))
        not_read += found.not_read
    return parts, tuple(not_read)


def _inspected(paths: Sequence[np.ndarray]) -> tuple[int, int]:
    """The median side of image files in pixels, and 1 channel where all are grey, else 3."""
    every = np.concatenate(paths)
    sizes = np.empty((len(every), 2), np.int64)
    grey = np.empty(len(every), bool)

    def inspect(row: int) -> None:
        with opened_image(every[row]) as image:
            sizes[row], grey[row] = image.size, is_grey(image)

    in_threads(inspect, len(every), "Inspecting images")
    return half_up(float(np.median(sizes))), 1 if grey.all() else 3


def _npz(data: str, path: Path, seed: int) -> Source:
    names = _check_npz(path)
    with (
        naming_file(path, "`data` must be an .npz file that numpy reads"),
        np.load(path, allow_pickle=False) as file,
    ):
        arrays = {name: file[name] for name in names}
    values = np.unique(arrays["y_train"])
    if len(values) < 2:
        raise ValueError(
            f"`y_train` must hold two or more classes. Received: {len(values)} in {path}"
        )
    parts = {}
    for name in ("train", "val", "test"):
        if f"x_{name}" not in arrays:
            continue
        x = image_array(f"x_{name}", arrays[f"x_{name}"])
        y = _label_array(f"y_{name}", arrays[f"y_{name}"], values)
        if len(x) != len(y):
            raise ValueError(
                f"`x_{name}` and `y_{name}` must be of one length. Received: {len(x)} and {len(y)}"
            )
        parts["validation" if name == "val" else name] = _Part(name, x, y)
    shapes = {part.name: part.images.shape[1:] for part in parts.values()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"All images in `data` must have one shape. Received: {shapes}")
    height, width, channels = shapes["train"]
    labels = tuple(str(value) for value in values)
    side = half_up((height + width) / 2)
    return _source(
        data, path.with_suffix(""), labels, False, parts, seed, side=side, channels=channels
    )


def _source(
    data: str,
    path: str | Path,
    labels: tuple[str, ...],
    mirror: bool,
    parts: dict[str, _Part],
    seed: int,
    *,
    side: int,
    channels: int,
    not_read: tuple[str, ...] = (),
) -> Source:
    """Cut the splits that `parts` lacks from its training images."""
    missing = {split: share for split, share in FRACTIONS.items() if split not in parts}
    if "train" not in parts:
        missing = {}
    splits: dict[str, tuple[_Part, np.ndarray | None]]
    splits = {split: (part, None) for split, part in parts.items()}
    if missing:
        cut = _cut(parts["train"].labels, labels, missing, seed)
        splits |= {split: (parts["train"], rows) for split, rows in cut.items()}
    return Source(
        name=short_name(path),
        labels=labels,
        side=side,
        channels=channels,
        mirror=mirror,
        _splits=splits,
        not_read=not_read,
        _record={"source": data, "seed": seed, "cut": missing, "not_read": list(not_read)},
    )


def _cut(labels, names, fractions: dict[str, float], seed: int) -> dict[str, np.ndarray]:
    """Rows of each split, ascending. Class by class, so that no class misses in any split."""
    random = np.random.RandomState(seed)  # its stream is frozen, a Generator's may change
    splits = {split: [] for split in (*fractions, "train")}
    for label, name in enumerate(names):
        rows = random.permutation(np.flatnonzero(labels == label))
        if len(rows) <= len(fractions):
            raise ValueError(
                f"Each class must have {len(fractions) + 1} or more images, so that "
                f"{' and '.join(fractions)} can be cut. Received: {len(rows)} of class {name!r}"
            )
        for split, fraction in fractions.items():
            count = max(1, half_up(fraction * len(rows)))
            splits[split].append(rows[:count])
            rows = rows[count:]
        splits["train"].append(rows)
    return {split: np.sort(np.concatenate(rows)) for split, rows in splits.items()}


# npz files ---------------------------------------------------------------------------------------


def _check_npz(path: Path) -> list[str]:
    """Names of the arrays to read, after a look at nothing but their headers.

    Headers are small and plain text, so that nothing is unpickled, and no memory asked for that the
    file does not fill.
    """
    wanted = ["x_train", "y_train"]
    headers = {}
    with (
        naming_file(path, "`data` must be an .npz file that numpy reads"),
        zipfile.ZipFile(path) as archive,
    ):
        entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(entries) < len(archive.infolist()):  # of which NumPy may read another one
            raise ValueError("two members have one name")
        for pair in (["x_test", "y_test"], ["x_val", "y_val"]):
            # Without test images they are cut, unless something else may have been meant for them.
            if set(pair) & entries.keys() or (pair[0] == "x_test" and entries.keys() - set(wanted)):
                wanted += pair
        for name in entries.keys() & set(wanted):
            with archive.open(entries[name]) as file:
                headers[name] = _npy_header(file)
    missing = [name for name in wanted if name not in entries]
    if missing:
        raise ValueError(
            f"`data` must hold the arrays {', '.join(wanted)}. "
            f"Received: {path} with {', '.join(sorted(entries)) or 'none'}; "
            f"missing: {', '.join(missing)}"
        )
    for name, (shape, dtype) in headers.items():
        if dtype.hasobject:
            raise ValueError(f"`{name}` must not hold pickled objects. Received: dtype={dtype}")
        if dtype.kind not in "iu":
            wish = "pixels 0..255, stored as uint8" if name[0] == "x" else "integer labels"
            raise ValueError(f"`{name}` must hold {wish}. Received: dtype={dtype}")
        size = math.prod(shape) * dtype.itemsize
        # Deflate shrinks to no less than a thousandth.
        if size > min(entries[name].file_size, 1100 * path.stat().st_size):
            raise ValueError(
                f"`{name}` must be stored in full. "
                f"Received: shape={shape} of {dtype} in the file {path}, which holds less"
            )
    return wanted


def _npy_header(file) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of the `.npy` file."""
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in read:
        raise ValueError(f"version {version} of numpy's format, which images and labels need not")
    shape, _, dtype = read[version](file)
    return shape, dtype


def _label_array(name: str, y: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Labels (N,) or (N, 1) as indices (int64) into the sorted `values`."""
    if y.ndim not in (1, 2) or y.shape[1:] not in ((), (1,)):
        raise ValueError(f"`{name}` must be labels of shape (N,) or (N, 1). Received: {y.shape}")
    if len(y) and y.min() < 0:
        raise ValueError(f"`{name}` must hold labels of 0 or more. Received: {y.min()}")
    unknown = np.setdiff1d(y, values)
    if len(unknown):
        raise ValueError(
            f"`{name}` must hold classes that `y_train` has. Received: {unknown[:5].tolist()}"
        )
    return np.searchsorted(values, y.reshape(-1)).astype(np.int64)
