"""A run over images whose hands are given by boxes."""
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hmradapter.apis.hand_mesh import HandModel
from hmradapter.apis.hand_outputs import draw_hands, write_hand_outputs
from hmradapter.apis.inference import adapter_off, check_box, infer_hands, make_camera
from hmradapter.apis.inputs import HandRequest, InputError, output_names, read_picture, request_of
from hmradapter.apis.loading import init_model
from hmradapter.apis.picture_outputs import Outputs, fingerprint, read_output_picture, reuse_outputs
from hmradapter.apis.prediction import HandPrediction
from hmradapter.apis.run import Progress, Run, adapter_facts
from hmradapter.evaluation.errors import pve_mm, rotation_error_deg
from hmradapter.evaluation.tables import text_table
from hmradapter.fileio import sha256_file
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.version import __version__
from hmradapter.visualization.report import Section

HEADER = ('hand', 'side', 'box (px)', 'depth (m)', 'position (m)', 'guided by a body')
COMPARED = ('against base: vertices (mm)', 'wrist (deg)')


@dataclass(frozen=True)
class HandSettings:
    """What a user chooses; names as in tools/demo.py."""
    config: str
    out_dir: Path
    checkpoint: str | None = None
    adapter: str | None = None
    device: str = 'auto'
    cfg_options: dict = field(default_factory=dict)
    batch_size: int = 16
    focal: float | None = None
    intrinsics: np.ndarray | None = None
    compare_base: bool = False
    overwrite: bool = False
    default_hand: str = 'auto'
    default_body: np.ndarray | None = None


class HandRun(Run):
    """Holds the model and does one image after the other.

    Args:
        images: paths.
        requests: hands to look at in every image, or lists by image name as `inputs.read_requests` gives them.
    """
    title = 'Hands'

    def __init__(self, settings: HandSettings, images: Sequence[Path], requests: dict[str, list] | Sequence[HandRequest]):
        super().__init__(settings.out_dir)
        self.settings, self.images, self.requests, self.total = settings, images, requests, len(images)
        self.model = init_model(settings.config, settings.checkpoint, settings.adapter, settings.device, settings.cfg_options)
        if self.model.body_model is None:
            raise InputError(f'{settings.config} has no body_model, without which there are no meshes.')
        if settings.compare_base and self.model.adapter is None:
            raise InputError('--compare-base needs an adapter to compare with: give --adapter.')
        make_camera((100, 100), settings.intrinsics, settings.focal)  # tells now, not at every image
        self.hand_model = HandModel.of(self.model.body_model)
        self.caster = RayCaster('auto' if settings.device == 'auto' else settings.device)
        self.weights = dict(config=str(self.model.cfg.filename), base_hash=self.model.base_hash,
                            body_model=self.hand_model.sha256,
                            **adapter_facts(self.model, settings.adapter or self.model.cfg.model.get('adapter_file')))
        self._rows: list[list[str]] = []

    def _sections(self, progress: Progress) -> list[Section]:
        sections, names = [], output_names(self.images)
        if isinstance(self.requests, dict):
            known = {image.name for image in self.images}
            self.errors += [(name, 'is in the boxes file, but not among the images.') for name in self.requests
                            if name not in known]
        for image in progress(self.images, 'images'):
            try:
                sections.append(self._image(image, names[image], self.requests))
            except ValueError as error:
                self.errors.append((str(image), str(error)))
        return [section for section in sections if section is not None]

    def summary(self) -> list[str]:
        """The table of all hands as lines of text."""
        if not self._rows:
            return []
        return text_table(('image', *HEADER, *(COMPARED if self.settings.compare_base else ())), self._rows).splitlines()

    def _image(self, path: Path, name: str, requests: dict[str, list] | Sequence[HandRequest]) -> Section | None:
        settings = self.settings
        image = read_picture(path)
        size = (image.shape[1], image.shape[0])
        hands, notes, failed = self._hands(path, size, requests)
        if failed and not hands:
            return None
        camera = make_camera(size, settings.intrinsics, settings.focal)
        image_hash = sha256_file(path)
        run = fingerprint(__version__, self.weights, image_hash, [vars(hand) for hand in hands], camera.K,
                          settings.compare_base)
        outputs = None if settings.overwrite else reuse_outputs(settings.out_dir, name, run, self.hand_model, ('compared',))
        self.reused += outputs is not None
        if outputs is None:
            predictions, base = self._predict(image, hands)
            outputs = write_hand_outputs(
                settings.out_dir, name, image, predictions, camera, self.hand_model, self.caster, run, base,
                compared=[] if base is None else [_comparison(*pair) for pair in zip(predictions, base, strict=True)],
                source=dict(path=str(path), size=list(size), sha256=image_hash), weights=self.weights)
        self.done += not failed
        return self._section(path, image, outputs, notes)

    def _hands(self, path: Path, size: tuple[int, int],
               requests: dict[str, list] | Sequence[HandRequest]) -> tuple[list[HandRequest], list[str], int]:
        """The hands of one image with boxes that fit it, notes about them, and how many could not be used."""
        listed = requests.get(path.name, []) if isinstance(requests, dict) else list(requests)
        hands, failed = [], 0
        for i, entry in enumerate(listed):
            try:
                request = entry if isinstance(entry, HandRequest) else request_of(entry, self.settings.default_hand,
                                                                                  self.settings.default_body)
                box = (0, 0, size[0] - 1, size[1] - 1) if request.xyxy is None else request.xyxy
                hands.append(replace(request, xyxy=check_box(box, size)))
            except ValueError as error:
                failed += 1
                self.errors.append((f'{path}, hand {i}', str(error)))
        notes = [] if listed else ['The boxes file lists no hand for this image.']
        if any(isinstance(entry, HandRequest) and entry.xyxy is None for entry in listed):
            notes.append('No box was given: the whole image was taken as the box of one hand.')
        return hands, notes, failed

    def _predict(self, image: np.ndarray,
                 hands: list[HandRequest]) -> tuple[list[HandPrediction], list[HandPrediction] | None]:
        """Predictions, and for a comparison those of the base, on the same sides also where they were chosen."""
        boxes, bodies = [hand.xyxy for hand in hands], [hand.body_pose for hand in hands]
        options = dict(intrinsics=self.settings.intrinsics, focal=self.settings.focal, batch_size=self.settings.batch_size,
                       hand_model=self.hand_model)
        predictions = infer_hands(self.model, image, boxes, [hand.hand for hand in hands], bodies, **options)
        if not self.settings.compare_base:
            return predictions, None
        with adapter_off(self.model):
            return predictions, infer_hands(self.model, image, boxes, [found.hand for found in predictions], bodies, **options)

    def _section(self, path: Path, image: np.ndarray, outputs: Outputs, notes: list[str]) -> Section:
        folder = self.settings.out_dir
        figures = [self.figure('input', draw_hands(image, outputs.predictions))]
        what = 'base + adapter' if self.model.adapter is not None else 'prediction'
        titles = dict(base_overlay='base', overlay=what, base_side='base from the side', side=f'{what} from the side')
        for kind, title in titles.items():
            if kind in outputs.pictures:
                file = outputs.pictures[kind]
                figures.append(self.figure(title, read_output_picture(folder, file), file, small='side' in kind))
        rows = [[str(i), *_cells(prediction)] for i, prediction in enumerate(outputs.predictions)]
        if self.settings.compare_base:
            rows = [row + [f'{value:.1f}' for value in pair] for row, pair in zip(rows, outputs.facts['compared'], strict=True)]
        self._rows += [[path.name, *row] for row in rows]
        header = [*HEADER, *(COMPARED if self.settings.compare_base else ())]
        return Section(path.name, notes, figures, [(header, rows)] if rows else [], outputs.files)

    def _notes(self) -> list[str]:
        settings = self.settings
        camera = 'given by the user' if settings.intrinsics is not None or settings.focal is not None else (
            'assumed (focal length 5000 / 256 of the longer side): depths are not metric')
        return [f'{self.done} of {self.total} images. Config {self.weights["config"]}, base {self.weights["base_hash"][:12]}, '
                f'adapter {self.weights.get("adapter", "none")}. Camera: {camera}.']


def _cells(prediction: HandPrediction) -> list[str]:
    side = prediction.hand + ('' if prediction.side_given else ' (chosen)')
    box = ', '.join(f'{value:.0f}' for value in prediction.box_xyxy)
    position = ', '.join(f'{value:.3f}' for value in prediction.translation)
    depth = 'behind the camera' if 'behind_camera' in prediction.flags else f'{prediction.translation[2]:.2f}'
    return [side, box, depth, position, 'yes' if prediction.guided else 'no']


def _comparison(adapted: HandPrediction, base: HandPrediction) -> list[float]:
    """How far the adapter moved the hand: wrist-aligned mean vertex distance (mm) and wrist rotation (degrees)."""
    vertices = pve_mm(adapted.vertices, base.vertices, adapted.keypoints_3d[0], base.keypoints_3d[0])
    return [float(vertices), float(rotation_error_deg(adapted.global_orient, base.global_orient))]
