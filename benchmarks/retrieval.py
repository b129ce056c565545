"""How well short codes find what the last hidden layer finds, and what a search needs of memory.

    python benchmarks/retrieval.py codes --data FILE.npz --arch lenet5 [--alpha 1] [--epochs 3]
        [--bits 16,32,64,128] [--seeds 0]
    python benchmarks/retrieval.py memory [--images 1000000] [--width 1024]

`codes`: a network is trained with `train`, then `retrieve` embeds all images of the data and
measures the precision of pixels, of the last hidden layer and of the codes of each length: the mean
over 1,000 test images, each compared with all other images.

`memory`: the nearest of ten vectors among as many as one likes in a file, which takes its size on
the disk, and by how much the process grows at most: private memory, which is not the file's,
looked at every 10 ms.
"""

import argparse
import os
import tempfile
import threading
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import applications
from applications.learning.codes import nearest


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("part", choices=("codes", "memory"))
    for name, default in (
        ("--data", "digits"),
        ("--arch", "lenet5"),
        ("--alpha", 1.0),
        ("--epochs", 3),
        ("--bits", "16,32,64,128"),
        ("--seeds", "0"),
        ("--images", 1_000_000),
        ("--width", 1024),
    ):
        parser.add_argument(name, default=default, type=type(default), help="default: %(default)s")
    options = parser.parse_args()
    {"codes": codes, "memory": memory}[options.part](options)


def codes(options):
    print("| seed | test accuracy | compared | bytes | at 1 | at 5 | at 10 | of raw's |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            run = applications.train(
                options.arch,
                data=options.data,
                alpha=options.alpha,
                epochs=options.epochs,
                seed=seed,
                run_dir=Path(folder, "run"),
                verbose=0,
            )
            for at, bits in enumerate(map(int, options.bits.split(","))):
                found = applications.retrieve(
                    run, options.data, bits=bits, seed=seed, run_dir=Path(folder, "i"), verbose=0
                )
                pixels = int(np.prod(run.model.input_shape[1:]))
                width = np.load(next(found.path.glob("vectors-*.npy")), mmap_mode="r").shape[1]
                rows = {
                    "pixels": ("pixels", pixels),
                    "raw": (f"raw, {width} numbers", 4 * width),
                    "compressed": (f"compressed, {bits} numbers", 4 * bits),
                    "binary": (f"binary, {bits} bits", bits // 8),
                }
                for kind, (name, size) in rows.items():
                    if at and kind in ("pixels", "raw"):
                        continue
                    row = found.precision[kind]
                    shares = " | ".join(f"{100 * row[k]:.1f} %" for k in (1, 5, 10))
                    print(
                        f"| {seed} | {100 * run.metrics['test_accuracy']:.2f} % | {name} | "
                        f"{size:,} | {shares} | {row[10] / found.precision['raw'][10]:.3f} |",
                        flush=True,
                    )


def private() -> int:
    """Bytes of memory that the process has to itself: not those of files that are mapped."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in x)
    return 1024 * int(line.split()[1])


def memory(options):
    with tempfile.TemporaryDirectory() as folder:
        path, random = Path(folder, "vectors.npy"), np.random.default_rng(0)
        shape = (options.images, options.width)
        file = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        step = 2**24 // options.width
        for start in range(0, options.images, step):
            rows = file[start : start + step]
            rows[:] = random.standard_normal(rows.shape, np.float32)
        wanted = random.choice(options.images, 10, replace=False)
        queries = np.array(file[wanted])
        file.flush()
        del file, rows
        nearest(queries, queries, 1)  # faiss is loaded, its threads are there
        before, seen, ended = private(), [], threading.Event()

        def watch():
            while not ended.wait(0.01):
                seen.append(private())

        watcher = threading.Thread(target=watch)
        watcher.start()
        distances, found = nearest(queries, np.load(path, mmap_mode="r"), 10)
        ended.set()
        watcher.join()
        grown = max([*seen, private()]) - before
    right = (found[:, 0] == wanted).all() and (np.diff(distances) >= 0).all()
    size = 4 * options.images * options.width
    print(
        f"{options.images:,} x {options.width:,}: {size / 2**20:,.0f} MiB of vectors, "
        f"{grown / 2**20:,.1f} MiB more memory at most, "
        f"each found itself: {'yes' if right else 'NO'}"
    )


if __name__ == "__main__":
    main()
