"""Names and folders that a person did not mean well, or never thought about."""

import shlex

import pytest

from sweeps import run
from sweeps.command_line import parse
from sweeps.recorder import Recorder
from sweeps.storage import open_store

ODD = ("with space", "Zellkerne-ä核", 'it\'s "quoted"', "$(touch x)", "a;b&c", "x" * 200)


def asked(results, name="night"):
    return ["--arch", "unet", f"--results={results}", f"--name={name}"]


@pytest.mark.parametrize(
    "name", [*ODD, "-x", "--resume", "..", ".", "a/b", "/tmp/x", "a\nb", "%2e"]
)
def test_a_sweeps_name_that_is_no_plain_word_is_refused_before_anything_is_written(
    name, tmp_path, capsys
):
    assert run.main(asked(tmp_path, name)) == run.ASKED_WRONG
    assert "--name must be" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below", "loop", "y" * 300, "read-only"])
def test_results_that_can_not_be_written_are_refused_in_a_sentence(
    place, tmp_path, capsys, monkeypatch
):
    (tmp_path / "file").write_text("in the folder's place")
    (tmp_path / "loop").symlink_to("loop")
    # Root may write into any folder but those of the kernel, which take no files.
    (tmp_path / "read-only").symlink_to("/proc/self")
    monkeypatch.chdir(tmp_path)
    for results in (tmp_path / place, place):
        assert run.main(asked(results)) == run.ASKED_WRONG
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{place}/night" in line
        assert "can't be" in line


@pytest.mark.parametrize("folder", [*ODD, "relative/../folder", "-x", "--resume"])
def test_what_to_type_to_go_on_means_the_same_folder(folder, capsys):
    config = parse(asked(folder), ["unet"])
    store = open_store(config.results).child(config.name)
    run._say_the_end(config, store, Recorder(store), whole=False)
    *_, line = capsys.readouterr().out.splitlines()
    assert shlex.split(line)[-1] == f"--results={folder}"


def test_a_sweep_is_known_again_through_a_link(tmp_path, capsys):
    (tmp_path / "real/night").mkdir(parents=True)
    (tmp_path / "real/night/sweep.json").write_text("{}")
    (tmp_path / "link").symlink_to("real")
    assert run.main(asked(tmp_path / "link")) == run.ASKED_WRONG
    assert "--name night is taken by an earlier sweep" in capsys.readouterr().err
