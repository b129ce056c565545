"""How small `.kac` and `keras-archs compress` make networks.

    python benchmarks/compression.py squeezenet
    python benchmarks/compression.py coders
    python benchmarks/compression.py mnist --data mnist.npz [--arch lenet5] [--epochs 4]
        [--compress-epochs 6] [--sparsity 0.85] [--bits 5] [--seeds 0,1]
    python benchmarks/compression.py rates --data mnist.npz [--arch lenet5] [--alpha 1]
        [--epochs 4] [--images 10000] [--seeds 0,1,2]

`squeezenet`: SqueezeNet 1.0 (1,248,424 parameters, 1000 classes) with generated weights, a third of
which are left in each layer and shared by k-means, as in Iandola et al. 2016, table 2. The weights
are drawn from generalised normal distributions, exp(-|x|^b): 1 is Laplace's, 2 the normal one. What
networks have trained to lies between them. The bound is the entropy of zeros and codes of each
kernel, with no byte for codebooks, biases and layers.

`coders`: the same codes by constriction, as the file has them, and by Zstandard at level 19 (which
must be installed), in bytes.

`mnist`: a network trained on an `.npz` of images with `train`, then compressed: bytes and accuracy.

`rates`: a network trained on the first images of an `.npz`, then compressed in fewer epochs at the
run's learning rate, at one that is lower as the epochs are fewer, and at a tenth: test accuracy.
"""

import argparse
import os
import tempfile
from itertools import product
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy.stats import gennorm

import applications
import keras_archs
from applications.shipping.compressing.pruning import pruned
from applications.shipping.compressing.sharing import rounded, shared
from keras_archs.weights import compressed

LEFT = 1 / 3  # of the weights
SHAPES = 1.0, 1.4, 2.0
BITS = 8, 6
PUBLISHED = {8: 0.66e6, 6: 0.47e6}  # bytes; MB there are millions


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("part", choices=("squeezenet", "coders", "mnist", "rates"))
    for name, default in (
        ("--data", "mnist"),
        ("--arch", "lenet5"),
        ("--alpha", 1.0),
        ("--images", 10_000),
        ("--epochs", 4),
        ("--compress-epochs", 6),
        ("--sparsity", 0.85),
        ("--bits", 5),
        ("--seeds", "0"),
    ):
        parser.add_argument(name, default=default, type=type(default), help="default: %(default)s")
    options = parser.parse_args()
    parts = {"squeezenet": squeezenet, "coders": coders, "mnist": mnist, "rates": rates}
    parts[options.part](options)


def drawn(shape: float, bits: int):
    """SqueezeNet with pruned and shared weights of this distribution."""
    random = np.random.default_rng(0)
    model = keras_archs.SqueezeNet()
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            values = gennorm.rvs(shape, size=kernel.shape, random_state=random).astype(np.float32)
            values *= np.sqrt(2 / np.prod(kernel.shape[:-1])) / gennorm.std(shape)
            (values,) = pruned([values], 1 - LEFT, "layer")
            biases = random.normal(scale=0.1, size=bias.shape).astype(np.float32)
            layer.set_weights([rounded(shared(values, bits)), rounded(biases)])
    return model


def entropy(values: np.ndarray) -> float:
    """Bytes of a code of independent symbols."""
    share = np.unique(values, return_counts=True)[1] / values.size
    return -(share * np.log2(share)).sum() * values.size / 8


def kernels(model):
    return [weights for weights in model.get_weights() if weights.ndim > 1]


def squeezenet(options):
    print("| weights | bits | bytes | bound | published | than AlexNet's 240 MB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for shape in SHAPES:
            for bits in BITS:
                model = drawn(shape, bits)
                path = Path(folder, "squeezenet.kac")
                keras_archs.save_compressed(model, path)
                again, size = keras_archs.load_compressed(path), path.stat().st_size
                for before, after in zip(model.get_weights(), again.get_weights(), strict=True):
                    np.testing.assert_array_equal(before, after)
                bound = sum(map(entropy, kernels(model)))
                print(
                    f"| b = {shape:g} | {bits} | {size:,} | {bound:,.0f} | "
                    f"{PUBLISHED[bits]:,.0f} | {240e6 / size:,.0f}x |",
                    flush=True,
                )


def coders(options):
    import zstandard

    press = zstandard.ZstdCompressor(level=19)
    print("| weights | bits | stream | entropy | constriction | Zstandard |\n" + "|---" * 6 + "|")
    for shape in SHAPES:
        for bits in BITS:
            totals = np.zeros((2, 3))
            for kernel in kernels(drawn(shape, bits)):
                mask, kept = (kernel != 0).ravel(), kernel[kernel != 0]
                codes = np.unique(kept, return_inverse=True)[1]
                for row, symbols, alphabet in (
                    (0, mask, 2),
                    (1, codes, int(codes.max()) + 1),
                ):
                    packed = np.packbits(mask) if alphabet == 2 else codes.astype(np.uint8)
                    ours = compressed._stream_bytes(symbols.astype(np.int32), alphabet)
                    theirs = press.compress(packed.tobytes())
                    totals[row] += entropy(symbols), len(ours), len(theirs)
            for name, row in zip(("masks", "codes"), totals, strict=True):
                figures = " | ".join(f"{value:,.0f}" for value in row)
                print(f"| b = {shape:g} | {bits} | {name} | {figures} |", flush=True)


def mnist(options):
    print("| seed | float32 | model.kac | smaller | test accuracy before | after |")
    print("|---|---|---|---|---|---|")
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            run = applications.train(
                options.arch,
                data=options.data,
                epochs=options.epochs,
                seed=seed,
                run_dir=Path(folder, "run"),
                verbose=0,
            )
            small = applications.compress(
                run,
                sparsity=options.sparsity,
                bits=options.bits,
                epochs=options.compress_epochs,
                run_dir=Path(folder, "small"),
                verbose=0,
            ).metrics
        large, size = small["float32_bytes"], small["compressed_bytes"]
        print(
            f"| {seed} | {large:,} | {size:,} | {large / size:.1f}x | "
            f"{100 * small['parent']['test_accuracy']:.2f} % | "
            f"{100 * small['test_accuracy']:.2f} % |",
            flush=True,
        )


def rates(options):
    seeds = options.seeds.split(",")
    print(
        "| zeros | bits | epochs | rate | before | after | difference by seed |\n"
        + "|---" * 7
        + "|"
    )
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "images.npz")
        with np.load(options.data) as file:
            first = {name: slice(options.images) for name in ("x_train", "y_train")}
            np.savez(data, **{name: file[name][first.get(name, ...)] for name in file.files})
        runs = [
            applications.train(
                options.arch,
                alpha=options.alpha,
                data=data,
                epochs=options.epochs,
                seed=int(seed),
                run_dir=Path(folder, "runs", seed),
                verbose=0,
            )
            for seed in seeds
        ]
        before = [run.metrics["test_accuracy"] for run in runs]
        for (sparsity, bits), epochs in product(((0.67, 6), (0.0, 8)), (1, 2, 5)):
            for share in (1.0, epochs / options.epochs, 0.1):
                after = []
                for run in runs:
                    with tempfile.TemporaryDirectory() as small:
                        compressed = applications.compress(
                            run,
                            sparsity=sparsity,
                            bits=bits,
                            epochs=epochs,
                            learning_rate=share * run.config["learning_rate"],
                            run_dir=Path(small, "run"),
                            verbose=0,
                        )
                        after.append(compressed.metrics["test_accuracy"])
                means = (f"{100 * np.mean(each):.2f} %" for each in (before, after))
                each = ", ".join(
                    f"{100 * (y - x):+.2f}" for x, y in zip(before, after, strict=True)
                )
                print(
                    f"| {sparsity:.0%} | {bits} | {epochs} of {options.epochs} | {share:g} | "
                    f"{' | '.join(means)} | {each} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
