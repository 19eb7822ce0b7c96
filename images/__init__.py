"""Data sets: digit scenes (ship with scikit-learn), CIFAR-10, CIFAR-100, ImageNet16-120, images of one's own."""

from images.base import Batch, DataSet, Split
from images.registry import load

__all__ = ["Batch", "DataSet", "Split", "load"]
