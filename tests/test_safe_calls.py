"""No input makes code run: nothing in the packages evaluates text, unpickles or starts a shell."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("nucseg_models", "sweeps", "analysis")
# Ray wrote that file on this machine a moment before; no URI that a person gives leads to it.
UNPICKLES_ITS_OWN = {"sweeps/failure.py"}
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FUNCTIONS = {"eval", "exec", "compile", "__import__"}
METHODS = {
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
    *("torch.load", "keras.config.enable_unsafe_deserialization"),
}
MUST_BE_FALSE = {"allow_pickle", "shell"}


def dangers(source: str) -> list[str]:
    """What in a source could make its input run."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name in PICKLES]
        elif isinstance(node, ast.ImportFrom) and node.module in PICKLES:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            found += dangers_of_call(node)
    return found


def dangers_of_call(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    keywords = {each.arg: ast.unparse(each.value) for each in call.keywords}
    found = [name] if name in FUNCTIONS | METHODS else []
    found += [each for each in MUST_BE_FALSE & keywords.keys() if keywords[each] != "False"]
    if name == "Image.open" and "formats" not in keywords:  # Pillow hands some to programs
        found.append(name)
    if name.rpartition(".")[2] == "load_model" and keywords.get("safe_mode") != "True":
        found.append(name)
    return found


def test_no_input_makes_code_run():
    found = {}
    for path in sorted(path for folder in OURS for path in (ROOT / folder).rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        allowed = {"pickle"} if file in UNPICKLES_ITS_OWN else set()
        found[file] = [danger for danger in dangers(path.read_text()) if danger not in allowed]
    assert {file: each for file, each in found.items() if each} == {}
    assert found.keys() >= UNPICKLES_ITS_OWN


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "exec(text)",
        "import pickle",
        "from cloudpickle import loads",
        "np.load(file, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "os.system(command)",
        "yaml.load(text, Loader=yaml.Loader)",
        "keras.saving.load_model(path)",
        "load_model(path, safe_mode=False)",
        "Image.open(file)",
    ],
)
def test_what_could_run_is_found(source):
    assert len(dangers(source)) == 1


@pytest.mark.parametrize(
    "source",
    ["np.load(file)", "yaml.safe_load(text)", "load_model(path, safe_mode=True)", "re.compile(x)"],
)
def test_what_can_not_is_not(source):
    assert dangers(source) == []
