"""Write the page of every command, docs/commands/NAME.md, from what the code says of it: `make docs`.

The signatures that Typer reads are read here: arguments, options with their type, range and default, the docstring with
its examples. What a render setting may be comes from `RenderSettings`, what an exit code means from the README.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo
from typer.models import ArgumentInfo, OptionInfo

from talkhead_cli import errors
from talkhead_cli.app import app
from talkhead_cli.commands.options import RenderOptions
from talkhead_cli.settings import MAX_FPS, MIN_FPS, RenderSettings, show_fps

DOCS = Path(__file__).parent
FOLDER = DOCS / "commands"

NOTICE = "<!-- Written by `make docs` from the code; changes belong there. -->"

OWN_CODES = {8: {"batch"}, 9: {"verify"}}
"""Exit codes that only these commands end with."""

ENVIRONMENT = {
    "TALKHEAD_WEIGHTS": "folder of weight bundles to use instead of the package's",
    "TALKHEAD_FFMPEG": "the ffmpeg to run",
    "TALKHEAD_DEBUG": "`1` shows traces and what native libraries write",
    "OMP_NUM_THREADS": "threads of the networks and the renderer; by default one a core",
    "NO_COLOR": "set to anything: no colours",
}

SPECIAL = {
    "fps": f"rate, {MIN_FPS} to {MAX_FPS}",
    "device": "`auto`, `cpu`, `cuda`, `cuda:N`, `mps`",
    "face": "`largest`, `N`, `X,Y`",
    "background": "colour",
}
"""What a setting takes whose type alone does not say it."""

WORDS: dict[Any, str] = {int: "whole number", float: "number", str: "text", Path: "path"}


@dataclass(frozen=True)
class Command:
    """A command as Typer knows it.

    Attributes:
        words: how it is called, such as "presets show".
        function: what is run.
    """

    words: str
    function: Callable[..., Any]

    @property
    def paragraphs(self) -> list[str]:
        """The docstring's, without the examples."""
        return [part for part in self._parts() if not part.startswith(("\b", "Examples:"))]

    @property
    def examples(self) -> list[str]:
        """Command lines of the docstring."""
        blocks = [part for part in self._parts() if part.startswith("\b")]
        return [line.strip() for block in blocks for line in block.splitlines()[1:]]

    def _parts(self) -> list[str]:
        return inspect.cleandoc(self.function.__doc__ or "").split("\n\n")


def commands_by_page() -> dict[str, list[Command]]:
    """Page name to its commands: one, or those of a group."""
    found = {name: [command] for name, command in registered(app.registered_commands, "")}
    for group in app.registered_groups:
        assert group.name is not None
        assert group.typer_instance is not None
        own = registered(group.typer_instance.registered_commands, f"{group.name} ")
        found[group.name] = [command for _, command in own]
    return found


def registered(commands: list[Any], prefix: str) -> Iterator[tuple[str, Command]]:
    """Name and command of each that is not hidden."""
    for item in commands:
        if not item.hidden:
            name = item.name or item.callback.__name__.replace("_", "-")
            yield name, Command(prefix + name, item.callback)


def parameters(command: Command) -> Iterator[tuple[inspect.Parameter, Any, Any]]:
    """Parameter, type and what Typer is told of it, in order."""
    hints = get_type_hints(command.function, include_extras=True)
    for parameter in inspect.signature(command.function).parameters.values():
        hint = hints[parameter.name]
        if get_origin(hint) is Annotated:
            kind, *told = get_args(hint)
            for info in told:
                if isinstance(info, OptionInfo | ArgumentInfo) and not info.hidden:
                    yield parameter, kind, info


def bare(kind: Any) -> Any:
    """A type without its None."""
    if get_origin(kind) in (Union, UnionType):
        kinds = [item for item in get_args(kind) if item is not NoneType]
        return kinds[0] if len(kinds) == 1 else kind
    return kind


def named(values: Any) -> str:
    """Choices as text."""
    return ", ".join(f"`{value}`" for value in values)


def describe_type(kind: Any) -> str:
    """A type in a person's words."""
    kind = bare(kind)
    if get_origin(kind) is Literal:
        return named(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return named(item.value for item in kind)
    if get_origin(kind) is list:
        return describe_type(get_args(kind)[0]) + ", any number"
    return WORDS.get(kind, str(getattr(kind, "__name__", kind)))


def describe_range(low: Any, high: Any, above: Any = None, below: Any = None) -> str:
    """Bounds in words, empty where there are none."""

    def text(value: float) -> str:
        return f"{value:g}" if value < 1e9 else f"2^{round(value).bit_length() - 1}"

    if low is not None and high is not None:
        return f", {text(low)} to {text(high)}"
    parts = []
    if low is not None:
        parts.append(f"at least {text(low)}")
    if above is not None:
        parts.append(f"more than {text(above)}")
    if high is not None:
        parts.append(f"at most {text(high)}")
    if below is not None:
        parts.append(f"less than {text(below)}")
    return ", " + ", ".join(parts) if parts else ""


def setting_type(name: str, field: FieldInfo) -> str:
    """What a render setting may be."""
    if name in SPECIAL:
        return SPECIAL[name]
    bounds = dict.fromkeys(("ge", "le", "gt", "lt"))
    for rule in field.metadata:
        bounds.update(
            {key: value for key in bounds if (value := getattr(rule, key, None)) is not None}
        )
    words = describe_type(field.annotation)
    return words + describe_range(bounds["ge"], bounds["le"], bounds["gt"], bounds["lt"])


def setting_default(name: str) -> str:
    """What a render setting is where nobody says otherwise: that of the default preset."""
    value = getattr(RenderSettings.from_preset(), name)
    return show_default(show_fps(value) if name == "fps" else value)


def show_default(value: Any) -> str:
    """A default as a table shows it."""
    if value is None or value is inspect.Parameter.empty:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value.value if isinstance(value, Enum) else value)


def spelled(parameter: inspect.Parameter, info: OptionInfo, kind: Any) -> str:
    """All spellings of an option."""
    # Inside Annotated, Typer takes the first spelling for a default.
    first = (info.default,) if isinstance(info.default, str) else ()
    given = (*first, *(info.param_decls or ()))
    if not any(text.startswith("--") for text in given):
        long = "--" + parameter.name.replace("_", "-")
        given = (*given, f"{long}/--no-{long[2:]}" if bare(kind) is bool else long)
    words = [word for text in given if text.startswith("-") for word in text.split("/")]
    return ", ".join(
        f"`{word}`" for word in sorted(words, key=lambda word: not word.startswith("--"))
    )


def row(parameter: inspect.Parameter, kind: Any, info: Any) -> str:
    """One line of a table of options."""
    fields = RenderSettings.model_fields
    name = parameter.name
    if name in get_type_hints(RenderOptions) or (name == "device" and bare(kind) is str):
        takes, default = setting_type(name, fields[name]), setting_default(name)
        takes = "" if bare(kind) is bool else takes
    else:
        takes = (
            "" if bare(kind) is bool else describe_type(kind) + describe_range(info.min, info.max)
        )
        default = show_default(parameter.default)
        default = "" if default == "off" else default
    if info.envvar:
        takes += f"; else {info.envvar} of the environment"
    needed = " Needed." if parameter.default is inspect.Parameter.empty else ""
    cells = spelled(parameter, info, kind), takes, default, (info.help or "") + needed
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def option_tables(command: Command) -> Iterator[str]:
    """The options, a table a panel of the help."""
    panels: dict[str, list[str]] = {}
    for parameter, kind, info in parameters(command):
        if isinstance(info, OptionInfo):
            panel = info.rich_help_panel if isinstance(info.rich_help_panel, str) else "Options"
            panels.setdefault(panel, []).append(row(parameter, kind, info))
    for panel, rows in panels.items():
        yield f"{panel}:\n\n| option | takes | default | |\n|---|---|---|---|\n" + "\n".join(rows)


def synopsis(command: Command) -> str:
    """How the command is called."""
    words = [f"talkhead {command.words}"]
    rest = "[OPTIONS]"
    for parameter, kind, info in parameters(command):
        needed = parameter.default is inspect.Parameter.empty
        if isinstance(info, ArgumentInfo):
            name = parameter.name.upper() + (" ..." if get_origin(bare(kind)) is list else "")
            words.append(name if needed else f"[{name}]")
        elif needed:
            rest = f"{spelled(parameter, info, kind).split(',')[0].strip('`')} {parameter.name.upper()} {rest}"
    return " ".join([*words, rest])


def arguments(command: Command) -> str:
    """The arguments as a table, empty where there are none."""
    rows = [
        f"| `{parameter.name.upper()}` | {describe_type(kind)} | {info.help or ''} |"
        for parameter, kind, info in parameters(command)
        if isinstance(info, ArgumentInfo)
    ]
    return "| argument | takes | |\n|---|---|---|\n" + "\n".join(rows) if rows else ""


def exit_codes(page: str) -> str:
    """The exit codes that a command can end with, as the README explains them."""
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    meanings = {9: "`talkhead verify`: a file lacks a mark that it should have"}
    meanings |= {
        int(code): text for code, text in re.findall(r"^\| (\d+) \| (.*) \|$", readme, re.M)
    }
    codes = sorted({value for name, value in vars(errors).items() if name.startswith("EXIT_")})
    rows = [
        f"| {code} | {meanings[code]} |" for code in codes if page in OWN_CODES.get(code, {page})
    ]
    return "| code | meaning |\n|---|---|\n" + "\n".join(rows)


def sections(command: Command, heading: str) -> Iterator[str]:
    """A command's part of a page."""
    yield f"{heading} talkhead {command.words}"
    yield from command.paragraphs
    yield f"```\n{synopsis(command)}\n```"
    if table := arguments(command):
        yield table
    yield from option_tables(command)
    if command.examples:
        yield "Examples:"
        yield "```bash\n" + "\n".join(command.examples) + "\n```"


def page(name: str, commands: list[Command]) -> str:
    """A page's whole text."""
    parts = [NOTICE]
    if len(commands) > 1 or commands[0].words != name:
        parts.append(f"# talkhead {name}")
        parts += [part for command in commands for part in sections(command, "##")]
    else:
        parts += sections(commands[0], "#")
    names = get_type_hints(RenderOptions)
    if any(item.name in names for command in commands for item, _, _ in parameters(command)):
        parts.append(
            "Defaults of motion, picture and encoding are those of the preset `talkhead`; another preset may say "
            "otherwise, and an option wins over any. More on each option: [cli.md](../cli.md)."
        )
    rows = "\n".join(f"| `{key}` | {text} |" for key, text in ENVIRONMENT.items())
    parts += ["## Environment", "| variable | |\n|---|---|\n" + rows]
    parts += ["## Exit codes", exit_codes(name)]
    return "\n\n".join(parts) + "\n"


def index(pages: dict[str, list[Command]]) -> str:
    """The page that lists the others."""
    rows = [
        f"| [`talkhead {command.words}`]({name}.md) | {' '.join(command.paragraphs[0].split())} |"
        for name, commands in pages.items()
        for command in commands
    ]
    table = "| command | |\n|---|---|\n" + "\n".join(rows)
    return f"{NOTICE}\n\n# Commands\n\n{table}\n"


def write_all() -> dict[Path, str]:
    """Path to text of every page."""
    pages = commands_by_page()
    texts = {FOLDER / f"{name}.md": page(name, commands) for name, commands in pages.items()}
    return {FOLDER / "README.md": index(pages), **texts}


def main() -> int:
    """Write the pages, or with --check tell which are not as the code is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; 1 where a page is stale"
    )
    check = parser.parse_args().check
    texts = write_all()
    FOLDER.mkdir(exist_ok=True)
    stale = [path for path in FOLDER.glob("*.md") if path not in texts]
    stale += [
        path
        for path, text in texts.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if not check:
            path.unlink(missing_ok=True)
            if path in texts:
                path.write_text(texts[path], encoding="utf-8")
        sys.stderr.write(f"{path.relative_to(DOCS.parent)}: {'stale' if check else 'written'}\n")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
