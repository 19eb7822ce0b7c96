"""The cell's pool against PyTorch's own, in values and derivatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from spaces.average_pool import average


def reference(images: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return images.contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
def test_values_are_those_of_the_pool(count: int, channels: int, height: int, width: int) -> None:
    images = drawn(count, channels, height, width)
    torch.testing.assert_close(average(images), reference(images), rtol=1e-13, atol=1e-13)


def test_float32_and_layout_stay() -> None:
    images = drawn(4, 16, 8, 8, dtype=torch.float32)
    found = average(images)
    torch.testing.assert_close(found, reference(images), rtol=1e-5, atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_derivatives(times: int) -> None:
    images = drawn(2, 3, 4, 5).requires_grad_()
    check = torch.autograd.gradcheck if times == 1 else torch.autograd.gradgradcheck
    assert check(average, images)


def test_after_inference_mode_it_can_be_differentiated() -> None:
    with torch.inference_mode():
        average(drawn(1, 7, 6, 6))
    images = drawn(1, 7, 6, 6).requires_grad_()
    average(images).sum().backward()
    assert images.grad is not None
    torch.testing.assert_close(images.grad, torch.autograd.grad(reference(images).sum(), images)[0])


def test_a_value_that_is_not_finite_reaches_its_neighbours_alone() -> None:
    images = drawn(1, 2, 6, 6)
    images[0, 1, 2, 3] = torch.inf
    there = average(images)[0].isinf()
    expected = torch.zeros(2, 6, 6, dtype=torch.bool)
    expected[1, 1:4, 2:5] = True
    assert torch.equal(there, expected)
