"""Keys are never shown and never stored: not those of the environment, nor any in an address."""

import pyarrow.parquet as pq
import pytest

from analysis import importance, report, table1, table2, tradeoff
from nucseg_models.data.splitting import split
from nucseg_models.data.synthetic import synthetic
from sweeps import provenance, replay, run
from sweeps.command_line import parse
from sweeps.inputs import Inputs
from sweeps.record import canonical_json
from sweeps.recorder import Recorder
from sweeps.storage import open_store

HIDDEN = "hidden-4f1c9a"
IN_AN_ADDRESS = f"s3://AKIAEXAMPLE:{HIDDEN}@bucket/prefix"
COMMANDS = (report, tradeoff, importance, table1, table2, replay)


@pytest.fixture
def keys(monkeypatch):
    """Credentials in the environment, and a service that nobody runs."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, HIDDEN)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")


def content(path):
    """All that a file says, unpacked."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return f"{table.to_pylist()} {table.schema.to_string(show_schema_metadata=True)}"
    return path.read_text()


@pytest.mark.usefixtures("keys")
def test_keys_of_the_environment_are_in_no_file_that_a_sweep_leaves(
    trial_record, epoch_record, tmp_path, capsys
):
    config = parse(["--arch", "unet", "--name", "night", "--results", str(tmp_path)], ["unet"])
    inputs = Inputs(*split(synthetic(4, seed=0, sides=(48, 48)), seed=0), test=None)
    store = open_store(config.results).child(config.name)
    recorder = Recorder(store)
    recorder.describe_first(run._description(config, inputs))
    recorder.epoch(epoch_record())
    recorder.ended(trial_record(versions=canonical_json(provenance.versions())))
    assert report.main([store.uri, "-o", str(tmp_path / "report.html")]) == 0

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".parquet", ".html"}
    assert not [path for path in files if HIDDEN in content(path)]
    assert HIDDEN not in "".join(capsys.readouterr())


@pytest.mark.usefixtures("keys")
def test_keys_of_the_environment_are_in_no_error(capsys, caplog):
    assert run.main(["--arch", "unet", "--results", "s3://bucket/prefix"]) == run.ASKED_WRONG
    said = "".join(capsys.readouterr()) + caplog.text
    assert "the service can't be reached" in said
    assert HIDDEN not in said


@pytest.mark.parametrize(
    "option",
    ["--results", "--data", "--test-data", "--warm-start", "--pretrained", "--s3-endpoint", "--x"],
)
def test_a_sweep_refuses_keys_in_an_address_without_repeating_them(
    option, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run.main(["--arch", "unet", option, IN_AN_ADDRESS]) == run.ASKED_WRONG
    said = "".join(capsys.readouterr())
    assert "an address must hold no credentials" in said
    assert HIDDEN not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda module: module.__name__)
def test_the_analysis_refuses_keys_in_an_address_without_repeating_them(command, capsys):
    for arguments in ([IN_AN_ADDRESS], ["results", f"--unknown={IN_AN_ADDRESS}"]):
        assert command.main(arguments) == 2
        said = "".join(capsys.readouterr())
        assert "an address must hold no credentials" in said
        assert HIDDEN not in said
