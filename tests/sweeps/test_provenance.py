"""What made a result: commit and versions."""

import json
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from sweeps import provenance
from sweeps.provenance import git_commit, versions


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project outside git whose only file is the module."""
    folder = tmp_path / "project" / "sweeps"
    folder.mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(folder / "provenance.py"))
    (folder / "provenance.py").write_text("first")
    for variable, value in {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }.items():
        monkeypatch.setenv(variable, value)
    return folder.parent


def git(folder, *arguments):
    done = subprocess.run(
        ["git", "-C", folder, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_outside_git_there_is_no_commit(project):
    assert git_commit() is None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_commit_is_dirty_where_known_files_differ_from_it(project):
    git(project, "init")
    assert git_commit() is None  # nothing is committed yet
    git(project, "add", ".")
    git(project, "commit", "-m", "first")
    commit = git(project, "rev-parse", "HEAD")
    assert git_commit() == commit

    (project / "results.txt").write_text("git does not know it")
    assert git_commit() == commit
    (project / "sweeps" / "provenance.py").write_text("second")
    assert git_commit() == f"{commit}-dirty"


def test_without_git_installed_there_is_no_commit(project, monkeypatch):
    (project / ".git").mkdir()
    monkeypatch.setenv("PATH", "")

    assert git_commit() is None


def test_versions_are_of_python_and_the_packages_that_are_installed():
    found = versions()

    assert found["python"] == platform.python_version()
    assert (found["keras"], found["ray"]) == (version("keras"), version("ray"))
    assert json.loads(json.dumps(found)) == found
    assert set(found) <= {"python", *provenance.PACKAGES}


def test_it_loads_no_package_whose_version_it_tells():
    code = (
        "import sys; from sweeps.provenance import versions; versions()\n"
        "print([name for name in ('ray', 'tensorflow', 'keras', 'numpy') if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )

    assert told.stdout.strip() == "[]"
