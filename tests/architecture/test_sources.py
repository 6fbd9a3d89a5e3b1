"""What every source file keeps to: its size, no work at import, no traces of where it was written."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator

import pytest
from source_tree import ROOT, Module, modules

MOST_LINES = 400

WORK_AT_IMPORT = frozenset({"print", "open", "read_text", "read_bytes", "mkdir", "getenv", "environ", "basicConfig"})

WORKS_AT_IMPORT = {
    "pipelines": "OpenMP reads how its threads wait while PyTorch is imported",
    "pipelines.tracking": "MLflow reads whether to send telemetry while it is imported",
    "pipelines.registry.served_model": "MLflow runs it as a script: naming the model is all it is for",
}
"""The exceptions, each with its reason."""

PACKAGE_INDEX_HOSTS = tuple(f"{name}.{domain}" for name, domain in (("pypi", "org"), ("pythonhosted", "org")))

BOTH = (*modules("sgenet"), *modules("pipelines"))


def test_no_source_file_is_long() -> None:
    paths = [
        path for folder in ("sgenet", "pipelines", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {path: count for path, count in lines.items() if count >= MOST_LINES} == {}


@pytest.mark.parametrize("package", ["sgenet", "pipelines"])
def test_importing_does_nothing(package: str) -> None:
    wrong = [
        f"{module.path.relative_to(ROOT)}:{node.lineno}"
        for module in modules(package)
        if module.name not in WORKS_AT_IMPORT
        for node in working_at_import(module)
    ]
    assert wrong == []


def test_sgenet_does_not_read_the_environment() -> None:
    wrong = [
        f"{module.path.relative_to(ROOT)}:{node.lineno}"
        for module in modules("sgenet")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert wrong == []


def test_nothing_is_unpickled() -> None:
    """Weights and tables come from other machines; pickles from there would run code here."""
    unsafe = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"}
    wrong = [
        f"{module.name} imports {name}"
        for module in BOTH
        for name in sorted(module.imports)
        if name.split(".")[0] in unsafe
    ]
    wrong += [
        f"{module.path.relative_to(ROOT)}:{call.lineno}"
        for module in BOTH
        for call in calls(module.tree)
        if ast.unparse(call.func) == "torch.load" and "weights_only=True" not in ast.unparse(call)
    ]
    assert wrong == []


def test_no_file_names_a_package_index() -> None:
    """Which index packages come from is for the machine to say, in its own pip settings."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git repository")
    hosts = [host.encode() for host in PACKAGE_INDEX_HOSTS]
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    contents = {path: path.read_bytes() for path in paths if path.is_file()}
    assert [str(path.relative_to(ROOT)) for path, text in contents.items() if any(host in text for host in hosts)] == []


def test_what_python_compiles_is_no_dependency_of_a_stage() -> None:
    """Later stages compile more of a package, so that a second ``dvc repro`` would run earlier ones again."""
    patterns = (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()
    assert "__pycache__/" in patterns


def working_at_import(module: Module) -> Iterator[ast.stmt]:
    """Statements outside functions and classes that do more than define something."""
    for node in module.tree.body:
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                pass
            case ast.Assign() | ast.AnnAssign() | ast.Try():
                names = {ast.unparse(part).split(".")[-1] for part in ast.walk(node) if is_name(part)}
                if names & WORK_AT_IMPORT:
                    yield node
            case ast.If(test=test) if ast.unparse(test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
                pass
            case _:
                yield node


def is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name | ast.Attribute)


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))
