"""Train the bundled ensemble: four small CNNs for 8x8 handwritten digits.

Before the pipeline's first stage: writes the member_k.onnx files that onnx.members reads, and the
data that the demonstration is judged on. Run once by hand, `python -m edgeens.demo.train_members`;
the outputs are checked in, so that neither the demonstration nor its tests need torch.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeens.errors import MembersError, MissingPackageError

try:
    import onnxruntime
    import torch
    import torch.nn.functional as F
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch import nn

    from edgeens.torch.onnx_file import write_onnx
except ImportError as error:
    raise MissingPackageError(
        f"training the bundled members needs {error.name}, which is not installed; "
        "install the extra edgeens[torch] and scikit-learn"
    ) from error

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

MEMBERS = 4
# Few training images on purpose: with 1100 of them the members disagree half as often, and an
# ensemble has less to show. The images not trained on make the test figures sharper instead.
TRAINING, VALIDATION, TEST = 400, 397, 1000
SPLIT_SEED = 0
OUTLIER_SEED = 1

EPOCHS = 60
BATCH = 32
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-4

EXPORT_TOLERANCE = 1e-5  # largest difference of a logit between torch and ONNX Runtime


class MemberNet(nn.Module):
    """Two convolutions and a dense layer: 9930 weights, input (n, 1, 8, 8), logits (n, 10).

    No batch normalisation: the graph holds exactly the tensors of the state_dict.
    """

    def __init__(self) -> None:
        """Draw the initial weights from torch's global generator."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.dense = nn.Linear(32 * 4 * 4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images, float32 (n, 1, 8, 8), to logits, float32 (n, 10)."""
        hidden = F.relu(self.conv1(images))
        hidden = F.max_pool2d(F.relu(self.conv2(hidden)), 2)
        logits: torch.Tensor = self.dense(hidden.flatten(1))
        return logits


def build_model(seed: int) -> MemberNet:
    """Return an untrained member whose weights depend on *seed* alone."""
    torch.manual_seed(seed)
    return MemberNet()


def load_images() -> tuple[Images, Labels]:
    """Return all 1797 digits: images (n, 1, 8, 8), multiples of 1/16 in 0..1, and labels (n,)."""
    digits: Any = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)
    return images, digits.target.astype(np.int64)


def split(labels: Labels) -> tuple[Labels, Labels, Labels]:
    """Return the indices of the training, validation and test images, disjoint and stratified."""
    everything = np.arange(len(labels))
    rest, test = train_test_split(
        everything, test_size=TEST, stratify=labels, random_state=SPLIT_SEED
    )
    training, validation = train_test_split(
        rest,
        train_size=TRAINING,
        test_size=VALIDATION,
        stratify=labels[rest],
        random_state=SPLIT_SEED,
    )
    return training, validation, test


def outliers(images: Images) -> Images:
    """Return inputs that are no digits, in three equal parts, float32 (3 * (n // 3), 1, 8, 8).

    The first third of *images* turned by 90 degrees, the second third inverted (1 - x), then
    noise that is uniform on the 17 grey levels. A turned 0 still looks like a 0; it is kept.
    """
    third = len(images) // 3
    levels = np.random.default_rng(OUTLIER_SEED).integers(0, 17, size=(third, *images.shape[1:]))
    turned = np.rot90(images[:third], axes=(2, 3))
    inverted = 1 - images[third : 2 * third]
    return np.concatenate([turned, inverted, levels / 16]).astype(np.float32)


def shift_randomly(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Move each image, (n, 1, 8, 8), by -1, 0 or 1 pixels along both axes; zeros come in.

    Without it the first column is blank in 99 % of the images, and the members share what they
    make of ink there: nearly every digit turned by 90 degrees is a confident 4 to all of them.
    """
    n, _, height, width = images.shape
    offsets = torch.randint(0, 3, (2, n, 1), generator=generator)
    rows = (torch.arange(height) + offsets[0])[:, None, :, None]
    columns = (torch.arange(width) + offsets[1])[:, None, None, :]
    image = torch.arange(n)[:, None, None, None]
    return F.pad(images, (1, 1, 1, 1))[image, 0, rows, columns]


def train_member(
    seed: int, training: tuple[Images, Labels], validation: tuple[Images, Labels]
) -> MemberNet:
    """Train one member, and return it as it was after the epoch of least validation NLL.

    *seed* sets the initial weights, the order of the images and their shifts.
    """
    images, labels = map(torch.from_numpy, training)
    validation_images, validation_labels = map(torch.from_numpy, validation)
    model = build_model(seed)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best_loss, best_state = float("inf"), model.state_dict()
    for _ in range(EPOCHS):
        for batch in torch.split(torch.randperm(len(images), generator=generator), BATCH):
            optimizer.zero_grad()
            logits = model(shift_randomly(images[batch], generator))
            torch.autograd.backward(F.cross_entropy(logits, labels[batch]))
            optimizer.step()
        with torch.no_grad():
            loss = F.cross_entropy(model(validation_images), validation_labels).item()
        if loss < best_loss:
            best_loss = loss
            best_state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(best_state)
    return model.eval()


def export_member(model: MemberNet, path: Path) -> None:
    """Write *model* as an ONNX graph from `input` (batch, 1, 8, 8) to `logits` (batch, 10)."""
    write_onnx(
        model,
        path,
        example_input=torch.zeros(1, 1, 8, 8),
        output_names=("logits",),
        folded=True,
    )


def run_member(path: Path, images: Images) -> Images:
    """Return the logits, (n, 10), that ONNX Runtime computes with the graph in *path*."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits: Images = session.run(["logits"], {"input": images})[0]
    return logits


def check_export(model: MemberNet, path: Path, images: Images) -> None:
    """Raise MembersError unless the graph in *path* computes what *model* does on *images*."""
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    difference = float(np.abs(run_member(path, images) - expected).max())
    if difference > EXPORT_TOLERANCE:
        raise MembersError(
            f"{path.name} differs from the trained member by {difference:.1e} in a logit, more "
            f"than {EXPORT_TOLERANCE:.0e}; do not ship it, check the versions of torch and onnx"
        )


def describe(paths: list[Path], images: Images, labels: Labels) -> str:
    """Return the figures of the members and of their mean probabilities as README table rows."""
    logits = torch.from_numpy(np.stack([run_member(path, images) for path in paths])).double()
    log_probabilities = logits.log_softmax(-1)
    ensemble = log_probabilities.exp().mean(0).log()
    rows = []
    names = [path.name for path in paths] + ["ensemble"]
    for name, values in zip(names, [*log_probabilities, ensemble], strict=True):
        accuracy = np.mean(values.argmax(-1).numpy() == labels)
        nll = F.nll_loss(values, torch.from_numpy(labels)).item()
        rows.append(f"| {name} | {accuracy:.2%} | {nll:.4f} |")
    return "\n".join(rows)


def main() -> None:
    """Train, export, check and write everything; print the rows of README.md's tables."""
    parser = argparse.ArgumentParser(description="Train the ensemble that ships with edgeens.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    images, labels = load_images()
    training, validation, test = split(labels)
    np.savez_compressed(
        out / "digits_test.npz", x=images[test], y=labels[test], x_ood=outliers(images[test])
    )
    np.savez_compressed(out / "digits_validation.npz", x=images[validation], y=labels[validation])

    started = time.perf_counter()
    paths = []
    for seed in range(MEMBERS):
        model = train_member(
            seed, (images[training], labels[training]), (images[validation], labels[validation])
        )
        paths.append(out / f"member_{seed}.onnx")
        export_member(model, paths[-1])
        check_export(model, paths[-1], images[test])
    print(f"trained and exported in {time.perf_counter() - started:.0f} s\n")
    for name, part in (("validation", validation), ("test", test)):
        print(f"{name}:\n{describe(paths, images[part], labels[part])}\n")
    for path in [*paths, out / "digits_test.npz", out / "digits_validation.npz"]:
        content = path.read_bytes()
        print(f"| {path.name} | {len(content)} | {hashlib.sha256(content).hexdigest()} |")


if __name__ == "__main__":
    main()
