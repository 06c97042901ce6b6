"""Write into every model card, docs/model-cards/NAME.md, what its bundle says of itself: `make docs`.

Hash, size, parameters, data tier, licence and training command are those of the bundle's header and file; the rest of a
card is written by hand. A bundle without a card is an error.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from talkhead_cli.weights import BundleSummary, describe_bundles
from talkhead_models.bundle import load_bundle

FOLDER = Path(__file__).parent / "model-cards"

BEGIN, END = "<!-- header: written by `make docs` -->", "<!-- end of header -->"
FIGURES, END_FIGURES = "<!-- figures: from models/RESULTS.md -->", "<!-- end of figures -->"

RESULTS = Path(__file__).parent.parent / "models" / "RESULTS.md"

COLUMNS = (
    "closures",
    "openings",
    "openness corr.",
    "real lips corr., studio",
    "FMD",
    "head turn (deg)",
)
"""Of the table of presets, what a generator's card shows."""


def header(bundle: BundleSummary) -> str:
    """The part of a card that the bundle tells."""
    tensors = load_bundle(bundle.name).tensors.values()
    rows = {
        "bundle": f"`{bundle.name}`, {bundle.size / 1e6:.1f} MB (safetensors)",
        "numbers in it": f"{sum(tensor.numel() for tensor in tensors):,}",
        "sha256": f"`{bundle.sha256}`",
        "data tier": bundle.data_tier,
        "licence": bundle.licence,
        "trained by": f"`{bundle.training_command}`",
    }
    lines = [f"| {key} | {value} |" for key, value in rows.items()]
    return "\n".join([BEGIN, "", "| | |", "|---|---|", *lines, "", END])


def preset_rows() -> dict[str, dict[str, str]]:
    """The table of presets of RESULTS.md: name to its cells by column, arrows and deviations left out."""
    text = RESULTS.read_text(encoding="utf-8")
    table = re.findall(
        r"^<!-- table presets -->.*?^(\| \|.*?)\n\n", text, re.MULTILINE | re.DOTALL
    )[0]
    heading, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
    ]
    names = [name.rstrip(" ↑↓") for name in heading]
    return {
        row[0].strip("`"): {
            name: cell.split(" ± ")[0] for name, cell in zip(names, row, strict=True)
        }
        for row in rows
    }


def figures(name: str) -> str:
    """A generator's figures, and those of real motion where there are any."""
    found = preset_rows()
    lines = ["| " + " | ".join(["", *COLUMNS]) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for row, title in ((name, f"`{name}`"), ("real motion", "real motion")):
        lines.append("| " + " | ".join([title, *(found[row][column] for column in COLUMNS)]) + " |")
    return "\n".join([FIGURES, "", *lines, "", END_FIGURES])


def filled(text: str, begin: str, end: str, block: str) -> tuple[str, int]:
    """A text with a block in place of what is between two marks, and how often they are there."""
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    return re.subn(pattern, lambda _: block, text, flags=re.DOTALL)


def write_all() -> dict[Path, str]:
    """Path to text of every card.

    Raises:
        SystemExit: a bundle has no card, or a card no place for the header.
    """
    found = {}
    for bundle in describe_bundles():
        path = FOLDER / f"{bundle.name}.md"
        if not path.exists():
            raise SystemExit(f"{path.name}: the bundle {bundle.name} has no card; write one")
        text = path.read_text(encoding="utf-8")
        new, count = filled(text, BEGIN, END, header(bundle))
        if count != 1:
            raise SystemExit(f"{path.name}: there is no place for the header")
        if FIGURES in new:
            new, _ = filled(new, FIGURES, END_FIGURES, figures(bundle.name))
        found[path] = new
    return found


def main() -> int:
    """Write the cards, or with --check tell which are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; 1 where a card is stale"
    )
    check = parser.parse_args().check
    stale = {path: text for path, text in write_all().items() if path.read_text("utf-8") != text}
    for path, text in stale.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        sys.stderr.write(f"docs/model-cards/{path.name}: {'stale' if check else 'written'}\n")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
