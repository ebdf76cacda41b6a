"""The facts of the benchmark paper that this project takes up: its Tables 1 and 2."""

from __future__ import annotations

from dataclasses import dataclass

ORDER = ("cnn", "resnet", "unet", "mask_rcnn")  # by rising IoU, as claimed


@dataclass(frozen=True)
class PaperRow:
    """What the paper reports of an architecture, trained on one NVIDIA T4.

    Accuracies and IoU in 0..1, hours of training; None where its text gives no figure. The rest
    are the hyperparameters that it found best.
    """

    model: str
    train_accuracy: float | None
    test_accuracy: float
    iou: float
    hours: float
    layers: str
    output: str
    activation: str
    optimizer: str
    learning_rate: float
    batch_size: int
    epochs: int


ROWS = {
    "cnn": PaperRow(
        model="Simple CNN",
        train_accuracy=None,
        test_accuracy=0.937,
        iou=0.62,
        hours=2,
        layers="1 batch normalisation, 6 dense layers on every pixel, 1 convolution 3x3",
        output="3 classes a pixel: nucleus, border, background; sigmoid",
        activation="sigmoid",
        optimizer="adam",
        learning_rate=0.1,
        batch_size=32,
        epochs=15,
    ),
    "resnet": PaperRow(
        model="ResNet-152",
        train_accuracy=None,
        test_accuracy=0.963,
        iou=0.77,
        hours=11,
        layers="152 stacked layers, pre-trained weights",
        output="one mask an image",
        activation="relu",
        optimizer="adadelta",
        learning_rate=0.1,
        batch_size=10,
        epochs=40,
    ),
    "unet": PaperRow(
        model="U-Net",
        train_accuracy=0.9975,
        test_accuracy=0.98,
        iou=0.83,
        hours=4,
        layers="19 convolutions, 4 transposed convolutions, 6 poolings",
        output="one mask an image",
        activation="elu",
        optimizer="adam",
        learning_rate=0.01,
        batch_size=16,
        epochs=20,
    ),
    "mask_rcnn": PaperRow(
        model="Mask R-CNN",
        train_accuracy=None,
        test_accuracy=0.992,
        iou=0.88,
        hours=5,
        layers="6 convolutions, 6 batch normalisations, 6 activations in the backbone; three heads",
        output="box, class and 28x28 mask for each nucleus",
        activation="relu",
        optimizer="sgd",
        learning_rate=0.01,
        batch_size=16,
        epochs=30,
    ),
}
