"""Whether a HumanData file's fingers are absolute or relative to the mean hand: asked of its joints, else of its numbers.

The most frequent silent mistake of the field: SMPLer-X takes the mean off for one set, SMPLest-X for others, and both read the
same files. A wrong answer bends every finger by the mean hand, centimetres at the tips, so nothing here is a guess: the file's
word, the user's word, evidence that is decisive, or a refusal with both numbers.
Source: MMHuman3D `docs/human_data.md` (misc.flat_hand_mean), SMPLer-X and SMPLest-X `humandata.py` (where they differ).
"""
from typing import NamedTuple

import numpy as np
import torch
from mmengine.logging import print_log

from hmradapter.body_models import SMPLXLayer
from hmradapter.structures.joints import HAND21_FROM_SMPLX144

from ..record import SIDES
from ..smplx_labels import pose_smplx
from .humandata import FINGERS, HumanData

DECISIVE = 2.0       # the smaller number must be smaller by this factor
SAMPLE = 1000        # persons whose numbers are compared, spread over the file
POSED = 64           # of them, those whose hands are posed
LARGEST_GAP = 0.02   # metres between posed and stored joints, beyond which neither reading fits


class Fingers(NamedTuple):
    """The answer, who gave it ('none': there are no fingers, 'option', 'misc', 'joints', 'numbers') and what the evidence says
    of either reading: metres (joints) or radians (numbers), small for the right one, None where nothing was compared."""
    absolute: bool
    source: str
    if_absolute: float | None = None
    if_relative: float | None = None


def finger_convention(data: HumanData, given: bool | None, layer: SMPLXLayer | None) -> Fingers:
    """The convention of a file.

    Args:
        given: the user's word (option `flat_hand_mean`): True absolute, False relative, None nothing.
        layer: neutral SMPL-X, without which there is no evidence.

    Raises:
        ValueError: there is no word and no decisive evidence, or the file's word and its own joints contradict each other.
    """
    if not any(name in data.params for name in FINGERS):
        return Fingers(True, 'none')
    if given is not None:
        return Fingers(bool(given), 'option')
    word = data.misc.get('flat_hand_mean')
    word = None if word is None else bool(word)
    evidence = None if layer is None else _by_joints(data, layer) or (_by_numbers(data, layer) if word is None else None)
    if word is not None:
        if evidence is not None and evidence.absolute != word:
            raise ValueError(f"{data.path} says misc['flat_hand_mean'] = {word}, but {_told(evidence)}: set flat_hand_mean to "
                             'True (fingers are absolute) or False (relative to the mean hand).')
        return Fingers(word, 'misc', *(evidence or (None,) * 4)[2:])
    if evidence is None or evidence.source == 'undecided':
        why = _told(evidence) if evidence else 'without body_model_root (smplx/SMPLX_NEUTRAL.npz) there is no evidence'
        raise ValueError(f"{data.path} does not say whether its fingers are absolute or relative to the mean hand: it has no "
                         f"misc['flat_hand_mean'], and {why}. Set flat_hand_mean to True (absolute) or False (relative).")
    print_log(f'{data.path} has no misc[\'flat_hand_mean\']; its fingers are taken as '
              f'{"absolute" if evidence.absolute else "relative to the mean hand"}, since {_told(evidence)}.', 'current')
    return evidence


def hand_means(layer: SMPLXLayer) -> np.ndarray:
    """(2, 45) of the left and the right hand, axis-angle."""
    return np.stack([getattr(layer, f'{side}_hand_mean').double().numpy() for side in SIDES])


def _told(evidence: Fingers) -> str:
    what, unit, factor = dict(joints=('posed fingers are off the stored joints by', 'mm', 1e3)).get(
        evidence.source, ('mean |pose| is', 'rad', 1))
    if evidence.source == 'joints':
        return (f'{what} {evidence.if_absolute * factor:.1f} {unit} if absolute, {evidence.if_relative * factor:.1f} {unit} if '
                'relative')
    return (f'mean |pose - mean hand| is {evidence.if_absolute:.3f} {unit} (small if absolute) and {what} '
            f'{evidence.if_relative:.3f} {unit} (small if relative)')


def _decided(source: str, if_absolute: float, if_relative: float) -> Fingers | None:
    low, high = sorted((if_absolute, if_relative))
    return Fingers(if_absolute < if_relative, source, if_absolute, if_relative) if high >= DECISIVE * low else None


def _sampled(data: HumanData, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n,) spread over the file whose fingers are finite and not all zero (which is no label), and these fingers
    (n, 2, 45); of a hand that the file lacks, zeros."""
    hands = np.stack([data.params.get(name, np.zeros((data.count, 45))) for name in FINGERS], axis=1)
    there = [i for i, name in enumerate(FINGERS) if name in data.params]
    usable = np.flatnonzero(np.isfinite(hands).all((1, 2)) & hands[:, there].any(2).all(1))
    rows = usable[np.linspace(0, len(usable) - 1, min(count, len(usable))).round().astype(int)]
    return rows, hands[rows]


def _by_numbers(data: HumanData, layer: SMPLXLayer) -> Fingers:
    """Relaxed hands are near the mean hand if absolute, near zero if relative."""
    rows, hands = _sampled(data, SAMPLE)
    there = [i for i, name in enumerate(FINGERS) if name in data.params]
    if not len(rows):
        return Fingers(True, 'numbers', 0.0, 0.0)  # all zero: no fingers are labelled, whatever they are
    from_mean = float(np.abs(hands - hand_means(layer))[:, there].mean())
    from_zero = float(np.abs(hands)[:, there].mean())
    return _decided('numbers', from_mean, from_zero) or Fingers(False, 'undecided', from_mean, from_zero)


def _by_joints(data: HumanData, layer: SMPLXLayer) -> Fingers | None:
    """Fingers posed either way against the file's own 3D joints, about the wrist; None where these do not tell."""
    needed = ('global_orient', 'body_pose', *FINGERS)
    order = [list(HAND21_FROM_SMPLX144[side]) for side in SIDES]
    if data.points_3d is None or data.body != 'smplx' or not all(name in data.params for name in needed) or \
            not data.points_3d.mask[order].all():
        return None
    rows, hands = _sampled(data, POSED)
    if not len(rows):
        return None
    stored = torch.from_numpy(data.points_3d.take(rows)[:, order, :3])                       # (n, 2, 21, 3)
    betas, shape = np.zeros((len(rows), layer.num_betas)), data.params.get('betas_neutral', data.params.get('betas'))
    if shape is not None:
        betas[:, :shape.shape[1]] = shape[rows, :layer.num_betas]
    params = dict({name: data.params[name][rows] for name in needed[:2]}, transl=np.zeros((len(rows), 3)), betas=betas)
    gaps = []
    for pose in (hands, hands + hand_means(layer)):
        both = {name: pose[:, i] for i, name in enumerate(FINGERS)}
        joints, _ = pose_smplx(layer, {name: torch.from_numpy(value) for name, value in (params | both).items()})
        posed = joints[:, order]
        gaps.append(float(((posed - posed[:, :, :1]) - (stored - stored[:, :, :1])).norm(dim=-1).nanmean()))
    evidence = _decided('joints', *gaps)
    return evidence if evidence is not None and min(gaps) < LARGEST_GAP else None
