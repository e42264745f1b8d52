"""Profiles against closed forms."""

import functools

import pytest
import torch

import lossutils as lu
from lossutils.landscape import profile

E = torch.arange(-150, 151, dtype=torch.float64) / 50  # from -3 to 3, with 0 exactly


def test_profile_of_squared_error():
    p = profile(lu.mse, E)
    torch.testing.assert_close(p.value, E**2)
    torch.testing.assert_close(p.slope, 2 * E)
    torch.testing.assert_close(p.curvature, torch.full_like(E, 2))


@pytest.mark.parametrize("delta", [0.505, 2.005])  # between two samples
def test_profile_of_huber_with_its_parameter(delta):
    p = profile(functools.partial(lu.huber, delta=delta), E)
    inside = E.abs() < delta
    value = torch.where(inside, E**2 / 2, delta * (E.abs() - delta / 2))
    torch.testing.assert_close(p.value, value)
    torch.testing.assert_close(p.slope, E.clamp(-delta, delta))
    torch.testing.assert_close(p.curvature, inside.double())


def test_profile_of_a_module_is_that_of_its_function():
    p, q = profile(lu.LogCoshLoss(), E), profile(lu.log_cosh, E)
    torch.testing.assert_close(p, q, rtol=0, atol=0)
    torch.testing.assert_close(p.slope, E.tanh())
    torch.testing.assert_close(p.curvature, 1 - E.tanh() ** 2)


def test_profile_of_a_readers_own_loss():
    p = profile(lambda input, target: ((input - target) ** 4).mean(), E, target=1.0)
    torch.testing.assert_close(p.value, (E - 1) ** 4)
    torch.testing.assert_close(p.slope, 4 * (E - 1) ** 3)
    torch.testing.assert_close(p.curvature, 12 * (E - 1) ** 2)


def test_profile_over_logits_of_a_class():
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    p = profile(loss, E, target=1.0)
    s = torch.sigmoid(E)
    torch.testing.assert_close(p.value, -s.log())
    torch.testing.assert_close(p.slope, s - 1)
    torch.testing.assert_close(p.curvature, s * (1 - s))


def test_a_slope_without_curvature_is_an_ordinary_zero():
    p = profile(lu.mae, E)
    assert p.curvature.numpy().tolist() == [0.0] * len(E)  # NumPy takes it
    assert p.slope[E == 0] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_profile_keeps_the_type_and_leaves_the_graph(dtype):
    errors = torch.linspace(-2, 2, 9).to(dtype).requires_grad_()
    p = profile(lu.huber, errors)
    assert {t.dtype for t in p} == {dtype}
    assert {t.shape for t in p} == {errors.shape}
    assert not any(t.requires_grad for t in p)
    assert errors.grad is None


def test_no_errors_are_refused():
    with pytest.raises(ValueError, match="errors is empty"):
        profile(lu.mse, E[:0])


@pytest.mark.parametrize("errors", [[0.0, 1.0], torch.arange(3)])
def test_errors_that_carry_no_gradient_are_refused(errors):
    with pytest.raises(TypeError, match="expected a floating-point tensor"):
        profile(lu.mse, errors)


def test_errors_of_two_axes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\), expected one axis"):
        profile(lu.mse, torch.zeros(2, 3))


def test_a_loss_that_does_not_reduce_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1,\), expected a scalar"):
        profile(functools.partial(lu.mse, reduction="none"), E)
