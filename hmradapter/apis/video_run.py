"""The run over a video of people: found and read frame by frame, then followed, smoothed and drawn."""
from pathlib import Path

from hmradapter.apis.inference import make_camera
from hmradapter.apis.person_outputs import stored_scene
from hmradapter.apis.person_run import PersonRun, PersonSettings, Remaining
from hmradapter.apis.picture_outputs import read_output_picture
from hmradapter.apis.run import Progress
from hmradapter.apis.sources import FrameSource
from hmradapter.apis.video_film import Film, view_step
from hmradapter.apis.video_motion import MIN_FRAMES, Sightings, motions_of
from hmradapter.apis.video_outputs import read_video_record, write_video_outputs
from hmradapter.fileio import sha256_file
from hmradapter.visualization.report import Section


def is_video(source: FrameSource) -> bool:
    """Whether the source is one video file, not a camera or pictures."""
    return source.is_stream and source.fps is not None


class VideoRun(PersonRun):
    """One video: every person's motion through it."""
    unit = 'videos'
    header = ('person', 'frames', 'from (s)', 'to (s)', 'score', 'depth (m)')

    def __init__(self, settings: PersonSettings, source: FrameSource):
        super().__init__(settings, source)
        self.total = 1

    def _sections(self, progress: Progress) -> list[Section]:
        first = next(iter(self.source))
        if first.image is None:
            self.add_error(first.source, first.error)
            return []
        if isinstance(self.settings.bboxes, dict) and first.path.name not in self.settings.bboxes:
            self.add_error(first.source, f'the boxes file does not name it, but {sorted(self.settings.bboxes)[:4]}.')
            return []
        settings, name = self.settings, first.name.removesuffix(f'_{first.index:06d}')
        content = sha256_file(first.path)
        run = self.run_of(content, settings.bboxes, settings.smooth)
        record = None if settings.overwrite else self._reused(name, run)
        if record is None:
            record = self._make(name, run, first.path, content, first.image.shape[1::-1], progress)
        if record is None:
            return []
        self.errors += [(first.source, message) for message in record['errors']]
        self.done = int(not record['errors'])
        return [self._section(first.path.name, record)]

    def _reused(self, name: str, run: str) -> dict | None:
        """What an earlier run made, if it is complete."""
        record = read_video_record(self.out_dir, name, run)
        try:
            if record is not None:
                stored_scene(record['scene'], self.scenes)
                self.reused = 1
            return record
        except FileNotFoundError:
            return None

    def _make(self, name: str, run: str, path: Path, content: str, size: tuple[int, int], progress: Progress) -> dict | None:
        """Look at the video and write its outputs; None where nothing came of it."""
        settings, seen, errors = self.settings, Sightings(self.source.fps), {}
        base = Sightings(self.source.fps, 'combined') if settings.compare_base else None
        try:
            for result in self.results(Remaining(self.source, progress(self.source, 'frames'))):
                errors.update(dict.fromkeys(result.errors))  # a bad box is bad in every frame
                if result.frame.image is not None:
                    seen.add(result)
                    if base is not None:
                        base.add(result)
            tracks, motions = motions_of(seen, settings.smooth, self.body_model)
            compared = None if base is None else Film(
                self.source, base, *motions_of(base, settings.smooth, self.body_model), self.body_model)
            camera = make_camera(size, settings.intrinsics, settings.focal)
            return write_video_outputs(
                self.out_dir, name, self.source, seen, tracks, motions, camera, self.body_model, run, settings.formats,
                self.caster, self.scenes, progress, compared, weights=self.weights, smoothing=settings.smooth,
                errors=list(errors), frames=len(seen), fps=seen.fps, left_out=seen.left_out,
                source=dict(path=str(path), size=list(size), sha256=content))
        except KeyboardInterrupt:
            problem = f'stopped by the user after {len(seen)} frames were read.'
        except ValueError as error:  # of the detector or the network
            problem = f'the run ended after {len(seen)} frames were read: {error}'
        self.add_error(str(path), problem)
        return None

    def _section(self, title: str, record: dict) -> Section:
        what = 'experts combined, ours' if self.settings.compare_base else 'meshes'
        titles = dict(input='input', overlay=f'{what}, and each person from the side')
        figures = [self.figure(titles[kind], read_output_picture(self.out_dir, file), file)
                   for kind, file in record['pictures'].items()]
        rows = [[str(i), str(person['frames']), f'{person["start"]:.2f}', f'{person["end"]:.2f}', f'{person["score"]:.2f}',
                 f'{person["depth"]:.2f}'] for i, person in enumerate(record['persons'])]
        self._rows = [[title, *row] for row in rows]
        return Section(title, _notes_of(record), figures, [(self.header, rows)] if rows else [], record['files'],
                       scene=stored_scene(record['scene'], self.scenes))


def _notes_of(record: dict) -> list[str]:
    notes = [f'{record["frames"]} frames, {record["fps"]:.4g} a second; smoothing: {record["smoothing"].replace("_", " ")}.']
    if not record['persons']:
        notes.append(f'Nobody was followed through {MIN_FRAMES} frames.')
    if record['left_out']:
        notes.append(f'In {record["left_out"]} frames nobody was detected; the whole image was not taken instead, since in '
                     'other frames somebody was.')
    step = view_step(record['frames'])
    if record['scene'] is not None and step > 1:
        notes.append(f'The 3D view shows every {step}th frame; the animated GLB has all of them.')
    return notes
