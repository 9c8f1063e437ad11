#!/usr/bin/env python3
"""Draws the work of the devices in a trace (quadriga --trace) as an SVG: a row per device, a box per
step, of the longest run from its first step until the devices are empty.

usage: trace_svg.py TRACE.json [FIRST LAST] >OUT.svg     (steps of that run, counted from 0)"""
import json
import sys

WIDTH, LEFT, TOP, ROW, GAP = 960, 60, 34, 30, 10
COLOURS = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#b07aa1"]


def read(path):
    with open(path) as file:
        events = json.load(file)["traceEvents"]
    rows = {}
    for e in events:
        if e["ph"] == "X" and e["cat"] == "work":
            rows.setdefault(e["pid"], []).append(
                (e["args"]["step"], e["ts"], e["ts"] + e["dur"], e["args"]["tokens"]))
    return [rows[d] for d in sorted(rows)]


def longest(rows):
    """Steps of the run with the most: a new one begins where all before are done."""
    starts = {s: b for s, b, _, _ in reversed(rows[0])}
    ends = {s: e for s, _, e, _ in rows[-1]}
    runs, run = [], []
    for s in sorted(starts):
        if run and starts[s] > ends[s - 1]:
            runs.append(run)
            run = []
        run.append(s)
    runs.append(run)
    return max(reversed(runs), key=len)


def main():
    rows = read(sys.argv[1])
    steps = longest(rows)
    if len(sys.argv) > 3:
        steps = steps[int(sys.argv[2]):int(sys.argv[3]) + 1]
    shown = [[w for w in row if w[0] in steps] for row in rows]
    zero = min(w[1] for row in shown for w in row)
    end = max(w[2] for row in shown for w in row)
    scale = (WIDTH - LEFT - 10) / (end - zero)
    height = TOP + len(rows) * (ROW + GAP) + 24
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           f'font-family="sans-serif" font-size="11">',
           f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>']
    fill = min(w[1] for w in shown[-1])
    drain = max(w[2] for w in shown[0])
    for at, text, anchor in ((fill, "full", "start"), (drain, "drains", "end")):
        x = LEFT + (at - zero) * scale
        out.append(f'<path d="M{x:.1f} {TOP - 8}V{height - 22}" stroke="#888" '
                   f'stroke-dasharray="3 3"/>')
        out.append(f'<text x="{x:.1f}" y="{TOP - 14}" text-anchor="{anchor}">{text}</text>')
    for d, row in enumerate(shown):
        y = TOP + d * (ROW + GAP)
        out.append(f'<text x="8" y="{y + ROW / 2 + 4}">[{d}]</text>')
        out.append(f'<rect x="{LEFT}" y="{y}" width="{(end - zero) * scale:.1f}" height="{ROW}" '
                   f'fill="#eee"/>')
        for s, b, e, tokens in row:
            x, w = LEFT + (b - zero) * scale, (e - b) * scale
            n = s - steps[0]
            out.append(f'<rect x="{x:.2f}" y="{y}" width="{w:.2f}" height="{ROW}" '
                       f'fill="{COLOURS[n % len(COLOURS)]}"><title>step {n}: {tokens} tokens, '
                       f'{(e - b) / 1e3:.1f} ms</title></rect>')
            if w > 14:
                out.append(f'<text x="{x + w / 2:.1f}" y="{y + ROW / 2 + 4}" fill="#fff" '
                           f'text-anchor="middle">{n}</text>')
    y = height - 8
    out.append(f'<text x="{LEFT}" y="{y}">0</text>')
    out.append(f'<text x="{WIDTH - 10}" y="{y}" text-anchor="end">'
               f'{(end - zero) / 1e3:.0f} ms</text>')
    print("\n".join(out) + "\n</svg>")


main()
