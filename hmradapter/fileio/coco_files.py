"""Annotations in COCO's form, through `xtcocotools`, which COCO-WholeBody is scored with. It is imported when it is needed: its
wheels are for Linux and Python up to 3.11, and were built against numpy 1."""
import contextlib
import io
from typing import TYPE_CHECKING

from .errors import DamagedFileError
from .json_files import load_json

if TYPE_CHECKING:
    from xtcocotools.coco import COCO


def load_coco(path) -> 'COCO':
    """The file as `xtcocotools` indexes it, all of it in memory, some 8 times its size; raises as `index_coco`, and
    FileNotFoundError when there is no such file."""
    _coco_class(path)
    return index_coco(load_json(path, 'annotations in COCO\'s form'), path)


def index_coco(content: dict, path) -> 'COCO':
    """A file's content, or a part of it, as `xtcocotools` indexes it: `imgs` and `anns` by id in the order of the file,
    `imgToAnns`.

    Raises:
        DamagedFileError: not COCO's form: an annotation without id or image, an image that no list has, an id twice.
        ImportError: without xtcocotools.
    """
    COCO = _coco_class(path)
    try:
        images, annotations = content['images'], content['annotations']
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(path), ann_data=content)
        for image in images:
            if not isinstance(image['file_name'], str) or not image['file_name']:
                raise ValueError(f'the image {image["id"]} has the file_name {image["file_name"]!r}')
        for name, listed, indexed in (('images', images, coco.imgs), ('annotations', annotations, coco.anns)):
            if len(listed) != len(indexed):
                raise ValueError(f'two {name} have one id')
        unknown = next((annotation['image_id'] for annotation in annotations if annotation['image_id'] not in coco.imgs), None)
        if unknown is not None:
            raise ValueError(f'an annotation is of the image {unknown}, which is not listed')
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(path, 'annotations in COCO\'s form', error) from error
    return coco


def _coco_class(path) -> type:
    try:
        from xtcocotools.coco import COCO
    except (ImportError, ValueError) as error:  # ValueError: a wheel of numpy 1 under numpy 2
        raise ImportError(f'{path} is read with xtcocotools, which cannot be imported ({error}): pip install '
                          '"xtcocotools==1.14.3" "numpy<2" (requirements/runtime.txt).') from error
    return COCO
