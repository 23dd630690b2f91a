"""The same arguments give the same bytes: again, by other workers, and after an interruption."""
import dataclasses
import hashlib
import json
import shutil

import cv2
import numpy as np
import pytest

from hmradapter.synthetic.generator import Recipe, generate, is_done


def hashes(root):
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob('*')) if path.is_file()}


def test_layout(tiny_recipe, tiny_arctic):
    splits = json.loads((tiny_arctic / 'splits_json' / 'protocol_p1.json').read_text())
    assert splits == tiny_recipe.split_sequences() and splits['test'] == []
    assert [name.split('/')[0] for name in splits['train'] + splits['val']] == ['s01', 's05']
    images = sorted((tiny_arctic / 'images').rglob('*.jpg'))
    assert len(images) == 2 * 2 * 3 and {path.name for path in images} == {'00010.jpg', '00011.jpg', '00012.jpg'}
    assert all(cv2.imread(str(path)).shape == (180, 240, 3) for path in images)
    assert np.abs(cv2.imread(str(images[0])).astype(int) - cv2.imread(str(images[2]))).mean() > 1  # time goes by


def test_workers_do_not_show_in_the_files(tiny_recipe, tiny_arctic, tmp_path):
    generate(tiny_recipe, tmp_path, workers=2)
    assert hashes(tmp_path) == hashes(tiny_arctic)


def test_an_interrupted_run_goes_on(tiny_recipe, tiny_arctic, tmp_path):
    out = tmp_path / 'arctic'
    shutil.copytree(tiny_arctic, out)
    first, second = (names[0] for names in list(tiny_recipe.split_sequences().values())[:2])
    partial = out / 'images' / f'{first.split("/")[0]}/.partial-{first.split("/")[1]}'
    (out / 'images' / first).rename(partial)   # killed before the images were put in place
    next(partial.rglob('*.jpg')).unlink()
    (out / 'splits_json' / 'protocol_p1.json').unlink()
    assert not is_done(out, first) and is_done(out, second)
    assert generate(tiny_recipe, out)['images'] == 6
    assert hashes(out) == hashes(tiny_arctic)
    assert generate(tiny_recipe, out)['images'] == 0


def test_the_seed_and_the_domain_matter(tiny_recipe, tiny_arctic, tmp_path):
    only_train = dict(val_subjects=0, views=(1,), frames=1)
    generate(dataclasses.replace(tiny_recipe, seed=4, **only_train), tmp_path / 'seed')
    generate(dataclasses.replace(tiny_recipe, domain='source', **only_train), tmp_path / 'source')
    template = 'meta/subject_vtemplates/s01.obj'
    assert (tmp_path / 'seed' / template).read_bytes() != (tiny_arctic / template).read_bytes()
    assert (tmp_path / 'source' / template).read_bytes() == (tiny_arctic / template).read_bytes()  # the same people
    sequence = tiny_recipe.split_sequences()['train'][0]
    thing = np.load(tmp_path / 'source' / 'raw_seqs' / f'{sequence}.object.npy')
    assert (thing[:, 6] == -10_000).all()  # nothing in their hands


@pytest.mark.parametrize('change, message', [
    (dict(domain='both'), 'choose from'), (dict(views=(0, 9)), '1..8'), (dict(frames=0), 'at least 1'),
    (dict(val_subjects=99), 'held out')])
def test_bad_recipes_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**change)


def test_a_folder_has_one_recipe(tiny_recipe, tiny_arctic, tmp_path):
    with pytest.raises(ValueError, match='seed: 3 there, 5 now'):
        generate(dataclasses.replace(tiny_recipe, seed=5), tiny_arctic)
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(ValueError, match='not empty'):
        generate(tiny_recipe, tmp_path)
