"""Low-rank updates of an expert's linear layers (LoRA, Hu et al., ICLR 2022) through the `peft` library: beyond the paper."""
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from hmradapter.registry import ADAPTERS

from ..heads.attention import DecoderLayer
from ..heads.rotation_heads import BodyRotationHead
from ..heads.smplerx_head import HandMaps
from .adapter import Adapter

# Linear layers of the pieces that an adapter stands in for: attention, or where the body's regressor has none, all of it.
PLACES = dict(decoder=r'head\.(layers\.\d+\.(self|cross)_attn\.to_(q|kv|qkv|out)|body_rotation\.(project|to_root|to_body))',
              backbone=r'backbone\.blocks\.\d+\.self_attn\.to_(qkv|out)')
NAME = 'default'  # of our updates within peft's layers


@ADAPTERS.register_module()
class LoRAAdapter(Adapter):
    """Weights W of the expert act as W + alpha / rank B A while the adapter runs a piece, and as W everywhere else.

    peft builds the layers, and would leave them in the expert's place. Here they wait outside and are put in for the time of a
    piece only: the expert keeps its names, its hash and, without its adapter, its results. B starts at zero, so training starts
    at the expert.

    Args:
        places: which layers, of PLACES: 'decoder' (the hand's attention layers, the body's regressor), 'backbone' (attention).
        rank: of the updates.
        alpha: their scale is alpha / rank.
    """

    def __init__(self, places: Sequence[str] = ('decoder',), rank: int = 16, alpha: float = 16):
        super().__init__()
        unknown = sorted(set(places) - set(PLACES))
        if unknown or not places:
            raise ValueError(f'places is {tuple(places)}; it must name some of {sorted(PLACES)}.')
        self.places, self.rank, self.alpha = tuple(places), rank, alpha
        self.in_backbone = 'backbone' in places
        self.updates = nn.ModuleDict()
        self.stand_ins: list[tuple[nn.Module, str, nn.Module]] = []  # (owner, name, peft's layer), no modules of this one

    def init_from(self, expert: nn.Module) -> None:
        """Let peft make its layers, take them out again, and keep what learns."""
        from peft import LoraConfig, inject_adapter_in_model  # takes five seconds, which others need not wait for
        parts = nn.ModuleDict(dict(backbone=expert.backbone, head=expert.head))
        wanted = re.compile('|'.join(PLACES[place] for place in self.places))
        names = [name for name, module in parts.named_modules() if isinstance(module, nn.Linear) and wanted.fullmatch(name)]
        learns = [(parameter, parameter.requires_grad) for parameter in parts.parameters()]
        inject_adapter_in_model(LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=names), parts, NAME)
        for parameter, flag in learns:  # peft freezes all but its own
            parameter.requires_grad_(flag)
        for name in names:
            owner, layer = parts.get_submodule(name.rpartition('.')[0]), parts.get_submodule(name)
            self.stand_ins.append((owner, name.rpartition('.')[2], layer))
            self.updates[name.replace('.', '/')] = nn.ModuleDict(dict(A=layer.lora_A[NAME], B=layer.lora_B[NAME]))
            setattr(owner, name.rpartition('.')[2], layer.base_layer)

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """The expert with the updated layers in place."""
        for owner, name, layer in self.stand_ins:
            setattr(owner, name, layer)
        try:
            yield
        finally:
            for owner, name, layer in self.stand_ins:
                setattr(owner, name, layer.base_layer)

    def see(self, backbone: nn.Module, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The backbone on images (B, 3, H, W)."""
        with self.standing_in():
            return backbone(images)

    def decode(self, index: int, layer: DecoderLayer, tokens: Tensor, context: Tensor, guidance: None) -> Tensor:
        """The layer: tokens (B, T, D) -> (B, T, D)."""
        with self.standing_in():
            return layer(tokens, context)

    def regress(self, regressor: BodyRotationHead, tokens: Tensor, positions: Tensor, hands: HandMaps,
                guidance: Mapping[str, Tensor] | None) -> Tensor:
        """The regressor: pose6d (B, 132)."""
        with self.standing_in():
            return regressor(tokens, positions)
