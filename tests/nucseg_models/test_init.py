import subprocess
import sys

import pytest

import nucseg_models


def test_every_file_of_architectures_is_listed_by_name():
    assert {"cnn", "resnet", "unet"} <= set(nucseg_models.names())
    assert nucseg_models.names() == sorted(nucseg_models.names())


def test_an_unknown_architecture_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"'alexnet'.*cnn, .*unet"):
        nucseg_models.get("alexnet")


def test_search_spaces_and_papers_rows_are_read_without_importing_a_backend():
    program = (
        "import sys, nucseg_models;"
        "assert all(nucseg_models.get(name).paper for name in nucseg_models.names());"
        "print({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert printed.stdout.decode().strip() == "set()"
