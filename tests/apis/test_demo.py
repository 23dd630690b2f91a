"""tools/demo.py from the command line's point of view: outputs, resuming, and every kind of bad input."""
import importlib.util
import json
import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmradapter.apis import load_prediction
from hmradapter.apis.inputs import InputError, output_names, read_picture
from hmradapter.visualization.mesh_files import read_mesh, viewer_vertices

TOOL = Path(__file__).parents[2] / 'tools' / 'demo.py'
spec = importlib.util.spec_from_file_location('demo', TOOL)
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)

ENTRY = dict(xyxy=[60, 50, 140, 150], hand='right')


@pytest.fixture
def folder(tmp_path, picture):
    (tmp_path / 'in').mkdir()
    for name in ('a.jpg', 'b.png'):
        cv2.imwrite(str(tmp_path / 'in' / name), picture)
    return tmp_path / 'in'


@pytest.fixture
def run(weights, tmp_path, capsys):
    """Run the tool; returns (exit status, stdout, stderr)."""
    def call(source, *arguments, boxes=None, adapter=False):
        if boxes is not None:
            (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
            arguments = ('--bboxes', tmp_path / 'boxes.json', *arguments)
        if adapter:
            arguments = ('--adapter', weights.adapter, *arguments)
        status = demo.main([str(source), '--config', weights.config, '--checkpoint', weights.expert, '--out-dir',
                            str(tmp_path / 'out'), '--device', 'cpu', *map(str, arguments), '--cfg-options',
                            *(f'{key}={value}' for key, value in weights.options.items())])
        output = capsys.readouterr()
        return status, output.out, output.err
    return call


def test_a_folder_becomes_meshes_parameters_pictures_and_one_page(run, folder, tmp_path, hand_model, body):
    boxes = {'a.jpg': [ENTRY, dict(xyxy=[150, 40, 250, 120], hand='left', body_pose=body.tolist())], 'b.png': [ENTRY]}
    status, out, err = run(folder, '--compare-base', boxes=boxes, adapter=True)
    assert status == 0, err
    output = tmp_path / 'out'
    names = {path.name for path in output.iterdir()}
    assert {'index.html', 'a.json', 'a.npz', 'a_overlay.jpg', 'a_side.jpg', 'a_base_overlay.jpg', 'a_0_right.obj',
            'a_0_right.glb', 'a_1_left.obj', 'a_1_left.glb', 'b.json', 'b_0_right.glb'} <= names
    hands = load_prediction(output / 'a.json', hand_model)
    assert [hand.guided for hand in hands] == [False, True]
    for i, hand in enumerate(hands):
        for kind in ('obj', 'glb'):
            mesh = read_mesh(output / f'a_{i}_{hand.hand}.{kind}')
            np.testing.assert_array_equal(np.float32(mesh.vertices), viewer_vertices(hand.vertices_camera))
    page = (output / 'index.html').read_text()
    assert page.count('<section') == 2 and 'base + adapter' in page
    links = re.findall(r'href="([^"]+)"', page)
    assert links and all((output / link).is_file() for link in links)
    assert not re.search(r'(src|href)="(?!data:image/|[\w%.\-]+")', page)
    assert 'a.jpg' in out and 'against base' in out and '2 of 2 images done' in out


def test_running_again_does_only_what_changed(run, folder, tmp_path):
    boxes = {'a.jpg': [ENTRY], 'b.png': [ENTRY]}
    assert run(folder, boxes=boxes)[0] == 0
    output = tmp_path / 'out'
    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    first_page = (output / 'index.html').read_text()
    status, out, _ = run(folder, boxes=boxes)
    assert status == 0 and '(2 unchanged)' in out
    after = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    assert all(after[name] == before[name] for name in before if name != 'index.html')
    assert (output / 'index.html').read_text() == first_page

    boxes['a.jpg'] = [dict(ENTRY, hand='left')]
    (output / 'b_overlay.jpg').unlink()
    assert '(0 unchanged)' in run(folder, boxes=boxes)[1]
    names = {path.name for path in output.iterdir()}
    assert 'a_0_left.obj' in names and 'a_0_right.obj' not in names and 'b_overlay.jpg' in names
    assert '(0 unchanged)' in run(folder, '--overwrite', boxes=boxes)[1]
    assert '(2 unchanged)' in run(folder, boxes=boxes)[1]


def test_bad_files_and_boxes_are_named_and_the_rest_goes_on(run, folder, tmp_path):
    jpeg = (folder / 'a.jpg').read_bytes()
    (folder / 'cut.jpg').write_bytes(jpeg[:len(jpeg) // 2])
    (folder / 'text.png').write_text('hello')
    (folder / 'void.jpg').write_bytes(b'')
    cv2.imwrite(str(folder / 'dot.png'), np.zeros((1, 1, 3), np.uint8))
    (folder / 'notes.txt').write_text('ignored')
    nan = float('nan')
    boxes = {'a.jpg': [ENTRY, dict(xyxy=[5, 5, 5, 9]), dict(xyxy=[400, 0, 500, 9]), dict(xyxy=[nan, 0, 1, 1])],
             'b.png': [dict(xyxy=[1, 2, 3]), dict(ENTRY, hand='third'), dict(ENTRY, sid='left'), dict(hand='left'), 7,
                       dict(ENTRY, body_pose=[[0, 0, 0]])],
             'cut.jpg': [ENTRY], 'text.png': [ENTRY], 'void.jpg': [ENTRY], 'dot.png': [ENTRY], 'absent.jpg': [ENTRY]}
    status, out, err = run(folder, boxes=boxes)
    assert status == 1
    for message in ('absent.jpg: is in the boxes file, but not among the images', 'a.jpg, hand 1: box [5, 5, 5, 9] is empty',
                    'a.jpg, hand 2: box [400, 0, 500, 9] lies outside', 'a.jpg, hand 3: box [nan, 0, 1, 1] is not four finite',
                    'b.png, hand 0: box [1, 2, 3] is not four finite', "b.png, hand 1: \"hand\" is 'third'",
                    "b.png, hand 2: it has unknown fields ['sid']", 'b.png, hand 3: it has no "xyxy"',
                    'b.png, hand 4: it is int',
                    'b.png, hand 5: "body_pose" must be 22', 'cut.jpg: it is no usable image',
                    'text.png: it is no usable image', 'void.jpg: it is no usable image', 'dot.png: it has 1 x 1 pixels'):
        assert message in err, message
    assert 'notes.txt' not in err
    assert (tmp_path / 'out' / 'a.json').is_file() and not (tmp_path / 'out' / 'b.json').exists()
    assert 'Could not be used' in (tmp_path / 'out' / 'index.html').read_text()
    assert '14 errors' in out


def test_without_boxes_the_whole_image_is_the_box_and_this_is_said(run, folder, tmp_path, hand_model):
    status, out, _ = run(folder / 'a.jpg', '--hand', 'left')
    assert status == 0 and 'the whole image' in out
    hand, = load_prediction(tmp_path / 'out' / 'a.json', hand_model)
    assert hand.hand == 'left' and hand.box_xyxy.tolist() == [0, 0, 319, 239]
    assert 'No box was given' in (tmp_path / 'out' / 'index.html').read_text()


def test_box_camera_and_body_on_the_command_line(run, folder, tmp_path, hand_model, body):
    np.save(tmp_path / 'body.npy', body)
    status, _, err = run(folder / 'a.jpg', '--bboxes', '60,50,140,150', '--hand', 'right', '--intrinsics', '500,510,150,110',
                         '--body-pose', tmp_path / 'body.npy', adapter=True)
    assert status == 0, err
    hand, = load_prediction(tmp_path / 'out' / 'a.json', hand_model)
    assert hand.guided and hand.camera.K.tolist() == [[500, 0, 150], [0, 510, 110], [0, 0, 1]]


@pytest.mark.parametrize('arguments, message', [
    (['nowhere'], 'nowhere does not exist'), (['{empty}'], 'holds no image'),
    (['{image}', '--bboxes', '1,2,3'], 'four numbers'), (['{image}', '--bboxes', 'no.json'], 'no.json does not exist'),
    (['{image}', '--bboxes', '{broken}'], 'is no JSON file'),
    (['{image}', '--bboxes', '{list}'], 'must be {image name'),
    (['{image}', '--body-pose', 'x.txt'], 'a body pose is read from'),
    (['{image}', '--intrinsics', '1,2'], 'fx,fy,cx,cy'), (['{image}', '--focal', '-3'], 'positive'),
    (['{image}', '--compare-base'], 'needs an adapter'), (['{image}', '--adapter', 'gone.safetensors'], 'gone.safetensors'),
    (['{image}', '--device', 'abacus'], "device 'abacus'")])
def test_what_stops_the_whole_run_is_one_clear_line(run, folder, tmp_path, arguments, message):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'broken.json').write_text('{"a": ')
    (tmp_path / 'list.json').write_text('[1, 2]')
    places = dict(empty=tmp_path / 'empty', image=folder / 'a.jpg', broken=tmp_path / 'broken.json',
                  list=tmp_path / 'list.json')
    status, _, err = run(*(argument.format(**places) for argument in arguments))
    assert status == 2 and message in err and 'Traceback' not in err


def test_pictures_of_every_kind_are_read_as_three_channels(tmp_path, picture):
    cv2.imwrite(str(tmp_path / 'grey.png'), picture[..., 0])
    cv2.imwrite(str(tmp_path / 'deep.png'), picture.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / 'alpha.png'), np.dstack([picture, np.full(picture.shape[:2], 128, np.uint8)]))
    cv2.imwrite(str(tmp_path / 'old.bmp'), picture)
    for name in ('grey.png', 'deep.png', 'alpha.png', 'old.bmp'):
        read = read_picture(tmp_path / name)
        assert read.shape == picture.shape and read.dtype == np.uint8
    np.testing.assert_array_equal(read_picture(tmp_path / 'alpha.png'), picture)
    np.testing.assert_array_equal(read_picture(tmp_path / 'deep.png'), picture)
    (tmp_path / 'odd.bmp').write_text('nothing')
    with pytest.raises(InputError, match='cannot decode'):
        read_picture(tmp_path / 'odd.bmp')


def test_orientation_metadata_is_applied(tmp_path, picture):
    jpeg = cv2.imencode('.jpg', picture)[1].tobytes()
    tiff = b'MM\x00*' + struct.pack('>IHHHIHHI', 8, 1, 0x0112, 3, 1, 6, 0, 0)  # orientation 6: turn right
    metadata = b'\xff\xe1' + struct.pack('>H', len(tiff) + 8) + b'Exif\x00\x00' + tiff
    (tmp_path / 'turned.jpg').write_bytes(jpeg[:2] + metadata + jpeg[2:])
    assert read_picture(tmp_path / 'turned.jpg').shape == (320, 240, 3)


def test_images_that_share_a_stem_keep_apart():
    names = output_names([Path('x/a.jpg'), Path('x/a.png'), Path('x/b.jpg')])
    assert sorted(names.values()) == ['a_jpg', 'a_png', 'b']
