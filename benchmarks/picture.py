"""Pictures of numbers over the number of callers, as SVG that looks the same for the same numbers.

A template, because a page needs a handful of lines and no more: drawing libraries write fonts, ids
and dates that change with every run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from math import ceil, log10

WIDTH, HEIGHT = 880, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 270, 40, 45
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
OURS = ("#c2410c", "#ea9a5b", "#7c2d12")
OTHERS = ("#1d4ed8", "#0f766e", "#6d28d9", "#4b5563", "#0369a1", "#4d7c0f", "#a21caf", "#334155")
HEAD = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
    'font-family="sans-serif" font-size="12" role="img">'
)
# White, whatever the page around it is.
BACKGROUND = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'


def draw(
    title: str, levels: Iterable[int], lines: Mapping[str, tuple[Sequence[float], bool]]
) -> str:
    """Draw one line per name.

    Args:
        title: What stands above.
        levels: The values of the x axis, evenly spaced.
        lines: By name: one value per level, and whether it is to stand out.
    """
    ticks = list(levels)
    top = _round_up(max((max(values) for values, _ in lines.values()), default=1.0))
    parts = [HEAD, BACKGROUND, _text(LEFT, 22, title, 'font-size="15"')]
    parts += _axes(ticks, top)
    parts += _lines(lines, len(ticks), top)
    return "\n".join((*parts, "</svg>", ""))


def _axes(ticks: Sequence[int], top: float) -> list[str]:
    parts = []
    for step in range(5):
        value = top * step / 4
        y = _y(value, top)
        parts += [
            f'<path d="M{LEFT} {y}H{LEFT + PLOT_WIDTH}" stroke="#e5e7eb"/>',
            _text(LEFT - 8, y + 4, f"{value:,.0f}", 'text-anchor="end"'),
        ]
    for at, tick in enumerate(ticks):
        x = _x(at, len(ticks))
        parts.append(_text(x, HEIGHT - BOTTOM + 18, f"{tick}", 'text-anchor="middle"'))
    middle = LEFT + PLOT_WIDTH / 2
    return [*parts, _text(middle, HEIGHT - 8, "callers at once", 'text-anchor="middle"')]


def _lines(lines: Mapping[str, tuple[Sequence[float], bool]], ticks: int, top: float) -> list[str]:
    parts = []
    looks = dict(zip(lines, _looks(stands_out for _, stands_out in lines.values()), strict=True))
    # The legend follows the lines' right ends from top to bottom.
    ranked = sorted(lines.items(), key=lambda line: -line[1][0][-1])
    for row, (name, (values, stands_out)) in enumerate(ranked):
        points = " ".join(f"{_x(at, ticks)},{_y(value, top)}" for at, value in enumerate(values))
        x, y = WIDTH - RIGHT + 14, TOP + 12 + row * 20
        parts += [
            f'<polyline points="{points}" fill="none" {looks[name]}/>',
            f'<path d="M{x} {y - 4}h24" {looks[name]}/>',
            _text(x + 30, y, name, 'font-weight="bold"' if stands_out else ""),
        ]
    return parts


def _looks(stand_out: Iterable[bool]) -> Iterator[str]:
    """Tell lines apart by colours, and by dashes where these repeat."""
    used = {True: 0, False: 0}
    for stands_out in stand_out:
        colours, width = (OURS, 3) if stands_out else (OTHERS, 1.5)
        turn, at = divmod(used[stands_out], len(colours))
        used[stands_out] += 1
        dashes = f' stroke-dasharray="{6 - 2 * turn} 3"' if turn else ""
        yield f'stroke="{colours[at]}" stroke-width="{width}"{dashes}'


def _text(x: float, y: float, text: str, look: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="#111827" {look}>{escape(text)}</text>'


def _x(at: int, ticks: int) -> float:
    return round(LEFT + PLOT_WIDTH * at / max(ticks - 1, 1), 1)


def _y(value: float, top: float) -> float:
    return round(TOP + PLOT_HEIGHT * (1 - value / top), 1)


def _round_up(value: float) -> float:
    """Return the next number whose quarters are easy to read."""
    unit = 10.0 ** int(log10(max(value, 1.0)))
    return ceil(value / unit / 0.4) * 0.4 * unit
