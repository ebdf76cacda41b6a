import keras
import numpy as np
import pytest

import nucseg_models
from nucseg_models import optimizers
from nucseg_models.workshop import Workshop

every_name = pytest.mark.parametrize("name", ["cnn", "unet"])


@pytest.fixture(scope="module")
def trial(tiny):
    """A function that runs one trial of a few steps in a workshop, and gives all that it leaves:
    losses, weights and random generators of the model, and the optimizer's state.
    """

    def run(workshop, name, seed, **changes):
        architecture = nucseg_models.get(name)
        wanted = {"optimizer": "nadam", "learning_rate": 0.01, "normalisation": "batch", **changes}
        if "dropout" in architecture.search_space:
            wanted["dropout"] = 0.3
        hyperparameters = tiny(architecture, **wanted)
        model = workshop.model(architecture, hyperparameters, seed)
        images = np.random.default_rng(9).random((3, 2, 16, 16, 3), np.float32)
        labels = (images[..., 0] > 0.6).astype(np.int32)
        losses = [
            float(model.train_on_batch(x, architecture.targets(y, hyperparameters)))
            for x, y in zip(images, labels, strict=True)
        ]
        states = [*model.variables, *optimizers.slots(model)]
        return [np.array(losses), *map(keras.ops.convert_to_numpy, states)]

    return run


@pytest.fixture(scope="module")
def fresh(trial):
    """What a trial of seed 3 leaves in a new workshop, by the architecture's name."""
    return {name: trial(Workshop(), name, seed=3) for name in ["cnn", "unet"]}


@pytest.fixture(scope="module")
def warm(trial):
    """A workshop by the architecture's name, in which another trial has been run."""
    workshops = {"cnn": Workshop(), "unet": Workshop()}
    for name, workshop in workshops.items():
        trial(workshop, name, seed=8, learning_rate=0.2, schedule="cosine")
    return workshops


@pytest.fixture
def float16():
    """Float16 where a network computes, as on a GPU without bfloat16; float32 again afterwards."""
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def is_same(left, right):
    return all(np.array_equal(*pair) for pair in zip(left, right, strict=True))


@every_name
def test_a_second_trial_in_a_warm_workshop_is_bit_by_bit_that_of_a_fresh_one(
    name, trial, fresh, warm
):
    assert is_same(trial(warm[name], name, seed=3), fresh[name])


def test_a_warm_workshop_keeps_its_model(tiny):
    unet = nucseg_models.get("unet")
    workshop = Workshop()
    first = workshop.model(unet, tiny(unet), seed=0)
    assert workshop.model(unet, tiny(unet, learning_rate=0.2, threshold=0.3), seed=1) is first


@every_name
@pytest.mark.parametrize("changes", [{"learning_rate": 0.1}, {"seed": 4}, {"learning_rate": 1e30}])
def test_nothing_leaks_from_trial_to_trial(name, changes, trial, fresh, warm):
    assert not is_same(trial(warm[name], name, **{"seed": 3, **changes}), fresh[name])
    assert is_same(trial(warm[name], name, seed=3), fresh[name])


def test_the_last_of_those_trials_broke_its_weights_and_dropout_was_on(trial, warm):
    broken = trial(warm["unet"], "unet", seed=3, learning_rate=1e30)
    assert not all(np.isfinite(value).all() for value in broken)
    trial(warm["unet"], "unet", seed=3)
    model, images = warm["unet"]._model, np.ones((1, 16, 16, 3), np.float32)
    assert {layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)} == {
        0.3
    }
    assert not np.array_equal(model(images, training=True), model(images, training=True))


@every_name
def test_a_graph_of_another_loss_and_weight_decay_is_reused_and_leaves_nothing(name, trial):
    changes = [{}, {"loss": "focal_dice", "weight_decay": 0.01}]
    fresh = [trial(Workshop(), name, seed=3, **change) for change in changes]
    warm, models = Workshop(), []
    for change, expected in [*zip(changes, fresh, strict=True)] * 2:
        assert is_same(trial(warm, name, seed=3, **change), expected)
        models.append(warm._model)
    assert len({id(model) for model in models}) == 1


def test_another_structure_or_optimizer_is_built_anew(tiny):
    unet, workshop = nucseg_models.get("unet"), Workshop()
    changes = [{}, {"depth": 3}, {"optimizer": "sgd"}]
    models = [workshop.model(unet, tiny(unet, **change), seed=0) for change in changes]
    assert len({id(model) for model in models}) == 3
    assert len(models[1].layers) > len(models[0].layers)


def test_another_architecture_is_built_anew(tiny):
    workshop = Workshop()
    models = [
        workshop.model(architecture, tiny(architecture), seed=0)
        for architecture in map(nucseg_models.get, ["cnn", "unet"])
    ]
    assert [model.name for model in models] == ["cnn", "unet"]


def test_the_learning_rate_is_the_trials_own(tiny):
    unet, workshop = nucseg_models.get("unet"), Workshop()
    for rate in (0.25, 0.125):
        model = workshop.model(unet, tiny(unet, learning_rate=rate), seed=0)
        assert float(model.optimizer.learning_rate) == rate


def test_in_half_precision_a_trial_computes_in_it_and_leaves_nothing_to_the_next(trial, float16):
    workshop = Workshop()
    first = trial(workshop, "cnn", seed=3)
    model = workshop.model(
        nucseg_models.get("cnn"), {**nucseg_models.get("cnn").starts[0], "width": 8}, seed=3
    )
    assert {layer.compute_dtype for layer in model.layers} == {"float16", "float32"}
    assert np.isfinite(first[0]).all()
    trial(workshop, "cnn", seed=8)
    assert is_same(trial(workshop, "cnn", seed=3), first)
