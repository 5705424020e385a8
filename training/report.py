"""`python report.py WITHOUT.json WITH.json`: the tables and the plot of docs/ghost-attention.md and the model card, from evaluations.

Tables stand between `<!-- name -->` and `<!-- /name -->`.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE, CARD, PLOT = ROOT / "docs/ghost-attention.md", ROOT / "models/demo/README.md", ROOT / "docs/ghost-attention.svg"
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16, 20, 25)
Shares = dict[str, list[float]]

# Colours that people who confuse red and green can tell apart (Okabe and Ito), and a dash of its own for each.
STYLES = {
    "with GAtt": ("#0072B2", ""),
    "without, every_turn": ("#009E73", "7 3"),
    "without, last_turn": ("#E69F00", "2 3"),
    "without": ("#D55E00", "10 3 2 3"),
}


def mean(shares: Shares) -> list[float]:
    return [sum(at) / len(at) for at in zip(*shares.values())]


def percent(share: float) -> str:
    return f"{100 * share:.0f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def endurance_table(series: dict[str, Shares]) -> str:
    rows = [
        [name, kind, *(percent(values[turn - 1]) for turn in SHOWN)]
        for name, shares in series.items()
        for kind, values in [*shares.items(), ("mean", mean(shares))]
    ]
    return table(["model and mode", "instruction", *(str(turn) for turn in SHOWN)], rows)


def plot(series: dict[str, list[float]]) -> str:
    width, height, left, top, right, bottom = 720, 360, 56, 20, 190, 48
    turns = len(next(iter(series.values())))
    x = lambda turn: left + (turn - 1) * (width - left - right) / (turns - 1)
    y = lambda share: top + (1 - share) * (height - top - bottom)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        "<title>Share of conversations that obey their system message, by turn</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<path d="M{left} {y(share):.1f}H{width - right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{percent(share)} %</text>')
    for turn in (1, 5, 10, 15, 20, turns):
        parts.append(f'<text x="{x(turn):.1f}" y="{height - bottom + 18}" text-anchor="middle">{turn}</text>')
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 10}" text-anchor="middle">turn of the conversation</text>')
    # Labels stand at the ends of their lines, pushed apart.
    place = 0.0
    for name, values in sorted(series.items(), key=lambda item: -item[1][-1]):
        colour, dash = STYLES[name]
        points = " ".join(f"{x(i + 1):.1f},{y(value):.1f}" for i, value in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>')
        place = max(place + 16, y(values[-1]) + 4)
        parts.append(f'<text x="{width - right + 8}" y="{place:.1f}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def fill(path: Path, name: str, text: str) -> None:
    """Puts a table between its marks."""
    page = path.read_text()
    marks = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marks.search(page):
        raise SystemExit(f"{path} has no place for the table {name!r}.")
    path.write_text(marks.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page))


def main(without: Path, with_gatt: Path) -> None:
    before, after = (json.loads(path.read_text()) for path in (without, with_gatt))
    modes = before["endurance"]
    series = {
        "with GAtt": after["endurance"]["first"],
        "without": modes["first"],
        "without, every_turn": modes["every_turn"],
        "without, last_turn": modes["last_turn"],
    }
    fill(PAGE, "endurance", endurance_table(series))
    PLOT.write_text(plot({name: mean(shares) for name, shares in series.items()}))
    rows = [[name, percent(before["accuracy"][name]), percent(share)] for name, share in after["accuracy"].items()]
    rows.append(["perplexity of answers", f"{before['perplexity']:.4f}", f"{after['perplexity']:.4f}"])
    fill(CARD, "accuracy", table(["asked in ways never trained on", "without GAtt, %", "this model, %"], rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
