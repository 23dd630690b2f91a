"""SMPL-X, SMPL and MANO layers, their index maps, and the open body model (licensed files fit in by path alone)."""
from hmradapter.body_models.index_maps import load_hand_vertex_ids
from hmradapter.body_models.mano import MANOLayer
from hmradapter.body_models.model_files import OPEN_ROOT, BodyModelFileError, require_open_body_models
from hmradapter.body_models.skinned import BodyModelOutput
from hmradapter.body_models.smpl_layer import SMPLLayer
from hmradapter.body_models.smplx_layer import SMPLXLayer

__all__ = ['OPEN_ROOT', 'BodyModelFileError', 'BodyModelOutput', 'MANOLayer', 'SMPLLayer', 'SMPLXLayer',
           'load_hand_vertex_ids', 'require_open_body_models']
