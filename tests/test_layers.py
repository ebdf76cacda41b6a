"""The layers below never know the layers above; each rule also shows that it can be broken."""

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("nucseg_models", "sweeps", "analysis")
BACKENDS = ("tensorflow", "jax", "torch")
LONGEST_MODULE, LONGEST_FUNCTION = 300, 60  # lines


@dataclass(frozen=True)
class Rule:
    """Files that match one of `files` import none of `never` and, of this project, only `only`.

    In patterns `*` stands for folders too. `breach` is one import that breaks the rule in the
    made-up file `where`.
    """

    files: tuple[str, ...]
    where: str
    breach: str
    never: tuple[str, ...] = ()
    only: tuple[str, ...] = OURS
    but: tuple[str, ...] = ()  # files that the rule is not for
    at_start_only: bool = False  # imports inside functions are free

    def is_for(self, file: str) -> bool:
        return any(fnmatch(file, pattern) for pattern in self.files) and file not in self.but

    def allows(self, name: str) -> bool:
        ours = lies_in(name, OURS)
        return not lies_in(name, self.never) and (not ours or lies_in(name, self.only))


RULES = {
    "the science knows no search, no cloud, no reports": Rule(
        files=("nucseg_models/*.py",),
        never=("ray", "boto3", "botocore", "optuna", "sweeps", "analysis"),
        where="nucseg_models/data/loading.py",
        breach="import boto3",
    ),
    "one file of the science knows backends by name": Rule(
        files=("nucseg_models/*.py",),
        but=("nucseg_models/device.py",),
        never=BACKENDS,
        where="nucseg_models/architectures/unet.py",
        breach="def build():\n    import tensorflow as tf",
    ),
    "an architecture knows nothing of training, data or metrics": Rule(
        files=("nucseg_models/architectures/*.py", "nucseg_models/detection/*.py"),
        only=tuple(
            f"nucseg_models.{module}"
            for module in (
                *("architecture", "boxes", "deferred", "detection", "flops", "instances"),
                *("layers", "losses", "pixelwise", "search_space"),
            )
        ),
        where="nucseg_models/architectures/unet.py",
        breach="from nucseg_models import metrics",
    ),
    "data and metrics know no Keras": Rule(
        files=("nucseg_models/metrics.py", "nucseg_models/instances.py", "nucseg_models/data/*.py"),
        never=("keras", "nucseg_models.deferred"),
        where="nucseg_models/metrics.py",
        breach="from keras import ops",
    ),
    "the search knows no reports": Rule(
        files=("sweeps/*.py",),
        never=("analysis",),
        where="sweeps/run.py",
        breach="def report():\n    from analysis import report",
    ),
    "reports know the rows and where they lie, no more": Rule(
        files=("analysis/*.py",),
        only=(
            *("analysis", "sweeps.record", "sweeps.winner_record"),
            *("sweeps.columns", "sweeps.storage"),
        ),
        where="analysis/report.py",
        breach="from sweeps.config import SweepConfig",
    ),
    "rows and storage start fast": Rule(
        files=tuple(
            f"sweeps/{name}.py"
            for name in ("record", "winner_record", "score_columns", "columns", "storage")
        ),
        never=("ray", "keras", "tensorflow", "boto3"),
        at_start_only=True,
        where="sweeps/storage.py",
        breach="try:\n    import boto3\nexcept ImportError:\n    boto3 = None",
    ),
}


def lies_in(name: str, modules: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of the modules or lies in one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def imports(source: str, file: str, *, at_start_only: bool = False) -> set[str]:
    """Dotted names that a source imports: `from a import b` gives `a.b`, `import a.b` too."""
    found: set[str] = set()
    for node in nodes(ast.parse(source), at_start_only=at_start_only):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = Path(file).parts[: -node.level] if node.level else ()
            base = ".".join([*package, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def nodes(tree: ast.AST, *, at_start_only: bool) -> Iterator[ast.AST]:
    """All nodes, or only those that run when the module is imported."""
    yield tree
    if at_start_only:
        if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
            return
    for child in ast.iter_child_nodes(tree):
        yield from nodes(child, at_start_only=at_start_only)


def breaches(rule: Rule, sources: dict[str, str]) -> list[str]:
    """`file imports name`, for each import that the rule does not allow."""
    return [
        f"{file} imports {name}"
        for file, source in sources.items()
        if rule.is_for(file)
        for name in sorted(imports(source, file, at_start_only=rule.at_start_only))
        if not rule.allows(name)
    ]


def too_long(sources: dict[str, str]) -> list[str]:
    """Modules and functions that are longer than they may be."""
    found = []
    for file, source in sources.items():
        if (lines := len(source.splitlines())) > LONGEST_MODULE:
            found.append(f"{file} has {lines} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    found.append(f"{file}: {node.name} has {lines} lines")
    return found


def hides_another_module(file: str) -> bool:
    """Whether a file, its folder being first on sys.path, hides a module that is not ours."""
    return Path(file).stem in sys.stdlib_module_names | installed_modules()


@cache
def installed_modules() -> frozenset[str]:
    """The top-level names of every installed package but this one."""
    return frozenset(importlib.metadata.packages_distributions()) - set(OURS)


def loaded_by(statements: str, modules: tuple[str, ...]) -> set[str]:
    """Which of the modules a new Python process has loaded after the statements."""
    program = f"{statements}\nimport sys\nprint(*(set({modules!r}) & sys.modules.keys()))"
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return set(process.stdout.split())


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """Every Python file of the project but its tests: path from the root -> source."""
    paths = [path for folder in (*OURS, "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted(paths)}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_no_file_breaks_the_rule(rule, sources):
    assert any(rule.is_for(file) for file in sources)
    assert breaches(rule, sources) == []


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_breach_of_the_rule_is_found(rule):
    assert len(breaches(rule, {rule.where: rule.breach})) == 1


def test_a_relative_import_is_found_like_any_other():
    assert imports("from ..data import load", "nucseg_models/architectures/unet.py") == {
        "nucseg_models.data.load"
    }
    assert imports("from . import tiles", "nucseg_models/data/__init__.py") == {
        "nucseg_models.data.tiles"
    }


def test_imports_that_do_not_run_at_the_start_are_told_apart():
    source = "if TYPE_CHECKING:\n    import ray\ndef later():\n    import boto3\nimport json"
    assert imports(source, "sweeps/storage.py") == {"ray", "boto3", "json"}
    assert imports(source, "sweeps/storage.py", at_start_only=True) == {"json"}


def test_no_module_and_no_function_is_too_long(sources):
    assert too_long(sources) == []


def test_a_module_or_function_that_is_too_long_is_found():
    function = "def f():\n" + "    pass\n" * LONGEST_FUNCTION
    assert too_long({"a.py": function}) == ["a.py: f has 61 lines"]
    assert too_long({"a.py": "x = 1\n" * (LONGEST_MODULE + 1)}) == ["a.py has 301 lines"]


def test_no_file_of_a_folder_that_is_run_from_hides_another_module(sources):
    run_from = [file for file in sources if file.startswith(("sweeps/", "analysis/"))]
    assert [file for file in run_from if hides_another_module(file)] == []


@pytest.mark.parametrize("name", ["queue", "optuna", "ray", "statistics"])
def test_a_file_that_hides_another_module_is_found(name):
    assert hides_another_module(f"sweeps/{name}.py")


@pytest.mark.parametrize(
    ("statements", "unwanted"),
    [
        (
            "import nucseg_models\nfor name in nucseg_models.names(): nucseg_models.get(name)",
            ("keras", *BACKENDS),
        ),
        (
            "import nucseg_models.metrics, nucseg_models.instances, nucseg_models.data",
            ("keras", *BACKENDS),
        ),
        (
            "import sweeps.record, sweeps.columns, sweeps.storage",
            ("keras", *BACKENDS, "ray", "boto3"),
        ),
    ],
    ids=["architectures are listed", "data are read", "rows are read"],
)
def test_nothing_slow_is_loaded_where(statements, unwanted):
    assert loaded_by(statements, unwanted) == set()


def test_a_module_that_is_loaded_is_found():
    assert loaded_by("import json", ("json", "keras")) == {"json"}
