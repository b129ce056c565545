"""The gradient of each layer in a plain network of 56 layers and in a residual one, by depth.

    python benchmarks/gradient_norms.py CIFAR10.npz [--images 800] [--epochs 3] [--out FILE.png]

Trains PlainNet56 and ResNet56 on a part of CIFAR-10 (an .npz file with `x_train, y_train, x_test,
y_test`) with `log=("gradients",)`, reads the norms from their TensorBoard files, prints a Markdown
table and draws one picture: a line an epoch, from the first convolution to the classifier.

Both networks have batch normalisation. He et al. 2015 (section 4.1) saw healthy gradients in their
plain networks too and concluded that vanishing gradients are not why these learn badly.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

NETWORKS = ("plainnet56", "resnet56")


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("data", type=Path, help="an .npz file of CIFAR-10")
    parser.add_argument("--images", type=int, default=800, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("docs/gradient_norms.png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = part(options.data, Path(folder) / "cifar10.npz", options.images)
        found = {arch: norms(arch, data, Path(folder), options.epochs) for arch in NETWORKS}
    print("| network | epoch | first convolution | middle | classifier | loss |")
    print("|---|---|---|---|---|---|")
    for arch, (lines, losses) in found.items():
        for epoch, (line, loss) in enumerate(zip(lines, losses, strict=True), start=1):
            figures = (line[0], line[len(line) // 2], line[-1])
            shown = " | ".join(f"{figure:.2g}" for figure in figures)
            print(f"| {arch} | {epoch} | {shown} | {loss:.2f} |")
    draw({arch: lines for arch, (lines, _) in found.items()}, options.out)


def part(source: Path, target: Path, images: int) -> Path:
    """The first images of each split, as `--data` takes them."""
    with np.load(source, allow_pickle=False) as arrays:
        np.savez(target, **{name: arrays[name][:images] for name in arrays.files})
    return target


def norms(arch: str, data: Path, folder: Path, epochs: int) -> tuple[np.ndarray, list[float]]:
    """Norms (epochs, layers) and the training loss of each epoch, of one run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    import applications

    run = applications.train(
        arch,
        data=str(data),
        epochs=epochs,
        run_dir=folder / arch,
        log=("gradients",),
        batch_size=64,
    )
    board = EventAccumulator(str(run.path), size_guidance={"scalars": 0})
    board.Reload()
    tags = sorted(tag for tag in board.Tags()["scalars"] if tag.startswith("gradient_norm/"))
    values = [[event.value for event in board.Scalars(tag)] for tag in tags]
    return np.transpose(values), run.history["loss"].tolist()


def draw(found: dict[str, np.ndarray], out: Path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True)
    colours = ("#9ec9e8", "#3a9bd9", "#0b5a94")
    for panel, (arch, lines) in zip(panels, found.items(), strict=True):
        for epoch, line in enumerate(lines):
            colour = colours[min(len(colours) - 1, epoch)]
            panel.plot(range(1, len(line) + 1), line, color=colour, label=f"epoch {epoch + 1}")
        panel.set(title=arch, xlabel="layer, from the input on", yscale="log")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("norm of the kernel's gradient")
    panels[0].legend(frameon=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130)


if __name__ == "__main__":
    main()
