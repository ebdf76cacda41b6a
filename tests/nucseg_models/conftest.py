"""What the tests of training and of the architectures share: tiny networks, tiny images."""

import pytest
import tensorflow as tf

from nucseg_models.data.synthetic import synthetic

# The smallest of what a search space offers, where it has a hyperparameter of that name.
SMALL = {
    "width": 8,
    "depth": 2,
    "hidden_layers": 2,
    "layers": 50,
    "decoder_width": 16,
    "pyramid_width": 16,
    "head_width": 32,
    "batch_size": 4,
    "image_size": 64,
}


def tiny_hyperparameters(architecture, **changes):
    """The paper's row, made small; `changes` on top of that."""
    small = {name: value for name, value in SMALL.items() if name in architecture.search_space}
    return {**architecture.paper, **small, **changes}


@pytest.fixture(scope="session", autouse=True)
def as_a_worker_builds_graphs():
    """Without TensorFlow's rewriting, which on a processor only costs: see nucseg_models.device."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(scope="session")
def tiny():
    """A function from an architecture, and changes, to the hyperparameters of a tiny network."""
    return tiny_hyperparameters


@pytest.fixture(scope="session")
def nuclei():
    """Eight made-up images of 48 to 64 pixels a side."""
    return synthetic(8, seed=1, sides=(48, 64))
