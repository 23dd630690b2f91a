"""Runs over pictures of people: a folder, a list, a camera. `video_run` has the run over a video."""
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import nn

from hmradapter.apis.detectors import WHOLE_IMAGE
from hmradapter.apis.inference import make_camera
from hmradapter.apis.inferencer import FrameResult, HMRInferencer
from hmradapter.apis.inputs import InputError, person_boxes_of
from hmradapter.apis.person_outputs import FACTS, FORMATS, ROW_TITLES, draw_persons, stored_scene, write_person_outputs
from hmradapter.apis.picture_outputs import Outputs, fingerprint, read_output_picture, reuse_outputs
from hmradapter.apis.prediction import PersonPrediction
from hmradapter.apis.run import PAGE, Progress, Run, adapter_facts
from hmradapter.apis.sources import Frame, FrameSource, open_source
from hmradapter.apis.video_motion import SMOOTHINGS
from hmradapter.evaluation.tables import text_table
from hmradapter.fileio import sha256_file
from hmradapter.models.estimators import DualPathEstimator
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.version import __version__
from hmradapter.visualization.report import Section
from hmradapter.visualization.viewer import scene_folder

HEADER = ('person', 'box (px)', 'score', 'depth (m)', 'hands seen', 'flags', 'seconds')
PAGE_PICTURES = 100  # images that the page shows with pictures and 3D views; of further ones it has tables and links
MAX_LINES = 200      # of the summary


@dataclass(frozen=True)
class PersonSettings:
    """What a user chooses; names as in tools/demo.py, bboxes as `inputs.read_person_boxes` gives them."""
    config: str
    out_dir: Path
    weights: dict = field(default_factory=dict)
    device: str = 'auto'
    cfg_options: dict = field(default_factory=dict)
    detector: str = 'auto'
    det_weights: str | None = None
    bboxes: dict[str, list] | list | None = None
    batch_size: int = 8
    focal: float | None = None
    intrinsics: np.ndarray | None = None
    compare_base: bool = False
    overwrite: bool = False
    formats: tuple[str, ...] = FORMATS
    render: bool = True
    smooth: str = SMOOTHINGS[0]

    def __post_init__(self):
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown:
            raise InputError(f'formats has {unknown}; it may hold {FORMATS}.')
        if self.smooth not in SMOOTHINGS:
            raise InputError(f'smooth is {self.smooth!r}; it must be one of {SMOOTHINGS}.')


def open_input(text: str) -> FrameSource:
    """The source of one input.

    Raises:
        InputError: there is nothing that could be read, such as a folder without images.
    """
    source = open_source(text)
    if source.is_stream or len(source) != 1:
        return source
    frame = next(iter(source))
    if frame.path is None:
        raise InputError(frame.error if frame.source in frame.error else f'{frame.source}: {frame.error}')
    return source


class Remaining(FrameSource):
    """Of a source those frames that are still to be done, as `frames` hands them over."""

    def __init__(self, source: FrameSource, frames: Iterable[Frame], is_done: Callable[[Frame], bool] = lambda frame: False):
        super().__init__(())
        self.is_stream, self.fps = source.is_stream, source.fps
        self._frames, self._is_done = frames, is_done

    def __iter__(self) -> Iterator[Frame]:
        return (frame for frame in self._frames if not self._is_done(frame))


class PersonRun(Run):
    """What runs over pictures and over videos share: the model, its provenance, the page's first lines."""
    title = 'People'

    def __init__(self, settings: PersonSettings, source: FrameSource):
        super().__init__(settings.out_dir)
        make_camera((100, 100), settings.intrinsics, settings.focal)  # tells now, not at every picture
        self.settings, self.source = settings, source
        self.inferencer = HMRInferencer(
            settings.config, settings.weights, settings.device, settings.detector, settings.det_weights,
            ('combined',) if settings.compare_base else (), settings.batch_size, settings.cfg_options)
        self.model, self.body_model = self.inferencer.model, self.inferencer.body_model
        self.adapted = [name for name, part in self._experts().items() if part.adapter is not None]
        if settings.compare_base and not self.adapted:
            raise InputError('--compare-base needs an adapter to compare with: name one by --weights.')
        self.caster = RayCaster('auto' if settings.device == 'auto' else settings.device) if settings.render else None
        self.weights = self._weights()
        self.scenes = scene_folder(self.out_dir / PAGE)
        self._rows: list[list[str]] = []

    def summary(self) -> list[str]:
        """The table of all persons as lines of text, the first MAX_LINES."""
        if not self._rows:
            return []
        more = len(self._rows) - MAX_LINES
        lines = text_table((self.unit[:-1], *self.header), self._rows[:MAX_LINES]).splitlines()
        return lines + ([f'and {more} more, see the page'] if more > 0 else [])

    def results(self, source: FrameSource) -> Iterator[FrameResult]:
        """What the model says of the frames of a source."""
        settings = self.settings
        return self.inferencer(source, settings.bboxes, settings.intrinsics, settings.focal)

    def run_of(self, content: str, boxes, *options) -> str:
        """Fingerprint of everything that decides what is written for a picture or a video with this sha256."""
        settings = self.settings
        finder = [settings.detector, settings.det_weights and sha256_file(settings.det_weights)] if boxes is None else boxes
        return fingerprint(__version__, self.weights, self.model.cfg.model, self.model.cfg.test_dataloader.dataset.pipeline,
                           content, finder, settings.focal, settings.intrinsics, settings.compare_base, settings.formats,
                           settings.render, *options)

    def add_error(self, source: str, message: str) -> None:
        """Note what could not be used."""
        self.errors.append((source, message))

    def _experts(self) -> dict[str, nn.Module]:
        if isinstance(self.model, DualPathEstimator):
            return dict(body=self.model.body, hand=self.model.hand)
        return dict(body=self.model)

    def _weights(self) -> dict:
        found = dict(config=str(self.model.cfg.filename), body_model=self.body_model.sha256)
        whole = not isinstance(self.model, DualPathEstimator)
        for name, expert in self._experts().items():
            options = self.model.cfg.model if whole else self.model.cfg.model[name]
            found[name] = dict(base_hash=expert.base_hash, **adapter_facts(expert, options.get('adapter_file')))
        return found

    def _notes(self) -> list[str]:
        settings, parts = self.settings, []
        for name in self._experts():
            facts = self.weights[name]
            parts.append(f'{name} expert {facts["base_hash"][:12]} with adapter {facts.get("adapter", "none")}')
        camera = 'given by the user' if settings.intrinsics is not None or settings.focal is not None else (
            'assumed (focal length 5000 / 256 of the longer side): depths are not metric')
        people = 'given by the user' if settings.bboxes is not None else f'found by the detector {settings.detector!r}'
        return [f'{self.done} of {self.total} {self.unit}. Config {self.weights["config"]}; {"; ".join(parts)}.',
                f'Boxes of persons: {people}. Camera: {camera}.']


class _Task(NamedTuple):
    """A picture that waits for its result: fingerprint, sha256 of the picture, whether the page shows it."""
    run: str
    content: str
    on_page: bool


class PictureRun(PersonRun):
    """One picture after the other, also those of a camera, until it ends or Ctrl-C is pressed."""
    header = HEADER

    def __init__(self, settings: PersonSettings, source: FrameSource):
        super().__init__(settings, source)
        self._parts: dict[str, Section | None] = {}  # by the picture's name, in order
        self._cells: dict[str, list[list[str]]] = {}
        self._tasks: dict[str, _Task] = {}
        self._known: set[str] = set()

    def _sections(self, progress: Progress) -> list[Section]:
        remaining = Remaining(self.source, progress(self.source, 'images'), self._is_done)
        stopped = None
        try:
            for result in self.results(remaining):
                self._finish(result)
        except KeyboardInterrupt:
            camera = self.source.is_stream and self.source.fps is None
            stopped = None if camera else f'stopped by the user after {self.done} images.'
        except ValueError as error:  # of the detector or the network: not of one picture
            stopped = f'the run ended here: {error}'
        if stopped:
            self.add_error('run', stopped)
        elif isinstance(self.settings.bboxes, dict):
            self.errors += [(name, 'is in the boxes file, but not among the images.') for name in self.settings.bboxes
                            if name not in self._known]
        self._rows = [row for name in self._parts for row in self._cells.get(name, [])]
        return [section for section in self._parts.values() if section is not None]

    def _is_done(self, frame: Frame) -> bool:
        """Take note of a picture; whether an earlier run did it."""
        self.total += 1
        self._parts[frame.name] = None
        self._known.add(_box_key(frame))
        if frame.image is None:
            return False
        settings, boxes, errors = self.settings, None, []
        if settings.bboxes is not None:
            boxes, errors = person_boxes_of(settings.bboxes, _box_key(frame), frame.image.shape[1::-1])
        content = hashlib.sha256(frame.image.tobytes()).hexdigest() if frame.path is None or frame.time is not None else (
            sha256_file(frame.path))
        on_page = len(self._parts) <= PAGE_PICTURES
        task = _Task(self.run_of(content, boxes, on_page), content, on_page)
        outputs = None if settings.overwrite else reuse_outputs(self.out_dir, frame.name, task.run, self.body_model, FACTS)
        if outputs is not None and self._add_part(frame, outputs, on_page):
            self._count(frame, errors)
            self.reused += 1
            return True
        self._tasks[frame.name] = task
        return False

    def _finish(self, result: FrameResult) -> None:
        frame, task = result.frame, self._tasks.pop(result.frame.name, None)
        if task is not None and (result.persons or not result.errors):
            outputs = write_person_outputs(
                self.out_dir, frame.name, result, self.body_model, task.run, self.settings.formats, self.caster,
                self.scenes if task.on_page and self.settings.render else None, weights=self.weights,
                source=dict(path=frame.source, size=list(frame.image.shape[1::-1]), sha256=task.content, time=frame.time))
            self._add_part(frame, outputs, task.on_page)
        self._count(frame, result.errors)

    def _count(self, frame: Frame, errors: Sequence[str]) -> None:
        self.errors += [(frame.source, message) for message in errors]
        self.done += not errors

    def _add_part(self, frame: Frame, outputs: Outputs, on_page: bool) -> bool:
        """The picture's part of the page; False where a file of its 3D view is gone."""
        try:
            scene = stored_scene(outputs.facts['scene'], self.scenes)
        except FileNotFoundError:
            return False
        title = frame.path.name if frame.path is not None and frame.time is None else frame.name
        rows = [[str(i), *_row(person, outputs)] for i, person in enumerate(outputs.predictions)]
        self._cells[frame.name] = [[title, *row] for row in rows]
        figures = self._figures(frame, outputs) if on_page and self.caster is not None else []
        self._parts[frame.name] = Section(title, _picture_notes(outputs), figures, [(HEADER, rows)] if rows else [],
                                          outputs.files, scene=scene)
        return True

    def _figures(self, frame: Frame, outputs: Outputs) -> list:
        figures = [self.figure('input', draw_persons(frame.image, outputs.predictions))]
        for kind, ending in (('overlay', ''), ('side', ' from the side')):
            for row in ('combined', 'ours'):
                file = outputs.pictures.get(kind if row == 'ours' else f'{row}_{kind}')
                if file is not None:
                    figures.append(self.figure(ROW_TITLES[row] + ending, read_output_picture(self.out_dir, file), file,
                                               small=kind == 'side'))
        return figures


def _box_key(frame: Frame) -> str:
    """The name by which a boxes file knows the picture."""
    return frame.path.name if frame.path else frame.name


def _row(person: PersonPrediction, outputs: Outputs) -> list[str]:
    box = ', '.join(f'{value:.0f}' for value in person.box_xyxy)
    depth = 'behind the camera' if 'behind_camera' in person.flags else f'{person.translation[2]:.2f}'
    hands = [side for side in ('left', 'right') if f'{side}_hand_missing' not in person.flags]
    flags = [flag.replace('_', ' ') for flag in person.flags if not flag.endswith('_hand_missing') and flag != 'behind_camera']
    seconds = outputs.facts['timings']['predict'] / len(outputs.predictions)
    return [box, f'{person.score:.2f}', depth, ' and '.join(hands) or 'none', ', '.join(flags) or '-', f'{seconds:.2f}']


def _picture_notes(outputs: Outputs) -> list[str]:
    if not outputs.predictions:
        return ['No person was given for this image.' if outputs.facts['boxes_from'] == 'given' else 'Nobody was detected.']
    if any(WHOLE_IMAGE in person.flags for person in outputs.predictions):
        return ['Nobody was detected: the whole image was taken as the box of one person.']
    return []
