"""The film of a video: each frame with the meshes over it, and beside it the persons from the side.

Frames are read again for drawing, so that no more than a few are in memory. A side view follows its person's pelvis at one
scale for the whole film.
"""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hmradapter.apis.body_mesh import BodyModel
from hmradapter.apis.person_outputs import ROW_TITLES, person_color
from hmradapter.apis.persons import OURS
from hmradapter.apis.picture_outputs import shrunk
from hmradapter.apis.prediction import Camera
from hmradapter.apis.run import Progress, silent
from hmradapter.apis.sources import FrameSource
from hmradapter.apis.tracking import Track
from hmradapter.apis.video_motion import Sightings, motion_vertices
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.visualization.drawings import draw_box, side_by_side
from hmradapter.visualization.encoding import write_image
from hmradapter.visualization.meshes import PAPER, Mesh, overlay, side_view
from hmradapter.visualization.motion import Motion, RestBody
from hmradapter.visualization.video import VideoWriter
from hmradapter.visualization.viewer import Frame3D, Scene3D

FILM_SIZE = 1280      # longer side of the film's overlay, px
SIDE_SIZE = 480       # of a side view, px, at most
SMALL_SIDE = 280      # px; side views stand below each other only where each has at least this
SIDE_VIEWS = 4        # persons whose side is shown, those seen longest
REACH = 1.1           # a side view shows this times what the resting body reaches from its pelvis
STILLS = 3            # frames of the film that are pictures for the page
VIEW_FRAMES = 100     # of the 3D view on the page
VIEW_PICTURE = 480    # px, longer side of the pictures behind it


@dataclass(frozen=True, eq=False)
class Actor:
    """A person in one frame. number: of the person; box (4,) px; mesh and pelvis (3,) m in the camera frame."""
    number: int
    box: np.ndarray
    mesh: Mesh
    pelvis: np.ndarray


class Film:
    """A video's pictures with the actors in each, in order, posed as they are asked for: (image, actors)."""

    def __init__(self, source: FrameSource, seen: Sightings, tracks: Sequence[Track], motions: Sequence[Motion],
                 body_model: BodyModel):
        self.source, self.seen, self.motions, self.body_model = source, seen, motions, body_model
        self.rests = [RestBody.of(motion, body_model.layer) for motion in motions]
        self.cast: list[list[tuple[int, int, np.ndarray]]] = [[] for _ in seen.boxes]  # number, frame of its motion, box
        for number, track in enumerate(tracks):
            for index, (frame, place) in enumerate(zip(track.frames.tolist(), track.indices.tolist(), strict=True)):
                self.cast[frame].append((number, index, seen.boxes[frame][place]))

    def __len__(self) -> int:
        return len(self.cast)

    def __iter__(self) -> Iterator[tuple[np.ndarray, list[Actor]]]:
        pictures = (frame.image for frame in self.source if frame.image is not None)
        for k, image in zip(range(len(self)), pictures, strict=False):  # a file that is still being written may have grown
            yield image, self.actors(k)

    def actors(self, k: int) -> list[Actor]:
        """Who is in frame `k`."""
        return [self._actor(*entry) for entry in self.cast[k]]

    def _actor(self, number: int, index: int, box: np.ndarray) -> Actor:
        motion = self.motions[number]
        vertices = motion_vertices(motion, index, self.body_model)
        return Actor(number, box, Mesh(vertices, self.body_model.faces, person_color(number)),
                     motion.translation[index] + self.rests[number].joints[0])


def draw_film(folder: Path, name: str, film: Film, camera: Camera, caster: RayCaster,
              progress: Progress = silent, compared: Film | None = None) -> tuple[dict[str, str], Scene3D | None]:
    """Write NAME.mp4 and stills of it; the stills' files by kind, and a moving 3D view of at most VIEW_FRAMES frames, or None
    where nobody is seen. `compared`, the same video in another row, is drawn to the left of it."""
    lengths = np.bincount([number for cast in film.cast for number, _, _ in cast], minlength=len(film.motions))
    shown = sorted(np.argsort(-lengths, kind='stable')[:SIDE_VIEWS].tolist())
    stills = set(np.linspace(0, len(film) - 1, 2 * STILLS + 1).round().astype(int)[1::2].tolist())
    step, moments, inputs, drawn = view_step(len(film)), [], [], []
    with VideoWriter(folder / f'{name}.mp4', film.seen.fps) as writer:
        for k, (image, actors) in enumerate(progress(film, 'drawing')):
            small, factor = shrunk(image, FILM_SIZE)
            rows = {ROW_TITLES[OURS]: actors}
            if compared is not None:
                rows = {ROW_TITLES[compared.seen.row]: compared.actors(k)} | rows
            K = np.diag([factor, factor, 1.0]) @ camera.K
            parts = [overlay(small, [actor.mesh for actor in people], K, caster) for people in rows.values()]
            if shown:
                parts.append(_side_views(film, {actor.number: actor for actor in actors}, shown, small.shape[0], caster))
            picture = side_by_side(parts) if len(parts) > 1 else parts[0]
            writer.write(picture)
            if k in stills:
                inputs.append(_with_boxes(small, actors, factor))
                drawn.append(picture)
            if k % step == 0:
                meshes = {title: [actor.mesh for actor in people if actor.mesh.in_front]
                          for title, people in reversed(rows.items())}
                moments.append(Frame3D(meshes, shrunk(image, VIEW_PICTURE)[0]))
    stills = dict(input=f'{name}_input.jpg', overlay=f'{name}_overlay.jpg')
    for file, pictures in zip(stills.values(), (inputs, drawn), strict=True):
        write_image(folder / file, cv2.vconcat(pictures))
    somebody = any(meshes for moment in moments for meshes in moment.meshes.values())
    return stills, Scene3D(moments, camera.K, camera.size, film.seen.fps / step) if somebody else None


def view_step(frames: int) -> int:
    """Every how many frames the 3D view shows one."""
    return max(1, -(-frames // VIEW_FRAMES))


def _with_boxes(image: np.ndarray, actors: Sequence[Actor], factor: float) -> np.ndarray:
    for actor in actors:
        image = draw_box(image, actor.box * factor, tuple(int(255 * part) for part in actor.mesh.color), str(actor.number))
    return image


def _side_views(film: Film, actors: dict[int, Actor], shown: Sequence[int], height: int, caster: RayCaster) -> np.ndarray:
    """The persons of `shown` in a grid of `height` px; an empty place for those who are not in the frame."""
    rows = min(max(height // SMALL_SIDE, 1), len(shown))
    size, columns = min(height // rows, SIDE_SIZE), -(-len(shown) // rows)
    grid = np.full((height, size * columns, 3), 255 * np.array(PAPER[::-1]) + 0.5, np.uint8)
    top = (height - size * rows) // 2
    for place, number in enumerate(shown):
        if number in actors:
            rest, actor = film.rests[number], actors[number]
            radius = REACH * float(np.linalg.norm(rest.vertices - rest.joints[0], axis=1).max())
            y, x = top + place // columns * size, place % columns * size
            grid[y:y + size, x:x + size] = side_view(actor.mesh, size, caster, center=actor.pelvis, radius=radius)
    return grid
