import pytest

import nucseg_models
from nucseg_models.architecture import Architecture

UNET = nucseg_models.get("unet")


@pytest.mark.parametrize(
    "name",
    ["learning_rate", "schedule", "weight_decay", "loss", "augmentation", "emphasis", "threshold"],
)
def test_trials_that_differ_in_what_is_set_afresh_share_a_training_step(name):
    changed = {**UNET.paper, name: "another"}
    assert UNET.compiled_hyperparameters(changed) == UNET.compiled_hyperparameters(UNET.paper)


@pytest.mark.parametrize("name", ["width", "dropout", "optimizer", "batch_size", "image_size"])
def test_trials_that_differ_in_the_network_or_its_update_do_not(name):
    changed = {**UNET.paper, name: "another"}
    assert UNET.compiled_hyperparameters(changed) != UNET.compiled_hyperparameters(UNET.paper)


def test_an_architecture_takes_no_pretrained_weights_unless_it_says_so():
    assert UNET.accepts_pretrained() is False


def test_an_unfinished_architecture_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        type("Unfinished", (Architecture,), {})()
