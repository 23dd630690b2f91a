"""Heads: feature maps to parameters."""
from .attention import CrossAttention, DecoderLayer, SelfAttention
from .mano_decoder_head import MANODecoderHead

__all__ = ['CrossAttention', 'DecoderLayer', 'MANODecoderHead', 'SelfAttention']
