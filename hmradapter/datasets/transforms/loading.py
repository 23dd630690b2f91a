"""From a path to pixels."""
import numpy as np
from mmcv.transforms import BaseTransform

from hmradapter.datasets.images import ImageFileError, decode_image, named, read_image
from hmradapter.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Decode the image. The last one is kept, so that the two hands of a picture, neighbours in order, cost one decoding.

    Reads: img_path, img_span (offset, length) of the encoded image in that file where it is not the whole (None or absent),
    rot90 (clockwise quarter turns that the stored image wants, 0 where it is absent); img_encoded, where the bytes themselves
    came in a stream: img_path is then no more than their name.
    Adds: img (H, W, 3) uint8 BGR, read-only, img_size (2,) = (W, H).

    Args:
        exif: apply the orientation metadata. HaMeR's training ignores it, its demo applies it.
    """

    def __init__(self, exif: bool = False):
        self.exif = exif
        self._last: tuple[tuple | None, np.ndarray | None] = (None, None)

    def transform(self, results: dict) -> dict:
        path, span, turns = str(results['img_path']), results.get('img_span'), int(results.get('rot90', 0))
        if self._last[0] != (path, span, turns):
            encoded = results.get('img_encoded')
            image = (read_image(path, self.exif, span) if encoded is None
                     else decode_image(np.frombuffer(encoded, np.uint8), path, self.exif))
            image = np.ascontiguousarray(np.rot90(image, -turns))
            image.flags.writeable = False  # shared by the samples of this picture
            self._last = ((path, span, turns), image)
        image = self._last[1]
        height, width = image.shape[:2]
        expected = results.get('img_size')
        if expected is not None and (int(expected[0]), int(expected[1])) != (width, height):
            raise ImageFileError(named(path, span), f'it is {width}x{height}, but its labels were made for '
                                                    f'{int(expected[0])}x{int(expected[1])}')
        results['img'] = image
        results['img_size'] = np.float32([width, height])
        return results
