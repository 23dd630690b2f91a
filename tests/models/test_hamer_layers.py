"""Backbone and decoder: the fused path against the plain one, sizes, and what learns."""
import pytest
import torch
from torch.testing import assert_close

from hmradapter.models.attention import attend
from hmradapter.models.backbones import HaMeRViT, middle_columns
from hmradapter.models.backbones.hamer_vit import DropPath
from hmradapter.models.heads import CrossAttention, MANODecoderHead, SelfAttention

VIT = dict(img_size=(64, 48), embed_dim=32, depth=2, num_heads=4)
HEAD = dict(context_dim=32, dim=24, depth=2, heads=2, head_dim=8, mlp_dim=20)


def both_paths(build, *inputs):
    """Outputs and parameter gradients of the fused and of the plain twin with equal weights."""
    results = []
    for fused in (True, False):
        torch.manual_seed(0)
        module = build(fused).double()  # in float32 the kernels' rounding alone comes near any useful limit
        given = [value.double().requires_grad_(True) for value in inputs]
        out = module(*given)
        out = torch.cat(list(out.values()), dim=-1) if isinstance(out, dict) else out
        out.square().sum().backward()
        results.append([out.detach(), *(value.grad for value in given), *(p.grad for p in module.parameters())])
    return results


@pytest.mark.parametrize('build, shapes', [
    (lambda fused: SelfAttention(24, 3, 5, fused), [(2, 7, 24)]),
    (lambda fused: SelfAttention(24, 3, 5, fused), [(2, 1, 24)]),
    (lambda fused: CrossAttention(24, 16, 3, 5, fused), [(2, 4, 24), (2, 9, 16)]),
    (lambda fused: CrossAttention(24, 16, 1, 24, fused), [(2, 1, 24), (2, 9, 16)]),
    (lambda fused: HaMeRViT(**VIT, fused=fused).eval(), [(2, 3, 64, 48)]),
    (lambda fused: MANODecoderHead(**HEAD, token='mean_shape', ief_iters=2, fused=fused), [(2, 32, 4, 3)])])
def test_fused_is_plain(build, shapes):
    inputs = [torch.randn(shape, generator=torch.Generator().manual_seed(i)) for i, shape in enumerate(shapes)]
    for fused, plain in zip(*both_paths(build, *inputs), strict=True):
        assert_close(fused, plain, rtol=1e-9, atol=1e-10)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('dtype, atol', [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
def test_fused_is_plain_on_cuda(dtype, atol):
    q, k, v = torch.randn(3, 2, 16, 192, 80, device='cuda', generator=torch.Generator('cuda').manual_seed(0))
    plain = attend(q, k, v, fused=False)
    assert_close(attend(q.to(dtype), k.to(dtype), v.to(dtype)).float(), plain, rtol=0, atol=atol)


@pytest.mark.parametrize('fused', [True, False])
def test_queries_and_keys_of_a_single_token_have_no_gradient(fused):
    attention = SelfAttention(24, 3, 8, fused)
    attention(torch.randn(5, 1, 24)).square().sum().backward()
    grad = attention.to_qkv.weight.grad
    assert (grad[:48] == 0).all() and (grad[48:] != 0).any()


def test_one_head_as_wide_as_the_tokens_has_no_output_projection():
    assert not list(SelfAttention(24, 1, 24).to_out.parameters())
    assert list(SelfAttention(24, 2, 12).to_out.parameters())


def test_vit_reads_neither_the_last_rows_nor_a_wrong_size():
    vit = HaMeRViT(**VIT).eval()
    images = torch.randn(1, 3, 64, 48)
    spoiled = images.clone()
    spoiled[..., -2:, :], spoiled[..., -2:] = 9.0, 9.0
    assert torch.equal(vit(images), vit(spoiled))  # padding 2 shifts the windows by 2 px
    assert vit(images).shape == (1, 32, 4, 3)
    with pytest.raises(ValueError, match=r'\(48, 64\).*\(64, 48\)'):
        vit(images.transpose(-1, -2))
    with pytest.raises(ValueError, match='embed_dim is 30.*num_heads.*4'):
        HaMeRViT(embed_dim=30, num_heads=4)


def test_middle_columns_are_hamers():
    images = torch.arange(256.0).expand(1, 3, 256, 256)
    seen = middle_columns(images, (256, 192))[0, 0, 0]
    assert seen[0] == 32 and seen[-1] == 223


def test_drop_path_keeps_the_mean_and_is_off_in_eval_mode():
    torch.manual_seed(0)
    drop, x = DropPath(0.4), torch.ones(20000, 1, 1)
    dropped = drop(x)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert_close(dropped.mean(), torch.tensor(1.0), rtol=0, atol=0.02)
    assert drop.eval()(x) is x
    rates = [block.drop_path.rate for block in HaMeRViT(**dict(VIT, depth=3), drop_path_rate=0.5).blocks]
    assert rates == [0.0, 0.25, 0.5]


def test_full_size_counts():
    with torch.device('meta'):
        vit, head = HaMeRViT(), MANODecoderHead()
    assert sum(p.numel() for p in vit.parameters()) == 630_912_000
    assert sum(p.numel() for p in head.parameters()) == 39_497_837
    assert head(vit(torch.empty(2, 3, 256, 192, device='meta')))['pose6d'].shape == (2, 96)


def test_error_feedback_starts_from_the_last_estimate():
    """A zero token says nothing, so every iteration adds the same residual; a mean-shape token sees the estimate."""
    torch.manual_seed(0)
    features = torch.randn(2, 32, 4, 3)
    for token, repeats in (('zero', True), ('mean_shape', False)):
        once, twice = (MANODecoderHead(**HEAD, token=token, ief_iters=n) for n in (1, 2))
        twice.load_state_dict(once.state_dict())
        first, second = once(features)['betas'], twice(features)['betas']
        assert torch.allclose(second, 2 * first, atol=1e-6) == repeats


@pytest.mark.parametrize('options, words', [(dict(token='one'), "token is 'one'.*zero"), (dict(ief_iters=0), 'ief_iters is 0')])
def test_a_wrong_option_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        MANODecoderHead(**HEAD, **options)
