"""What is behind the person, and the light that falls on it: cheap, and never the same twice."""
import cv2
import numpy as np

from hmradapter.synthetic.people import random_color
from hmradapter.synthetic.shading import Light


def make_backdrop(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) float32 linear RGB: wall and floor, shapes of any colour, noise at several scales, out of focus or not."""
    width, height = size
    wall, floor = _dull(random_color(rng), rng), 0.6 * _dull(random_color(rng), rng)
    horizon = int(height * rng.uniform(0.5, 1.2))
    image = np.empty((height, width, 3), np.float32)
    shade = np.linspace(rng.uniform(0.7, 1.3), rng.uniform(0.7, 1.3), width, dtype=np.float32)[None, :, None]
    image[:] = wall * shade
    image[horizon:] = floor * shade
    for _ in range(rng.integers(2, 16)):
        _draw_shape(image, _dull(random_color(rng), rng), rng)
    for cells in (4, 16, 64):
        grain = rng.normal(1, rng.uniform(0.02, 0.2), (cells * 3 // 4, cells, 3 if cells == 4 else 1)).astype(np.float32)
        image *= np.atleast_3d(cv2.resize(grain, size, interpolation=cv2.INTER_LINEAR))
    blur = rng.choice([0.0, 1.0, 2.5, 5.0])
    image = cv2.GaussianBlur(image, (0, 0), blur) if blur else image
    return np.clip(image, 0.002, 1.2)


def _dull(color: np.ndarray, rng) -> np.ndarray:
    """Rooms are greyer than clothes."""
    return color + rng.uniform(0, 1) * (color.mean() - color)


def _draw_shape(image: np.ndarray, color: np.ndarray, rng) -> None:
    height, width = image.shape[:2]
    color = tuple(map(float, color))
    x, y = int(rng.integers(width)), int(rng.integers(height))
    w, h = (int(rng.uniform(0.03, 0.5) * side) for side in (width, height))
    kind = rng.integers(4)
    if kind == 0:
        cv2.rectangle(image, (x - w // 2, y - h // 2), (x + w // 2, y + h // 2), color, -1)
    elif kind == 1:
        cv2.ellipse(image, (x, y), (w // 2 + 1, h // 2 + 1), float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
    elif kind == 2:
        end = int(rng.integers(width)), int(rng.integers(height))
        cv2.line(image, (x, y), end, color, int(rng.integers(1, 12)), cv2.LINE_AA)
    else:  # a row of stripes: shelves, blinds
        step = int(rng.integers(6, 40))
        for k in range(y - h // 2, y + h // 2, step):
            cv2.rectangle(image, (x - w // 2, k), (x + w // 2, k + step // 2), color, -1)


def make_light(rng: np.random.Generator) -> Light:
    """One lamp or window from above, anywhere around but behind; its colour, and what walls and floor give back."""
    azimuth, elevation = np.radians(rng.uniform(-110, 110)), np.radians(rng.uniform(15, 75))
    direction = np.array([np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)])
    warmth = np.exp(rng.normal(0, 0.12) * np.array([1.0, 0.0, -1.2]))
    fill = rng.uniform(0.25, 0.7)
    return Light(direction, rng.uniform(0.6, 1.2) * warmth, fill * np.exp(rng.normal(0, 0.1, 3)),
                 0.5 * fill * np.exp(rng.normal(0, 0.15, 3)))
