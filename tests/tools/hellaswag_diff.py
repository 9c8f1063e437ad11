#!/usr/bin/env python3
"""Compares two files of quadriga eval hellaswag --per-task, as of a usual run and one with
--no-share: how far sums of log-probabilities are apart, and which choices differ. Run by hand.

    hellaswag_diff.py A.csv B.csv

Exit code 1 where a sum differs by more than 1e-2, where more than one choice in a thousand does in
one of the figures, or where the files do not have the same tasks; 2: a file cannot be read."""
import csv
import math
import sys

SUMS = ["logprob_%d" % e for e in range(4)]
COUNTS = ["index", "label"] + ["%s_%d" % (what, e) for what in ("tokens", "chars", "bytes")
                               for e in range(4)]
FIGURES = ["acc", "acc_norm", "acc_bytes", "acc_tok"]
BOUND, SHARE = 1e-2, 1e-3


def read(path):
    with open(path, newline="") as file:
        belongs = file.readline().strip()
        if not belongs.startswith("# quadriga eval hellaswag: "):
            raise ValueError("the first line is not that of a file of --per-task")
        rows = {}
        for row in csv.DictReader(file):
            whole = {name: int(row[name]) for name in COUNTS + FIGURES}
            whole["sums"] = [float(row[name]) for name in SUMS]
            if not all(math.isfinite(s) for s in whole["sums"]):
                raise ValueError("task %d: a sum is no number" % whole["index"])
            rows[whole["index"]] = whole
    if not rows:
        raise ValueError("there are no rows")
    return belongs.replace(" no-share", ""), rows


def same_tasks(a, b):
    if a[0] != b[0]:
        print("the files belong to different evaluations:\n  %s\n  %s" % (a[0], b[0]))
        return False
    if a[1].keys() != b[1].keys():
        print("tasks: %d and %d, %d of them in both" %
              (len(a[1]), len(b[1]), len(a[1].keys() & b[1].keys())))
        return False
    for index, row in a[1].items():
        for name in COUNTS:
            if row[name] != b[1][index][name]:
                print("task %d: %s is %d and %d" % (index, name, row[name], b[1][index][name]))
                return False
    return True


def compare(a, b):
    n = len(a)
    apart = [(abs(s - t), i, e) for i in a for e, (s, t) in enumerate(zip(a[i]["sums"],
                                                                            b[i]["sums"]))]
    worst, task, ending = max(apart)
    print("%d tasks, %d sums: at most %.3e apart (task %d, ending %d), %.3e on average" %
          (n, len(apart), worst, task, ending, sum(x[0] for x in apart) / len(apart)))
    ok = worst <= BOUND
    for name in FIGURES:
        other = sorted(i for i in a if a[i][name] != b[i][name])
        right = [sum(rows[i][name] == rows[i]["label"] for i in rows) for rows in (a, b)]
        print("%-9s %d choices differ (%.4f %%)%s; right: %d and %d" %
              (name, len(other), 100 * len(other) / n,
               ": tasks " + " ".join(map(str, other[:20])) if other else "", *right))
        ok = ok and len(other) <= SHARE * n
    return ok


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    files = []
    for path in sys.argv[1:]:
        try:
            files.append(read(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            print("%s: %s" % (path, error), file=sys.stderr)
            return 2
    return 0 if same_tasks(*files) and compare(files[0][1], files[1][1]) else 1


sys.exit(main())
