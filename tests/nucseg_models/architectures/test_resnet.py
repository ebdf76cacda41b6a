from collections import Counter

import h5py
import keras
import numpy as np
import pytest

import nucseg_models
from nucseg_models.workshop import Workshop

RESNET = nucseg_models.get("resnet")


@pytest.fixture(scope="module")
def papers_model():
    """Built once, as its 152 layers take seconds."""
    return RESNET.build(RESNET.paper, 64)


@pytest.fixture(scope="module")
def encoder():
    """Keras's own ResNet50 without its classifier, with weights that no other seed gives."""
    keras.utils.set_random_seed(2024)
    model = keras.applications.ResNet50(include_top=False, weights=None)
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.uniform(0, 0.1, w.shape) for w in model.get_weights()])
    return model


def write_in_the_format_of_the_published_weights(model, path):
    """The older HDF5 layout, in which Keras's pre-trained ResNets are published."""
    layers = [layer for layer in model.layers if layer.weights]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, values in zip(names, layer.get_weights(), strict=True):
                group[name] = values


def assert_loaded(model, encoder):
    """Every weight of the encoder is in the model."""
    for layer in encoder.layers:
        for loaded, written in zip(
            model.get_layer(layer.name).get_weights() if layer.weights else [],
            layer.get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(loaded, written)


def test_the_papers_row_has_152_layers_on_its_main_path(papers_model):
    kinds = {layer.name: type(layer).__name__ for layer in papers_model.layers}
    convolutions = [name for name, kind in kinds.items() if kind == "Conv2D"]
    encoder = [name for name in convolutions if name.endswith("_conv")]
    shortcuts = [name for name in encoder if name.endswith("_0_conv")]
    assert len(shortcuts) == 4
    main_path = [name for name in encoder if name not in shortcuts]
    assert len(main_path) == 151
    assert len([*main_path, "logits"]) == 152
    blocks = Counter(name.split("_")[0] for name in main_path)
    assert blocks == {"conv1": 1, "conv2": 9, "conv3": 24, "conv4": 108, "conv5": 9}
    # The decoder is counted apart: two at each of five scales, and the mask.
    assert len(convolutions) - len(encoder) == 10 + 1
    assert papers_model.layers[-1].name == "logits"
    assert papers_model.output_shape == (None, 64, 64, 1)


def test_the_decoder_joins_the_encoder_at_every_scale(papers_model):
    joins = [layer for layer in papers_model.layers if type(layer).__name__ == "Concatenate"]
    assert [layer.output.shape[1] for layer in joins] == [4, 8, 16, 32]


@pytest.mark.parametrize("suffix", ["weights.h5", "h5"])
def test_a_file_of_weights_becomes_the_encoder(encoder, suffix, tiny, tmp_path):
    path = tmp_path / f"resnet50.{suffix}"
    if suffix == "h5":
        write_in_the_format_of_the_published_weights(encoder, path)
    else:
        encoder.save_weights(path)
    assert_loaded(RESNET.build(tiny(RESNET), None, pretrained=str(path)), encoder)


def test_each_trial_of_a_warm_workshop_begins_with_those_weights(encoder, tiny, tmp_path):
    path, workshop, decoders = tmp_path / "resnet50.weights.h5", Workshop(), []
    encoder.save_weights(path)
    for seed in (1, 2):
        model = workshop.model(RESNET, tiny(RESNET), seed, pretrained=str(path))
        assert_loaded(model, encoder)
        decoders.append(np.array(model.get_layer("logits").kernel))
        for variable in model.trainable_variables:
            variable.assign(variable + 1.0)
    assert (decoders[0] != decoders[1]).all()


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_network_are_refused_by_their_file(tiny, tmp_path):
    path = tmp_path / "other.weights.h5"
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    other.save_weights(path)
    with pytest.raises(ValueError, match="ResNet50") as refusal:
        RESNET.build(tiny(RESNET), None, pretrained=str(path))
    first_line = str(refusal.value).splitlines()[0]
    assert str(path) in first_line
    assert "include_top=False" in first_line


@pytest.mark.parametrize("name", ["cut.weights.h5", "weights.txt"])
def test_a_file_that_holds_no_weights_is_refused_by_its_name(name, tiny, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"no weights in here")
    with pytest.raises(ValueError, match=name):
        RESNET.build(tiny(RESNET), None, pretrained=str(path))


def test_a_missing_file_of_weights_is_refused_by_its_name(tiny, tmp_path):
    with pytest.raises(ValueError, match=r"missing\.weights\.h5"):
        RESNET.build(tiny(RESNET), None, pretrained=str(tmp_path / "missing.weights.h5"))


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_a_file_of_weights_fixes_the_depth(depth, tmp_path):
    path = tmp_path / "mine.weights.h5"
    network = getattr(keras.applications, f"ResNet{depth}")
    network(include_top=False, weights=None, input_shape=(32, 32, 3)).save_weights(path)
    assert RESNET.fixed_by(str(path)) == {"layers": depth}
    assert RESNET.fixed_by("imagenet") == {}


def test_only_resnet_takes_pretrained_weights_so_far():
    takers = [n for n in nucseg_models.names() if nucseg_models.get(n).accepts_pretrained()]
    assert "resnet" in takers
    assert not {"cnn", "unet"} & set(takers)
