"""Functions with a derivative of their own against torch's, in values and by finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from lrpilot.envs.tasks.micro.functions import attended, normalised, tanh, windows


def drawn(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def test_derivatives_are_those_of_finite_differences() -> None:
    weights = torch.tensor([[[0.5, 0.25, 0.25, 0.0]], [[0.1, 0.2, 0.3, 0.4]]], dtype=torch.float64)
    assert gradcheck(tanh, drawn(3, 4))
    assert gradcheck(normalised, drawn(2, 3, 4))
    assert gradcheck(lambda x: normalised(x, weights), drawn(2, 3, 4))
    for stride in (1, 2):
        assert gradcheck(lambda x, stride=stride: windows(x, stride), drawn(1, 2, 5, 2))
        assert gradcheck(lambda x, stride=stride: windows(x, stride), drawn(1, 2, 5, 4, 2))
    for heads, causal in ((1, True), (2, False), (2, True)):
        assert gradcheck(lambda x, heads=heads, causal=causal: attended(x, heads, causal), drawn(2, 3, 12))


def test_tanh_is_torchs() -> None:
    x = torch.linspace(-20, 20, 10_001)
    torch.testing.assert_close(tanh(x), torch.tanh(x), atol=2e-7, rtol=0)


def test_normalised_is_layer_and_batch_norm() -> None:
    x = drawn(2, 3, 8)
    layer = functional.layer_norm(x.mT, (3,)).mT
    torch.testing.assert_close(normalised(x), layer)
    even = torch.full((2, 1, 8), 1 / 8, dtype=torch.float64)
    batch = torch.stack([functional.batch_norm(run.mT, None, None, training=True).mT for run in x])
    torch.testing.assert_close(normalised(x, even), batch)
    half = torch.cat([2 * even[..., :4], 0 * even[..., :4]], 2)
    torch.testing.assert_close(normalised(x, half)[..., :4], normalised(x[..., :4], 2 * even[..., :4]))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [4, 5])
def test_windows_make_convolutions(size: int, stride: int) -> None:
    x, weight = drawn(2, 3, size, 7), drawn(5, 3, 3)  # (B, c, T, n) and (outputs, c, 3)
    found = torch.einsum("oj,bj...->bo...", weight.transpose(1, 2).flatten(1), windows(x, stride))
    for run in range(2):
        expected = functional.conv1d(x[run].permute(2, 0, 1), weight, padding=1, stride=stride)
        torch.testing.assert_close(found[run].permute(2, 0, 1), expected)
    picture, square = drawn(2, 3, size, size + 1, 7), drawn(5, 3, 3, 3)
    found = torch.einsum("oj,bj...->bo...", square.movedim(1, 3).flatten(1), windows(picture, stride))
    for run in range(2):
        expected = functional.conv2d(picture[run].movedim(-1, 0), square, padding=1, stride=stride)
        torch.testing.assert_close(found[run].movedim(-1, 0), expected)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attended_is_torchs_attention(heads: int, causal: bool) -> None:
    mixed = drawn(6, 5, 24)
    query, key, value = mixed.view(6, 5, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind()
    seen = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
    expected = seen.transpose(1, 2).reshape(6, 5, 8)
    torch.testing.assert_close(attended(mixed, heads, causal), expected)
