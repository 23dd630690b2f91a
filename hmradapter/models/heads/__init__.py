"""Heads: feature maps to parameters."""
from .attention import CrossAttention, DecoderLayer, SelfAttention
from .box_head import BoxHead
from .hand_roi import HandRoI
from .mano_decoder_head import MANODecoderHead
from .position_net import PositionNet
from .rotation_heads import BodyRotationHead, FaceHead, HandRotationHead
from .smplerx_head import HandMaps, SMPLerXHead

__all__ = ['BodyRotationHead', 'BoxHead', 'CrossAttention', 'DecoderLayer', 'FaceHead', 'HandMaps', 'HandRoI',
           'HandRotationHead', 'MANODecoderHead', 'PositionNet', 'SMPLerXHead', 'SelfAttention']
