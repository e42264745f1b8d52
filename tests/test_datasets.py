"""The bundled data: shapes, splits without leaks, numbers known from elsewhere."""

import socket

import pytest
import torch

from lossutils import datasets

ROWS = {
    "diabetes": (442, 10),
    "breast_cancer": (569, 30),
    "digits": (1797, 64),
    "wine": (178, 13),
}
CLASSES = {"breast_cancer": 2, "digits": 10, "wine": 3}
ALL = [pytest.param(getattr(datasets, name), id=name) for name in ROWS]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a data set reached for the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def ols_mse(x, y):
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    return (y - x @ torch.linalg.lstsq(x, y[:, None]).solution[:, 0]).square().mean().item()


def test_least_squares_on_all_of_diabetes_gives_the_books_two_numbers():
    raw = datasets.diabetes(test_share=0, standardise=False)
    std = datasets.diabetes(test_share=0, standardise_target=True)
    assert ols_mse(raw.x_train, raw.y_train) == pytest.approx(2859.70, abs=0.005)
    assert ols_mse(std.x_train, std.y_train) == pytest.approx(0.48225, abs=5e-6)
    assert raw.y_train.mean().item() == pytest.approx(152.133, abs=5e-4)
    assert raw.y_train.std(correction=0).item() == pytest.approx(77.006, abs=5e-4)
    assert std.y_train * std.y_sd + std.y_mean == pytest.approx(raw.y_train)


def test_diabetes_comes_in_its_original_units():
    data = datasets.diabetes(test_share=0, standardise=False)
    age = data.x_train[:, data.feature_names.index("age")]
    assert (age.min(), age.max()) == (19, 79)
    assert (data.y_train.min(), data.y_train.max()) == (25, 346)


@pytest.mark.parametrize("load", ALL)
def test_shapes_types_and_names(load):
    data = load(test_share=0.25, dtype=torch.float32)
    n, p = ROWS[load.__name__]
    assert data.x_train.shape == (n - len(data.x_test), p)
    assert len(data.x_test) == pytest.approx(n / 4, abs=1)
    assert len(data.y_train) == len(data.x_train)
    assert len(data.y_test) == len(data.x_test)
    assert data.y_train.ndim == data.y_test.ndim == 1
    assert data.x_train.dtype == data.x_test.dtype == torch.float32
    assert len(data.feature_names) == p
    assert data.target_name
    assert data.unit
    assert "scikit-learn" in data.provenance
    classes = CLASSES.get(load.__name__, 0)
    assert len(data.class_names) == classes
    assert data.y_train.dtype == (torch.int64 if classes else torch.float32)
    if classes:
        assert set(data.y_test.tolist()) == set(range(classes))


@pytest.mark.parametrize("load", ALL)
def test_what_standardises_comes_from_the_training_rows_alone(load):
    data, raw = load(), load(standardise=False)
    axis = None if load is datasets.digits else 0
    mean, sd = data.x_train.mean(axis), data.x_train.std(axis, correction=0)
    assert mean.abs().max() < 1e-12
    assert (sd - 1).abs().max() < 1e-12
    assert data.x_test.mean(axis).abs().max() > 1e-6  # not standardised by its own
    for name in ("x_train", "x_test"):
        back = getattr(data, name) * data.x_sd + data.x_mean
        torch.testing.assert_close(back, getattr(raw, name), rtol=1e-12, atol=1e-9)
    assert (raw.x_mean == 0).all()
    assert (raw.x_sd == 1).all()


def test_standardised_target_leaks_nothing_either():
    data = datasets.diabetes(standardise_target=True)
    assert data.y_train.mean().abs() < 1e-12
    assert (data.y_train.std(correction=0) - 1).abs() < 1e-12
    assert data.y_test.mean().abs() > 1e-3
    assert data.unit == "standard deviations"
    raw = datasets.diabetes()
    assert (raw.y_mean, raw.y_sd) == (0, 1)
    torch.testing.assert_close(data.y_test * data.y_sd + data.y_mean, raw.y_test)


@pytest.mark.parametrize("load", ALL)
def test_the_split_is_a_partition_decided_by_the_seed(load):
    whole = load(test_share=0, standardise=False)
    a, again, b = (load(standardise=False, seed=s) for s in (0, 0, 1))
    assert torch.equal(a.x_train, again.x_train)
    assert torch.equal(a.y_test, again.y_test)
    assert not torch.equal(a.x_test, b.x_test)
    rows = sorted(torch.cat([a.x_train, a.x_test]).tolist())
    assert rows == sorted(whole.x_train.tolist())


@pytest.mark.parametrize("name", CLASSES)
def test_classes_keep_their_shares_in_the_split(name):
    data = getattr(datasets, name)()
    train, test = (torch.bincount(y) / len(y) for y in (data.y_train, data.y_test))
    # Rounding to whole rows moves each share by at most one row.
    assert (train - test).abs().max() < 1.5 / len(data.y_test)


def test_no_test_rows_is_all_training_rows_in_order():
    data = datasets.diabetes(test_share=0, standardise=False)
    assert data.x_test.shape == (0, 10)
    assert data.y_test.shape == (0,)
    assert data.y_train[:3].tolist() == [151, 75, 141]


def test_a_digit_stays_an_image():
    data, raw = datasets.digits(), datasets.digits(standardise=False)
    assert data.x_sd.unique().numel() == data.x_mean.unique().numel() == 1
    assert raw.x_train.min() == 0
    assert raw.x_train.max() == 16


@pytest.mark.parametrize("share", [-0.1, 1, 25])
def test_impossible_shares_are_refused(share):
    with pytest.raises(ValueError, match=r"expected a number in \[0, 1\)"):
        datasets.wine(test_share=share)


def test_integer_features_are_refused():
    with pytest.raises(ValueError, match=r"torch\.int64, expected a floating-point"):
        datasets.wine(dtype=torch.int64)


def test_contaminate_shifts_the_marked_targets_and_no_other():
    y = datasets.diabetes(test_share=0).y_train
    before = y.clone()
    shifted, outlier = datasets.contaminate(y, 0.1, -3.0, torch.Generator().manual_seed(0))
    assert torch.equal(y, before)
    assert outlier.sum() == 44
    assert torch.equal(shifted[~outlier], y[~outlier])
    torch.testing.assert_close(shifted[outlier], y[outlier] - 3 * y.std(correction=0))
    again = datasets.contaminate(y, 0.1, -3.0, torch.Generator().manual_seed(0))[1]
    other = datasets.contaminate(y, 0.1, -3.0, torch.Generator().manual_seed(1))[1]
    assert torch.equal(outlier, again)
    assert not torch.equal(outlier, other)


@pytest.mark.parametrize(("share", "count"), [(0, 0), (1, 8)])
def test_contaminate_nothing_or_all(share, count):
    y = torch.arange(8.0)
    assert datasets.contaminate(y, share, 1.0, torch.Generator())[1].sum() == count


def test_contaminate_refuses_what_it_cannot_shift():
    draw = torch.Generator()
    with pytest.raises(ValueError, match="share is 10"):
        datasets.contaminate(torch.zeros(4), 10, 1.0, draw)
    with pytest.raises(ValueError, match="expected one axis"):
        datasets.contaminate(torch.zeros(4, 1), 0.1, 1.0, draw)
    with pytest.raises(TypeError, match=r"torch\.int64"):
        datasets.contaminate(torch.arange(4), 0.1, 1.0, draw)
