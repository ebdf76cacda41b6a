"""Made-up images of nuclei with known labels: seeded, and nothing to download."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.ndimage import label as connected_components

from nucseg_models.data.dataset import KINDS, Dataset

SHARES = (0.6, 0.25, 0.15)  # of KINDS, in that order
PIXELS_A_NUCLEUS = 700  # of the image, nucleus and ground together
TOUCHING = 0.4  # how often a nucleus is put against an earlier one
STAIN = np.array([0.9, 1.3, 0.6])  # how strongly nuclei absorb red, green, blue: purple
COUNTERSTAIN = np.array([0.15, 0.45, 0.2])  # the same for all that lies around them: pink


def synthetic(count: int = 48, *, seed: int, sides: tuple[int, int] = (96, 160)) -> Dataset:
    """`count` images of nuclei, each side from `sides` (pixels, both included).

    Nuclei are ellipses with an irregular outline and an intensity of their own; many
    touch along an edge. Images are blurred and noisy, of all KINDS from a `count` of 3
    on, and each holds at least one nucleus. The same arguments give the same bytes.
    """
    if count < 1 or not 48 <= sides[0] <= sides[1]:
        raise ValueError(f"need count >= 1 and 48 <= sides[0] <= sides[1], got {count}, {sides}")
    generator = np.random.default_rng(seed)
    kinds = _kinds(count)
    labels = [_labels(generator, *generator.integers(sides[0], sides[1] + 1, 2)) for _ in kinds]
    images = [_image(generator, *pair) for pair in zip(labels, kinds, strict=True)]
    digest = hashlib.sha256()
    for image, annotated in zip(images, labels, strict=True):
        digest.update(repr(image.shape).encode() + image.tobytes() + annotated.tobytes())
    return Dataset(
        name="synthetic",
        images=images,
        labels=labels,
        ids=tuple(f"synthetic-{i:04d}" for i in range(count)),
        kinds=kinds,
        sha256=digest.hexdigest(),
    )


def _kinds(count: int) -> tuple[str, ...]:
    """The kind of each image: `SHARES` of `count`, at least one of each where three fit."""
    others = [min(max(1, round(share * count)), count // 3) for share in SHARES[1:]]
    amounts = (count - sum(others), *others)
    return tuple(kind for kind, n in zip(KINDS, amounts, strict=True) for _ in range(n))


@dataclass(frozen=True)
class _Outline:
    """An ellipse whose radius (pixels) waves around its mean with the angle."""

    row: float
    column: float
    radius: float
    stretch: float  # 1 a circle; long axis / short axis is the square of it
    angle: float
    waves: NDArray[np.float64]  # (2, 3): relative height and phase of harmonics 2 to 4

    @staticmethod
    def draw(generator: np.random.Generator, height: int, width: int) -> _Outline:
        return _Outline(
            row=generator.uniform(0, height),
            column=generator.uniform(0, width),
            radius=generator.uniform(5, 11),
            stretch=generator.uniform(1, 1.35),
            angle=generator.uniform(0, np.pi),
            waves=np.stack([generator.uniform(0, 0.08, 3), generator.uniform(0, 2 * np.pi, 3)]),
        )

    def beside(self, other: _Outline, direction: float) -> _Outline:
        """The same outline moved so that it overlaps `other` a little."""
        distance = 0.8 * (self.radius + other.radius)
        return replace(
            self,
            row=other.row + distance * np.sin(direction),
            column=other.column + distance * np.cos(direction),
        )

    def window(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns of a (height, width) image that the outline can reach."""
        reach = int(1.25 * self.radius * self.stretch) + 1
        row, column = int(self.row), int(self.column)
        return (
            slice(max(0, row - reach), max(0, min(height, row + reach + 1))),
            slice(max(0, column - reach), max(0, min(width, column + reach + 1))),
        )

    def inside(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """The pixels of that window within the outline, bool."""
        y, x = np.ogrid[rows, columns]
        turned = ((x - self.column) + 1j * (y - self.row)) * np.exp(-1j * self.angle)
        flat = turned.real / self.stretch + 1j * turned.imag * self.stretch
        harmonics = np.arange(2, 5)[:, None, None] * np.angle(flat)
        heights, phases = self.waves[:, :, None, None]
        radius = self.radius * (1 + (heights * np.cos(harmonics + phases)).sum(axis=0))
        result: NDArray[np.bool_] = np.abs(flat) < radius
        return result


def _labels(generator: np.random.Generator, height: int, width: int) -> NDArray[np.int32]:
    """Labels int32 (height, width): nuclei put down one by one, each on free pixels alone."""
    labels = np.zeros((height, width), np.int32)
    placed: list[_Outline] = []
    wanted = max(1, int(generator.uniform(0.5, 1.2) * height * width / PIXELS_A_NUCLEUS))
    for _ in range(wanted):
        outline = _Outline.draw(generator, height, width)
        if placed and generator.random() < TOUCHING:
            neighbour = placed[generator.integers(len(placed))]
            outline = outline.beside(neighbour, generator.uniform(0, 2 * np.pi))
        window = outline.window(height, width)
        inside = outline.inside(*window)
        free = inside & (labels[window] == 0)
        if _is_whole_enough(free, inside):
            placed.append(outline)
            labels[window][free] = len(placed)
    return labels if placed else _labels(generator, height, width)


def _is_whole_enough(free: NDArray[np.bool_], inside: NDArray[np.bool_]) -> bool:
    """Whether a nucleus is in one piece, large enough to see, and mostly its own shape."""
    area = np.count_nonzero(free)
    if area < max(25, 0.7 * np.count_nonzero(inside)):
        return False
    return bool(connected_components(free)[1] == 1)


def _image(
    generator: np.random.Generator, labels: NDArray[np.int32], kind: str
) -> NDArray[np.uint8]:
    """What a microscope would make of `labels`: uint8 (H, W, 3)."""
    brightness = generator.uniform(0.5, 1, labels.max() + 1)
    brightness[0] = 0
    texture = 1 + 0.8 * gaussian_filter(generator.standard_normal(labels.shape), 2)
    density = gaussian_filter(brightness[labels] * texture, generator.uniform(0.7, 1.4))
    ground = gaussian_filter(generator.standard_normal(labels.shape), 8)
    if kind == "fluorescence":
        gain = generator.uniform(40, 220)  # of 255; real images are as dim as this
        light = (gain * (density + 0.08 + 0.2 * np.maximum(ground, 0)))[..., None]
        noise = 0.03 * gain
    else:
        absorbed = density[..., None] * (STAIN if kind == "tissue" else np.array([0.8]))
        around = (0.6 + ground)[..., None] * (COUNTERSTAIN if kind == "tissue" else 0.2)
        light = generator.uniform(210, 245) * np.exp(-absorbed - around)  # Beer and Lambert
        noise = 4.0
    noisy = light + noise * generator.standard_normal(light.shape)
    pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*labels.shape, 3)))
