"""Real data as tensors: what scikit-learn brings along, split and standardised.

Nothing is downloaded. Every function returns the same `Dataset`, and the same split
for the same seed. What standardises the features is measured on the training rows
alone, so that nothing of the test rows leaks into the model.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets as bundled
from sklearn.model_selection import train_test_split
from torch import Tensor

__all__ = ["Dataset", "breast_cancer", "contaminate", "diabetes", "digits", "wine"]


@dataclass(frozen=True)
class Dataset:
    """Features and target of one data set, in a training and a test part.

    Attributes
    ----------
    x_train, x_test : Tensor
        Features, one row per sample, in the type that was asked for.
    y_train, y_test : Tensor
        Targets, one per row: numbers in the type of the features, or class indices
        (int64).
    x_mean, x_sd : Tensor
        What the features were shifted and divided by; 0 and 1 if they were not.
    y_mean, y_sd : float
        The same of the target.
    feature_names : tuple of str
        One per column.
    target_name, unit : str
        What the target is and what it is counted in: the label of its axis.
    class_names : tuple of str
        One per class index; empty for a target that is a number.
    provenance : str
        Where the data come from, in one sentence.
    """

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    x_mean: Tensor
    x_sd: Tensor
    y_mean: float
    y_sd: float
    feature_names: tuple[str, ...]
    target_name: str
    unit: str
    class_names: tuple[str, ...]
    provenance: str

    def __repr__(self) -> str:
        return (
            f"Dataset({self.target_name} ({self.unit}): {len(self.x_train)} training and "
            f"{len(self.x_test)} test rows, {self.x_train.shape[1]} features)"
        )


def diabetes(
    *,
    standardise: bool = True,
    standardise_target: bool = False,
    test_share: float = 0.25,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Dataset:
    """Diabetes: 442 patients, 10 features, disease progression after a year.

    Parameters
    ----------
    standardise : bool
        Shift and divide each feature by mean and population standard deviation of its
        training rows. Default True.
    standardise_target : bool
        The same for the target. Default False.
    test_share : float
        Share of the rows held out for testing; 0 trains on all of them, in their
        original order. Default 0.25.
    seed : int
        Decides which rows. Default 0.
    dtype, device
        Of the tensors. Default float64, the default device.

    Returns
    -------
    Dataset
        The target is a score from 25 to 346.

    Raises
    ------
    ValueError
        test_share is outside [0, 1), or the type is not a floating-point one.

    References
    ----------
    Efron, Hastie, Johnstone and Tibshirani (2004), Least angle regression.

    Examples
    --------
    >>> import lossutils as lu
    >>> lu.datasets.diabetes()
    Dataset(disease progression after a year (score): 331 training and 111 test rows,
            10 features)
    """
    return _prepare(
        bundled.load_diabetes(scaled=False),
        "disease progression after a year",
        "score",
        "Efron, Hastie, Johnstone and Tibshirani (2004), Least angle regression, "
        "Annals of Statistics 32(2), the original units; a copy comes with scikit-learn.",
        standardise=standardise,
        standardise_target=standardise_target,
        test_share=test_share,
        seed=seed,
        dtype=dtype,
        device=device,
    )


def breast_cancer(
    *,
    standardise: bool = True,
    test_share: float = 0.25,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Dataset:
    """Breast cancer (Wisconsin, diagnostic): 569 biopsies, 30 features, two classes.

    Class 0 is malignant (212 biopsies), class 1 benign (357), as scikit-learn has them.

    Parameters
    ----------
    standardise : bool
        Shift and divide each feature by mean and population standard deviation of its
        training rows. Default True.
    test_share : float
        Share of the rows of each class held out for testing; 0 trains on all of them,
        in their original order. Default 0.25.
    seed : int
        Decides which rows. Default 0.
    dtype, device
        Of the features. Default float64, the default device.

    Returns
    -------
    Dataset
        The target holds class indices, int64.

    Raises
    ------
    ValueError
        test_share is outside [0, 1), or the type is not a floating-point one.

    References
    ----------
    Street, Wolberg and Mangasarian (1993), Nuclear feature extraction for breast tumor
    diagnosis.

    Examples
    --------
    >>> import lossutils as lu
    >>> lu.datasets.breast_cancer().class_names
    ('malignant', 'benign')
    """
    return _prepare(
        bundled.load_breast_cancer(),
        "diagnosis",
        "class",
        "Street, Wolberg and Mangasarian (1993), Breast Cancer Wisconsin (Diagnostic), "
        "UCI Machine Learning Repository, CC BY 4.0; a copy comes with scikit-learn.",
        standardise=standardise,
        test_share=test_share,
        seed=seed,
        dtype=dtype,
        device=device,
    )


def digits(
    *,
    standardise: bool = True,
    test_share: float = 0.25,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Dataset:
    """Handwritten digits: 1797 images of 8 × 8 pixels, ten classes.

    Parameters
    ----------
    standardise : bool
        Shift and divide all pixels by one mean and one population standard deviation,
        those of the training images, so that an image stays an image. Default True;
        False keeps the grey values from 0 to 16.
    test_share : float
        Share of the rows of each class held out for testing; 0 trains on all of them,
        in their original order. Default 0.25.
    seed : int
        Decides which rows. Default 0.
    dtype, device
        Of the features. Default float64, the default device.

    Returns
    -------
    Dataset
        The target holds class indices, int64. `x_train[0].reshape(8, 8)` is an image.

    Raises
    ------
    ValueError
        test_share is outside [0, 1), or the type is not a floating-point one.

    References
    ----------
    Alpaydin and Kaynak (1998), Cascading classifiers.

    Examples
    --------
    >>> import lossutils as lu
    >>> lu.datasets.digits().x_train.shape
    torch.Size([1347, 64])
    """
    return _prepare(
        bundled.load_digits(),
        "digit",
        "class",
        "Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, test part, "
        "UCI Machine Learning Repository, CC BY 4.0; a copy comes with scikit-learn.",
        standardise=standardise,
        per_feature=False,
        test_share=test_share,
        seed=seed,
        dtype=dtype,
        device=device,
    )


def wine(
    *,
    standardise: bool = True,
    test_share: float = 0.25,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Dataset:
    """Wine: 178 Italian wines, 13 chemical measurements, three cultivars.

    Parameters
    ----------
    standardise : bool
        Shift and divide each feature by mean and population standard deviation of its
        training rows. Default True.
    test_share : float
        Share of the rows of each class held out for testing; 0 trains on all of them,
        in their original order. Default 0.25.
    seed : int
        Decides which rows. Default 0.
    dtype, device
        Of the features. Default float64, the default device.

    Returns
    -------
    Dataset
        The target holds class indices, int64.

    Raises
    ------
    ValueError
        test_share is outside [0, 1), or the type is not a floating-point one.

    References
    ----------
    Aeberhard and Forina (1992), Wine, UCI Machine Learning Repository.

    Examples
    --------
    >>> import lossutils as lu
    >>> lu.datasets.wine().x_train.mean(0).abs().max() < 1e-12
    tensor(True)
    """
    return _prepare(
        bundled.load_wine(),
        "cultivar",
        "class",
        "Aeberhard and Forina (1992), Wine, UCI Machine Learning Repository, CC BY 4.0; "
        "a copy comes with scikit-learn.",
        standardise=standardise,
        test_share=test_share,
        seed=seed,
        dtype=dtype,
        device=device,
    )


def contaminate(
    y: Tensor, share: float, size: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Shift a random share of the targets: outliers whose places are known.

    Parameters
    ----------
    y : Tensor
        Targets, 1-D and floating-point. Left as they are; a copy is changed.
    share : float
        Share of them to shift, in [0, 1], rounded to whole targets.
    size : float
        By how much, in population standard deviations of y; negative shifts down.
    generator : torch.Generator
        Draws which.

    Returns
    -------
    shifted : Tensor
        Like y.
    outlier : Tensor
        Boolean, True where the target was shifted.

    Raises
    ------
    ValueError
        share is outside [0, 1], or y is not 1-D.
    TypeError
        y is not floating-point.

    Examples
    --------
    >>> import torch, lossutils as lu
    >>> y = torch.tensor([1.0, 2.0, 3.0, 4.0])
    >>> lu.datasets.contaminate(y, 0.25, 10.0, torch.Generator().manual_seed(1))[1].sum()
    tensor(1)
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}, expected a number in [0, 1]")
    if y.ndim != 1:
        raise ValueError(f"y has shape {tuple(y.shape)}, expected one axis: y.flatten()")
    if not y.is_floating_point():
        raise TypeError(f"y has dtype {y.dtype}, expected a floating-point one: y.double()")
    order = torch.randperm(len(y), generator=generator, device=generator.device)
    outlier = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    outlier[order[: round(share * len(y))].to(y.device)] = True
    return torch.where(outlier, y + size * y.std(correction=0), y), outlier


def _prepare(
    bunch: Any,
    target_name: str,
    unit: str,
    provenance: str,
    *,
    standardise: bool,
    test_share: float,
    seed: int,
    dtype: torch.dtype,
    device: torch.device | str | None,
    standardise_target: bool = False,
    per_feature: bool = True,
) -> Dataset:
    if not 0 <= test_share < 1:
        raise ValueError(
            f"test_share is {test_share}, expected a number in [0, 1): the share of the "
            "rows to hold out, 0.25 for a quarter"
        )
    if not dtype.is_floating_point:
        raise ValueError(f"dtype is {dtype}, expected a floating-point one: torch.float64")
    x, y = bunch.data.astype(np.float64), bunch.target
    classes = np.issubdtype(y.dtype, np.integer)
    rows = np.arange(len(y))
    train, test = rows, rows[:0]
    if test_share > 0:
        train, test = train_test_split(
            rows, test_size=test_share, random_state=seed, stratify=y if classes else None
        )
    x_mean, x_sd = np.zeros(x.shape[1]), np.ones(x.shape[1])
    if standardise:
        axis = 0 if per_feature else None
        x_mean, x_sd = x_mean + x[train].mean(axis), x_sd * x[train].std(axis)
    y_mean, y_sd = 0.0, 1.0
    if standardise_target:
        y_mean, y_sd = float(y[train].mean()), float(y[train].std())
        unit = "standard deviations"
    if not classes:
        y = (y - y_mean) / y_sd

    def features(values: NDArray[np.float64]) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    def targets(values: NDArray[Any]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64 if classes else dtype, device=device)

    def names(values: Iterable[object]) -> tuple[str, ...]:
        return tuple(str(v) for v in values)

    return Dataset(
        x_train=features((x[train] - x_mean) / x_sd),
        y_train=targets(y[train]),
        x_test=features((x[test] - x_mean) / x_sd),
        y_test=targets(y[test]),
        x_mean=features(x_mean),
        x_sd=features(x_sd),
        y_mean=y_mean,
        y_sd=y_sd,
        feature_names=names(bunch.feature_names),
        target_name=target_name,
        unit=unit,
        class_names=names(bunch.target_names) if classes else (),
        provenance=provenance,
    )
