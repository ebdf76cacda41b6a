"""Whatever bytes a reader is given, it reads them or says in a sentence what is wrong.

`pytest -s` shows at the end how many inputs were tried, and how many of them were refused.
"""

import contextlib
import io
import warnings
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import load as analysis_load
from analysis.load import AnalysisError
from nucseg_models.data import DataError, cache, decode, load, run_length
from nucseg_models.data.files import ZipFiles
from nucseg_models.data.synthetic import synthetic
from nucseg_models.prediction import pages
from sweeps.checks import ConfigError
from sweeps.command_line import parse
from sweeps.config import OPTIONS, SweepConfig
from sweeps.prices import Prices
from sweeps.record import SUMMARY_FILE, TrialRecord, to_table
from sweeps.recorder import Recorder
from sweeps.storage import LocalStore, StorageError, fetch, open_store
from tests.faults.whole import GREY, IMAGES, PRICES, RUN_LENGTHS, TOML, ZIP

many = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
fewer = settings(many, max_examples=120)


@pytest.fixture(scope="module")
def tried():
    """How many inputs came out how."""
    counts = Counter()
    yield counts
    print(f"\n{counts.total()} inputs: {counts['refused']} refused, {counts['read']} read")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NUCSEG_CACHE", str(tmp_path / "cache"))


@contextlib.contextmanager
def read_or_refused(tried, *refusals):
    """Fails on any error but `refusals`, and on those if they are not sentences."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except refusals as error:
        assert str(error).strip()
        tried["refused"] += 1
    else:
        tried["read"] += 1


@st.composite
def damaged(draw, whole):
    """Bytes with some replaced, put in or left out, and perhaps the end cut off."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    end = draw(st.just(len(data)) | st.integers(0, len(data)))
    return bytes(data[:end])


@many
@given(st.sampled_from(sorted(IMAGES)).flatmap(lambda n: st.tuples(st.just(n), damaged(IMAGES[n]))))
def test_a_damaged_image(tried, tmp_path, named):
    name, data = named
    with read_or_refused(tried, DataError):
        assert decode.image(data, name).dtype == np.uint8
    with read_or_refused(tried, DataError):
        decode.mask(data, name, GREY.shape)
    with read_or_refused(tried, DataError):
        assert decode.label_image(data, name, GREY.shape).shape == GREY.shape
    (tmp_path / name).write_bytes(data)
    with read_or_refused(tried, DataError):
        pages.read(tmp_path / name)


@fewer
@given(st.sampled_from(["a.png", "a.tif", "a.jpg", "a.bmp"]), st.binary(max_size=64))
def test_bytes_that_are_no_image(tried, name, data):
    with read_or_refused(tried, DataError):
        decode.image(data, name)


@many
@given(damaged(ZIP) | damaged(ZIP[-500:]))
def test_a_damaged_zip(tried, tmp_path, data):
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with read_or_refused(tried, DataError):
        archive = ZipFiles(path)
        for name in archive.names:
            archive.read(name)


@fewer
@given(damaged(ZIP))
def test_a_damaged_zip_as_data(tried, tmp_path, data):
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with read_or_refused(tried, DataError):
        load(path)


@many
@given(damaged(RUN_LENGTHS))
def test_a_damaged_table_of_run_lengths(tried, table):
    folders = {name: {"images": [f"{name}/images/{name}.png"]} for name in "ab"}
    with read_or_refused(tried, DataError):
        for entry in run_length.listing(folders, table).entries:
            assert entry.annotate(GREY.shape).shape == GREY.shape


numbers = st.integers(-2, 600) | st.integers(-(2**70), 2**70)


@many
@given(st.lists(numbers | st.text(max_size=4), max_size=6).map(lambda w: " ".join(map(str, w))))
def test_run_lengths_of_any_numbers_and_words(tried, runs):
    with read_or_refused(tried, ValueError):
        mask = run_length.decode_runs(runs, GREY.shape)
        assert mask.row + mask.pixels.shape[0] <= GREY.shape[0]
        assert mask.column + mask.pixels.shape[1] <= GREY.shape[1]


@many
@given(damaged(TOML))
def test_a_damaged_config_file(tried, tmp_path, content):
    (tmp_path / "sweep.toml").write_bytes(content)
    with read_or_refused(tried, ConfigError, StorageError):
        parse(["--config", str(tmp_path / "sweep.toml")], ["cnn", "unet"])


@many
@given(damaged(PRICES))
def test_a_damaged_table_of_prices(tried, tmp_path, content):
    (tmp_path / "prices.toml").write_bytes(content)
    asked = SweepConfig(arch="unet", name="n", usd_per_hour=str(tmp_path / "prices.toml"))
    with read_or_refused(tried, ConfigError):
        Prices.of(asked)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@many
@given(st.dictionaries(st.sampled_from(sorted(OPTIONS)), values, min_size=1, max_size=3))
def test_options_of_any_type(tried, given_options):
    with read_or_refused(tried, ConfigError):
        SweepConfig(**({"arch": "unet", "name": "night"} | given_options))


schemes = st.sampled_from(["", "s3:", "s3:/", "http://", "file:///", "gs://", "C:\\", "-", "~x"])
places = st.tuples(schemes, st.text(st.characters(exclude_characters="/~"))).map("".join)


@many
@given(places)
def test_data_at_any_address(tried, tmp_path, place):
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir(exist_ok=True)
    with contextlib.chdir(nowhere), read_or_refused(tried, DataError):
        load(place)


@many
@given(places)
def test_results_at_any_address(tried, tmp_path, place):
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir(exist_ok=True)
    with contextlib.chdir(nowhere):
        with read_or_refused(tried, ConfigError, StorageError, FileNotFoundError):
            fetch(SweepConfig(arch="unet", name="night", data=place).data, tmp_path / "cache")
        with read_or_refused(tried, ConfigError, StorageError, FileNotFoundError):
            results = SweepConfig(arch="unet", name="night", results=place).results
            open_store(results).child("night").read_bytes("sweep.json")


@pytest.fixture(scope="module")
def summary(trial_record):
    """A summary of 30 trials as a sweep writes it, and the sweep's folder's name."""
    trials = [trial_record(trial_id=f"unet-{number:04d}") for number in range(30)]
    stream = io.BytesIO()
    pq.write_table(
        to_table(TrialRecord, trials), stream, compression="zstd", write_page_checksum=True
    )
    return stream.getvalue(), trials


@many
@given(st.data())
def test_a_damaged_summary(tried, tmp_path, summary, data):
    whole, trials = summary
    (tmp_path / SUMMARY_FILE).write_bytes(data.draw(damaged(whole)))
    with read_or_refused(tried, AnalysisError):
        assert analysis_load.trials([str(tmp_path)]).height <= len(trials)
    with read_or_refused(tried, ValueError):
        assert len(Recorder.resumed(LocalStore(tmp_path)).trials) <= len(trials)


@fewer
@given(st.data())
def test_a_damaged_cache_counts_as_none(tried, tmp_path, data):
    made = synthetic(3, seed=0, sides=(48, 48))
    cache.write(tmp_path / "kept", made)
    whole = (tmp_path / "kept").read_bytes()
    (tmp_path / "damaged").write_bytes(data.draw(damaged(whole)))
    found = cache.read(tmp_path / "damaged")
    tried["refused" if found is None else "read"] += 1
    assert found is None or all(map(np.array_equal, found.images, made.images))
