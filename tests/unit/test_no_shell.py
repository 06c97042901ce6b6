"""No shell, no pickle from files, no ffmpeg without its rules: looked for in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted(
    path
    for folder in ("talkhead_cli", "models/talkhead_models")
    for path in (ROOT / folder).rglob("*.py")
)

FORBIDDEN = {
    *("os.system", "os.popen", "os.execl", "os.execv", "os.execvp", "os.spawnl", "os.spawnv", "os.startfile"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell", "pty.spawn"),
    *("eval", "exec", "yaml.unsafe_load", "yaml.full_load", "tempfile.mktemp", "marshal.loads", "torch.load"),
}  # fmt: skip
UNPICKLED = {"pickle.load", "pickle.loads", "joblib.load", "shelve.open", "dill.loads"}
MAY_UNPICKLE = {"batch/entry.py"}
"""A job as a worker gets it from the run that has sent it."""

MAY_NAME_INPUTS = {"reading.py", "live_audio.py"}
"""They write an ffmpeg input with all that it must obey."""


def dotted(node: ast.AST) -> str:
    """The name that is called."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node


def faults_of(path: Path) -> list[str]:
    """What is forbidden in a file."""
    inside = path.as_posix().partition("talkhead_cli/")[2]
    found = []
    for name, call in calls(path):
        given = {word.arg: word.value for word in call.keywords}
        shell = given.get("shell")
        if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
            found.append(f"{call.lineno}: {name} with a shell")
        if name in FORBIDDEN or (name in UNPICKLED and inside not in MAY_UNPICKLE):
            found.append(f"{call.lineno}: {name}")
        if name == "yaml.load" and dotted(call.args[-1]) != "PresetLoader":
            found.append(f"{call.lineno}: {name} with another loader")
        if name in {"np.load", "numpy.load"}:
            allowed = given.get("allow_pickle")
            if not (isinstance(allowed, ast.Constant) and allowed.value is False):
                found.append(f"{call.lineno}: {name} that may unpickle")
        if name == "builder.input" and not obeys(call):
            found.append(f"{call.lineno}: an ffmpeg input without its rules")
        literals = [item for item in ast.walk(call) if isinstance(item, ast.Constant)]
        named = any(item.value == "-i" for item in literals) and not name.endswith(".index")
        if named and inside not in MAY_NAME_INPUTS:
            found.append(f"{call.lineno}: an ffmpeg input without its rules")
    return found


def obeys(call: ast.Call) -> bool:
    """Whether an input of ffmpeg-python says what may be opened, or is a pipe of ours."""
    spread = {
        dotted(word.value.func)
        for word in call.keywords
        if isinstance(word.value, ast.Call) and not word.arg
    }
    if "input_options" in spread:
        return True
    named = {word.arg for word in call.keywords}
    source = call.args[0]
    ours = isinstance(source, ast.Constant) and str(source.value).startswith("pipe:")
    ours |= any(
        word.arg == "format" and ast.unparse(word.value) == "'lavfi'" for word in call.keywords
    )
    # Through a pipe comes what `LiveSound` says of it, its own options included.
    return ours or "format_whitelist" in named or dotted(source) == "pipe"


def test_nothing_forbidden_in_the_source() -> None:
    assert len(SOURCES) > 150
    found = {str(path.relative_to(ROOT)): faults_of(path) for path in SOURCES}
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    "line",
    [
        "subprocess.run(command, shell=True)",
        "subprocess.Popen(command, shell=wanted)",
        "os.system(command)",
        "os.popen(command)",
        "yaml.load(text, yaml.Loader)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pickle.loads(data)",
        "run([ffmpeg, '-i', path])",
        "builder.input(builder_url(path))",
    ],
)
def test_it_would_be_found(line: str, tmp_path: Path) -> None:
    path = tmp_path / "talkhead_cli" / "sample.py"
    path.parent.mkdir()
    path.write_text(line + "\n")
    assert faults_of(path)
