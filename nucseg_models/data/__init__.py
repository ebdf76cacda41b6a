"""Annotated microscopy images: read from wherever they are, made up, split, normalised."""

from nucseg_models.data.dataset import KINDS, Dataset
from nucseg_models.data.errors import DataError
from nucseg_models.data.loading import load, load_test
from nucseg_models.data.normalise import normalise
from nucseg_models.data.splitting import split

__all__ = ["KINDS", "DataError", "Dataset", "load", "load_test", "normalise", "split"]
