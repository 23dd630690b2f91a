"""From a lit mesh to a photograph: few rays where nothing happens, more at hands and edges; motion blur, noise, gamma.

Images are float32 linear RGB until `develop`. Labels count PARTS of `people`, -1 is the backdrop.
"""
import cv2
import numpy as np

from hmradapter.synthetic.cameras import Camera
from hmradapter.synthetic.people import PARTS
from hmradapter.synthetic.shading import Light, Samples, ShadedMesh

_DETAILED = [PARTS.index(name) for name in ('left', 'right', 'head', 'object')]
_CLIFF = 0.03    # metres of depth between coarse neighbours that call for full resolution
_RIDGE = 0.004   # and between pixels, for smooth outlines: one finger before another
# Grey level of linear light in steps of 1/1024: gamma 2.2, highlights roll off instead of clipping.
_TONES = (np.arange(4096) / 1024) ** (1 / 2.2)
_TONES = (255 * _TONES / (1 + np.maximum(_TONES - 0.8, 0))).astype(np.int16)
_FEATHER = 7     # pixels over which a blurred window fades into the sharp image


class Film:
    """Renders one mesh; part (F,) labels its faces. size (width, height) px, both even."""

    def __init__(self, mesh: ShadedMesh, part: np.ndarray, size: tuple[int, int]):
        width, height = size
        if width % 2 or height % 2:
            raise ValueError(f'image size is {size}, but rays are first cast for blocks of 2 x 2 pixels: give even numbers.')
        self.mesh, self.size = mesh, size
        self._part = np.append(part, -1).astype(np.int32)  # face -1, a miss, reads the last entry
        x, y = np.meshgrid(np.arange(width // 2), np.arange(height // 2))
        self._blocks = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32) * 2 + 0.5

    def expose(self, camera: Camera, light: Light, backdrop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) and labels (H, W), exact at full resolution on hands, head, object and every outline."""
        width, height = self.size
        coarse = self.mesh.sample(self._blocks, camera.K, camera.world_to_cam, light)
        label = self._part[coarse.face].reshape(height // 2, width // 2)
        depth = coarse.depth.reshape(height // 2, width // 2)
        layer = np.concatenate([coarse.color, (coarse.face >= 0)[:, None]], axis=1).reshape(height // 2, width // 2, 4)
        layer = cv2.resize(layer.astype(np.float32), self.size, interpolation=cv2.INTER_LINEAR)  # 2x: block centres line up
        image = layer[..., :3] + (1 - layer[..., 3:]) * backdrop

        detail = np.isin(label, _DETAILED) | _edges(label, depth, _CLIFF)
        detail = cv2.dilate(detail.astype(np.uint8), np.ones((3, 3), np.uint8))
        label, depth, detail = (np.repeat(np.repeat(a, 2, 0), 2, 1) for a in (label, depth, detail))
        rows, columns = np.nonzero(detail)
        fine = self._look(rows, columns, camera, light)
        image[rows, columns] = _over(fine, backdrop[rows, columns])
        label[rows, columns], depth[rows, columns] = self._part[fine.face], fine.depth

        edge = _edges(label, depth, _RIDGE) & (detail > 0)
        image[edge] = cv2.GaussianBlur(image, (3, 3), 0)[edge]  # as smooth as two more rays a pixel, for a tenth of their time
        return image, label

    def expose_window(self, camera: Camera, light: Light, backdrop: np.ndarray,
                      window: tuple[int, int, int, int]) -> np.ndarray:
        """Image of the window (x0, y0, x1, y1) alone, every pixel once."""
        x0, y0, x1, y1 = window
        rows, columns = (a.ravel() for a in np.mgrid[y0:y1, x0:x1])
        seen = self._look(rows, columns, camera, light)
        return _over(seen, backdrop[rows, columns]).reshape(y1 - y0, x1 - x0, 3)

    def _look(self, rows, columns, camera: Camera, light: Light) -> Samples:
        points = np.stack([columns, rows], axis=1)
        return self.mesh.sample(points, camera.K, camera.world_to_cam, light)


def window_around(points_px: np.ndarray, size: tuple[int, int], margin: int = 12) -> tuple[int, int, int, int] | None:
    """Box (x0, y0, x1, y1) around points (N, 2), cut at the image; None where nothing is left."""
    low = np.floor(points_px.min(axis=0)).astype(int) - margin
    high = np.ceil(points_px.max(axis=0)).astype(int) + margin + 1
    (x0, y0), (x1, y1) = np.clip(low, 0, size), np.clip(high, 0, size)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def blend_window(image: np.ndarray, patches: list[np.ndarray], window: tuple[int, int, int, int]) -> None:
    """Average the image's window with patches seen a moment before and after, in place, fading out towards its border."""
    x0, y0, x1, y1 = window
    weight = np.ones((y1 - y0 + 2, x1 - x0 + 2), np.uint8)
    weight[[0, -1]], weight[:, [0, -1]] = 0, 0
    weight = np.clip(cv2.distanceTransform(weight, cv2.DIST_L1, 3)[1:-1, 1:-1] / _FEATHER, 0, 1)[..., None]
    sharp = image[y0:y1, x0:x1]
    image[y0:y1, x0:x1] = sharp + weight * ((sharp + sum(patches)) / (1 + len(patches)) - sharp)


def develop(image: np.ndarray, gain: float, noise: np.ndarray) -> np.ndarray:
    """Linear RGB to an 8 bit BGR photograph; noise (H, W, 3) int16 in grey levels."""
    levels = np.minimum(image * np.float32(gain * 1024), len(_TONES) - 1).astype(np.uint16)
    return cv2.cvtColor(np.clip(_TONES[levels] + noise, 0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR)


def _over(seen: Samples, behind: np.ndarray) -> np.ndarray:
    return np.where((seen.face >= 0)[:, None], seen.color, behind)


def _edges(label: np.ndarray, depth: np.ndarray, jump: float) -> np.ndarray:
    """(H, W) bool, True on both sides of every change of label or leap in depth."""
    edge = np.zeros(label.shape, bool)
    across = (label[:, 1:] != label[:, :-1]) | (np.abs(depth[:, 1:] - depth[:, :-1]) > jump)
    down = (label[1:] != label[:-1]) | (np.abs(depth[1:] - depth[:-1]) > jump)
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge
