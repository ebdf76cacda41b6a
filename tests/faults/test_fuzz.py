"""What a fuzzer found stays mended; and it goes on looking, for seconds here, longer by hand."""

import subprocess
import sys
from pathlib import Path

import pytest

from nucseg_models.data import DataError, decode

HERE = Path(__file__).parent


@pytest.mark.parametrize("path", sorted((HERE / "regressions").glob("*.tif")), ids=lambda p: p.stem)
def test_a_file_that_once_did_harm_is_refused_in_a_sentence(path):
    with pytest.raises(DataError, match="damaged"):
        decode.label_image(path.read_bytes(), path.name, (20, 24))
    with pytest.raises(DataError, match="damaged"):
        decode.image(path.read_bytes(), path.name)


@pytest.mark.skipif(sys.platform != "linux", reason="Atheris has packages for Linux only")
def test_the_readers_withstand_a_fuzzer_for_some_seconds(tmp_path):
    done = subprocess.run(
        [sys.executable, str(HERE / "fuzz.py"), "--seconds", "4", "--keep", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "no inputs" not in done.stdout
    assert done.stdout.endswith("0 of 6 readers failed\n")
