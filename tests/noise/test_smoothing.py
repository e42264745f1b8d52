"""Filters against numpy and pandas, their gradients, and what a smoothed loss misses."""

import numpy as np
import pandas as pd
import pytest
import torch

import lossutils as lu
from lossutils.noise import SmoothedLoss, exponential_average, moving_average, smooth

HALVES = (torch.float16, torch.bfloat16)
KERNELS = {
    "uneven": torch.tensor([0.5, -0.25, 2.0], dtype=torch.float64),
    "one": torch.tensor([3.0], dtype=torch.float64),
    "whole numbers": torch.tensor([1, -2, 1]),
    "as long as the series": torch.linspace(1, 2, 12, dtype=torch.float64),
}
kernels = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)


def values(*shape, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    return torch.randn(shape, dtype=torch.float64, generator=g).to(dtype)


# ------------------------------------------------------------------ convolution


@kernels
def test_smooth_is_numpys_convolution(kernel):
    x = values(12)
    expected = np.convolve(x.numpy(), kernel.numpy(), mode="valid")
    np.testing.assert_allclose(smooth(x, kernel), expected, rtol=1e-12, atol=1e-14)


def test_newest_draw_comes_first():
    found = smooth(torch.tensor([1.0, 10.0, 100.0]), torch.tensor([1.0, 2.0]))
    assert found.tolist() == [10 + 2 * 1, 100 + 2 * 10]


@kernels
@pytest.mark.parametrize("shape", [(12, 1), (12, 3), (12, 2, 3), (12, 0)])
def test_each_column_is_smoothed_alone(kernel, shape):
    x = values(*shape)
    found = smooth(x, kernel)
    assert found.shape == (13 - len(kernel), *shape[1:])
    for column in np.ndindex(shape[1:]):
        expected = smooth(x[(slice(None), *column)], kernel)
        torch.testing.assert_close(found[(slice(None), *column)], expected)


@pytest.mark.parametrize("width", [1, 2, 5, 30])
def test_moving_average_is_pandas(width):
    x = values(30, 2)
    expected = pd.DataFrame(x.numpy()).rolling(width).mean().to_numpy()[width - 1 :]
    np.testing.assert_allclose(moving_average(x, width), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999, 1 - 1e-9])
def test_exponential_average_is_pandas_adjusted(decay):
    x = values(50, 2)
    frame = pd.DataFrame(x.numpy())
    expected = frame.ewm(alpha=1 - decay, adjust=True).mean().to_numpy()
    np.testing.assert_allclose(exponential_average(x, decay), expected, rtol=1e-6)


def test_exponential_average_is_adams():
    g = values(20)
    parameter = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([parameter], betas=(0.9, 0.999))
    for gradient in g:
        parameter.grad = gradient.reshape(1)
        optimiser.step()
    moment = optimiser.state[parameter]["exp_avg"] / (1 - 0.9**20)
    torch.testing.assert_close(exponential_average(g, 0.9)[-1:], moment)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (4, 0), (1,), (5, 2, 3)])
def test_exponential_average_keeps_the_shape(shape):
    assert exponential_average(values(*shape), 0.9).shape == shape


# ---------------------------------------------------------- types and gradients


FILTERS = {
    "smooth": lambda x: smooth(x, torch.tensor([0.5, 0.3, 0.2])),
    "moving": lambda x: moving_average(x, 3),
    "exponential": lambda x: exponential_average(x, 0.9),
}
filters = pytest.mark.parametrize("filter", FILTERS.values(), ids=FILTERS)


@filters
@pytest.mark.parametrize("dtype", [*HALVES, torch.float32, torch.float64])
def test_type_device_and_argument_are_kept(filter, dtype):
    x = values(8, 2, dtype=dtype)
    before = x.clone()
    assert filter(x).dtype == dtype
    assert torch.equal(x, before)
    elsewhere = filter(x.to("meta"))
    assert (elsewhere.device.type, elsewhere.dtype) == ("meta", dtype)


@filters
@pytest.mark.parametrize("dtype", HALVES)
def test_half_types_are_computed_in_float32(filter, dtype):
    x = values(200, dtype=dtype)
    assert torch.equal(filter(x), filter(x.float()).to(dtype))


def test_a_slow_average_of_half_types_moves():
    """Accumulated in bfloat16 it stands still where a step is below 1/256 of it."""
    x = torch.linspace(0, 2, 2000).bfloat16()
    found = exponential_average(x, 0.999)[-1]
    assert found.item() == pytest.approx(
        exponential_average(x.double(), 0.999)[-1].item(), rel=2**-8
    )


def test_another_default_device_changes_nothing():
    x = values(8).float()
    expected = moving_average(x, 3)
    with torch.device("meta"):
        assert torch.equal(moving_average(x, 3), expected)


@filters
def test_gradients(filter):
    x = values(6, 2).requires_grad_()
    assert torch.autograd.gradcheck(filter, x)
    assert torch.autograd.gradgradcheck(filter, x)


def test_gradient_of_the_kernel():
    kernel = torch.tensor([0.5, 0.3], dtype=torch.float64, requires_grad=True)
    x = values(6, 2).requires_grad_()
    assert torch.autograd.gradcheck(smooth, (x, kernel))


@filters
def test_vmap_and_compile(filter):
    x = values(3, 8)
    torch.testing.assert_close(
        torch.func.vmap(filter)(x), torch.stack([filter(row) for row in x])
    )
    torch._dynamo.reset()
    compiled = torch.compile(filter, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x[0]), filter(x[0]))
    torch._dynamo.reset()


@filters
def test_nan_comes_out(filter):
    x = torch.ones(10)
    x[4] = float("nan")
    found = filter(x)
    assert found.isnan().any()
    assert not found[:2].isnan().any()


@filters
def test_a_constant_stays(filter):
    found = filter(torch.full((9,), 2.5, dtype=torch.float64))
    torch.testing.assert_close(found, torch.full_like(found, 2.5), rtol=1e-7, atol=0)


# ---------------------------------------------------------------- smoothed loss


def test_smoothed_loss_is_the_loss_of_smoothed_arguments():
    kernel, x, t = torch.tensor([0.25, 0.5, 0.25]), values(9, 2), values(9, 2) + 1
    smoothed = SmoothedLoss(lu.huber, kernel)
    expected = lu.huber(smooth(x, kernel), smooth(t, kernel), delta=0.3, reduction="none")
    assert torch.equal(smoothed(x, t, delta=0.3, reduction="none"), expected)
    residuals = smooth(x - t, kernel)
    torch.testing.assert_close(smoothed(x, t), lu.huber(residuals, 0 * residuals))


@pytest.mark.parametrize(
    ("kernel", "pattern"),
    [
        ([0.5, 0.5], [1.0, -1.0]),
        ([0.25] * 4, [1.0, -1.0]),
        ([0.25] * 4, [1.0, 0.0, -1.0, 0.0]),
        ([1.0, -1.0], [1.0]),
    ],
)
def test_smoothed_loss_is_blind_to_the_null_space_of_its_kernel(kernel, pattern):
    smoothed = SmoothedLoss(lu.mse, torch.tensor(kernel, dtype=torch.float64))
    residuals = torch.tensor(pattern * (12 // len(pattern)), dtype=torch.float64)
    target = values(12)
    x = (target + residuals).requires_grad_()
    loss = smoothed(x, target)
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.item() == pytest.approx(0, abs=1e-28)
    torch.testing.assert_close(gradient, torch.zeros_like(x))
    assert lu.mse(x, target) >= 0.5
    other = smoothed(target + torch.arange(12.0), target)
    assert other > 0.5


def test_kernel_is_a_buffer_or_a_trained_parameter():
    fixed = SmoothedLoss(lu.mse, torch.tensor([0.5, 0.5]))
    assert list(fixed.state_dict()) == ["kernel"]
    assert not list(fixed.parameters())
    assert fixed.to(torch.float64).kernel.dtype == torch.float64
    trained = SmoothedLoss(lu.mse, torch.nn.Parameter(torch.tensor([0.5, 0.5])))
    trained(torch.arange(4.0), torch.zeros(4)).backward()
    assert [p.grad is not None for p in trained.parameters()] == [True]


def test_smoothed_loss_takes_a_module():
    smoothed = SmoothedLoss(torch.nn.MSELoss(), torch.tensor([0.5, 0.5]))
    assert smoothed(torch.tensor([1.0, -1.0, 3.0]), torch.zeros(3)) == 0.5


# ------------------------------------------------------------------ mistakes


X = torch.ones(4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: smooth(X, torch.ones(5)), r"kernel has shape \(5,\), .* 1 to 4 elements"),
        (lambda: smooth(X, torch.ones(0)), r"kernel has shape \(0,\)"),
        (lambda: smooth(X, torch.ones(2, 2)), r"kernel has shape \(2, 2\)"),
        (lambda: smooth(X, torch.tensor(1.0)), r"kernel has shape \(\)"),
        (lambda: smooth(X[0], torch.ones(1)), "kernel has shape"),
        (lambda: moving_average(X, 0), "width is 0, expected .* 1 to 4, the length"),
        (lambda: moving_average(X, 5), "width is 5, expected .* 1 to 4"),
        (lambda: moving_average(X, 1.5), "width is 1.5, expected a whole number"),
        (lambda: exponential_average(X, 1.0), r"decay is 1.0, .* \[0, 1\)"),
        (lambda: exponential_average(X, -0.1), "decay is -0.1"),
        (lambda: exponential_average(X, float("nan")), "decay is nan"),
        (lambda: exponential_average(X[0], 0.9), "values has no axis, expected time"),
        (lambda: SmoothedLoss(lu.mse, torch.ones(5))(X, X), "kernel has shape"),
        (lambda: SmoothedLoss(lu.mse, X)(torch.ones(6, 1), torch.ones(6)), r"\(3, 1\)"),
    ],
)
def test_bad_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: smooth([1.0, 2.0], X), "values is list, expected a floating-point tensor"),
        (lambda: smooth(torch.arange(4), X), "values is torch.int64, expected a floating"),
        (lambda: smooth(X, [0.5, 0.5]), r"kernel is a list, expected a torch\.Tensor"),
        (lambda: moving_average(torch.arange(4), 2), "values is torch.int64"),
        (lambda: exponential_average(torch.arange(4), 0.5), "values is torch.int64"),
        (lambda: SmoothedLoss(0.5, X), "loss is a float, expected a function or a Module"),
        (lambda: SmoothedLoss(lu.mse, [0.5, 0.5]), "kernel"),
        (lambda: SmoothedLoss(lu.mse, X)(X, torch.arange(4)), "values is torch.int64"),
    ],
)
def test_bad_types(call, message):
    with pytest.raises(TypeError, match=message):
        call()
