"""Videos as files; `apis.sources` reads them. Frames are (H, W, 3) uint8 BGR.

Written: H.264 in MP4 (libx264, yuv420p, index first), which browsers, phones, PowerPoint and QuickTime play. The encoder is the
ffmpeg binary that the package `imageio-ffmpeg` brings: OpenCV's wheels can only write MPEG-4 part 2 ("mp4v"), which no browser
plays.
"""
import os
import uuid
from pathlib import Path
from types import TracebackType

import imageio_ffmpeg
import numpy as np

from hmradapter.fileio.atomic import TEMP_MARK

QUALITY = 20  # libx264's crf: 0 lossless, 18 hardly to be told from it, 28 small


class VideoWriter:
    """Writes frames to an .mp4: `with VideoWriter(path, fps) as video: video.write(frame)`.

    The file appears whole when the block ends without an error, else nothing does. All frames have the size of the first; an
    odd width or height loses its last column or row, since H.264's colours come in pairs of pixels. A block without frames is
    an error."""

    def __init__(self, path: str | Path, fps: float, quality: int = QUALITY):
        if Path(path).suffix.lower() != '.mp4':
            raise ValueError(f'videos are written as .mp4, not as {Path(path).name!r}.')
        if not (np.isfinite(fps) and fps > 0):
            raise ValueError(f'fps is {fps!r}: frames per second above 0 are needed.')
        if not 0 <= quality <= 51:
            raise ValueError(f"quality is {quality!r}: libx264's crf goes from 0 (lossless) to 51.")
        self.path, self.fps, self.quality = Path(path), float(fps), quality
        self.frames = 0
        self._shape = self._encoder = None
        self._temp = self.path.with_name(f'.{self.path.stem}{TEMP_MARK}{os.getpid()}-{uuid.uuid4().hex[:8]}.mp4')

    def __enter__(self) -> 'VideoWriter':
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3) uint8 BGR."""
        if self._encoder is None:
            self._start(frame)
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f'frame {self.frames} is {frame.dtype} of shape {frame.shape}, but this video has uint8 frames of '
                             f'shape {self._shape}.')
        height, width = (side // 2 * 2 for side in frame.shape[:2])
        self._encoder.send(np.ascontiguousarray(frame[:height, :width]).tobytes())
        self.frames += 1

    def _start(self, frame: np.ndarray) -> None:
        if frame.ndim != 3 or frame.shape[2] != 3 or min(frame.shape[:2]) < 2:
            raise ValueError(f'the first frame has the shape {frame.shape}: (H, W, 3) with sides from 2 pixels on is needed.')
        self.path.parent.mkdir(parents=True, exist_ok=True)
        height, width = (side // 2 * 2 for side in frame.shape[:2])
        self._shape = frame.shape
        self._encoder = imageio_ffmpeg.write_frames(
            str(self._temp), (width, height), pix_fmt_in='bgr24', pix_fmt_out='yuv420p', fps=self.fps, codec='libx264',
            quality=None, macro_block_size=2, ffmpeg_log_level='error',
            output_params=['-crf', str(self.quality), '-movflags', '+faststart'])
        self._encoder.send(None)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self._encoder is not None:
                self._encoder.close()
            if kind is None:
                if not self.frames:
                    raise ValueError(f'no frame was written to {self.path}: a video needs at least one.')
                if not self._temp.exists() or not self._temp.stat().st_size:
                    raise OSError(f'ffmpeg did not write {self.path}: is the disk full?')
                with open(self._temp, 'rb+') as file:
                    os.fsync(file.fileno())
                os.replace(self._temp, self.path)
        finally:
            self._temp.unlink(missing_ok=True)
