#!/usr/bin/env python3
"""Makes the table, BUILD/bench.json, the plots and the tables of doc/performance.md of what bench/run.py measured."""

import argparse
import json
import os

# name, what is compared, target (None: to compare another figure with), which way is better, unit
FIGURES = [
    ("stall_vs_memcpy_12k", "trajlog_log / memcpy, 12 KB frames", 1.15, "lower", ""),
    ("stall_vs_memcpy_1m2", "trajlog_log / memcpy, 1.2 MB frames", 1.15, "lower", ""),
    ("stall_vs_memcpy_12m", "trajlog_log / memcpy, 12 MB frames", 1.15, "lower", ""),
    ("stall_ns_scalars", "trajlog_log, one group of 8 doubles", 100, "lower", "ns"),
    ("stall_ns_not_due", "trajlog_log, nothing due", 10, "lower", "ns"),
    ("drain_vs_write_12k", "open to close / write(2), 12 KB frames", 0.95, "higher", ""),
    ("drain_vs_write_1m2", "open to close / write(2), 1.2 MB frames", 0.95, "higher", ""),
    ("drain_vs_write_12m", "open to close / write(2), 12 MB frames", 0.95, "higher", ""),
    ("ring_vs_write_12k", "two threads and a ring, nothing else / write(2), 12 KB", None, "higher", ""),
    ("ring_vs_write_1m2", "the same, 1.2 MB", None, "higher", ""),
    ("ring_vs_write_12m", "the same, 12 MB", None, "higher", ""),
    ("drain_vs_ring_12k", "open to close / two threads and a ring, 12 KB", None, "higher", ""),
    ("drain_vs_ring_1m2", "the same, 1.2 MB", None, "higher", ""),
    ("drain_vs_ring_12m", "the same, 12 MB", None, "higher", ""),
    ("drain_vs_naive_12k", "open to close / H5Dwrite per frame, 12 KB", 2, "higher", ""),
    ("scalars_vs_naive", "records of 8 doubles / H5Dwrite per value", 100, "higher", ""),
    ("deflate_vs_hdf5", "compressed MB/s / HDF5's own filters", 12, "higher", ""),
    ("deflate_size_vs_hdf5", "compressed bytes / HDF5's own filters", 1.05, "lower", ""),
    ("lossy_bytes_per_particle", "positions within 0.0005 nm", 5.5, "lower", "bytes"),
    ("lossy_vs_xtc_speed", "the same, MB/s / XTC", 4, "higher", ""),
    ("commit_overhead", "commit driver / stock driver, both with a flush each 20 ms, 12 KB frames", 0.97, "higher", ""),
    ("commit_overhead_1m2", "the same, 1.2 MB frames", 0.97, "higher", ""),
    ("read_vs_read2", "frames in sequence / read(2)", 0.9, "higher", ""),
    ("read_deflate_vs_h5py", "compressed frames / h5py", 4, "higher", ""),
    ("series_vs_h5py", "one particle's series / h5py", 20, "higher", ""),
    ("row_cost_1e6_vs_1e3", "cost per row, late / early", 1.05, "lower", ""),
    ("rss_growth_kib", "memory growth, 10^4 to 10^6 rows", 1024, "lower", "KiB"),
    ("lammps_overhead", "LAMMPS, x and v every 10 steps / no output", 1.01, "lower", ""),
    ("peer_gsd_12k", "caller's time, GSD / ours", 10, "higher", ""),
    ("peer_h5py_queue_12k", "caller's time, h5py thread and queue / ours", 10, "higher", ""),
]
NOT_MEASURED = "was not measured"


def read_results(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def make_figures(results):
    """What goes to bench.json: every name of the table; the value is null where there is none."""
    found = {line["name"]: line for line in results if "name" in line}
    why = {line["missing"]: line["why"] for line in results if "missing" in line}
    figures = {}
    for name, _, target, better, unit in FIGURES:
        entry = {"value": None, "target": target, "better": better}
        if name in found:
            entry.update({key: found[name][key] for key in ("value", "low", "high", "samples", "note")}, unit=unit)
        else:
            entry["missing"] = why.get(name, NOT_MEASURED)
        figures[name] = entry
    return figures


def meets(entry):
    if entry["better"] == "lower":
        return entry["value"] <= entry["target"]
    return entry["value"] >= entry["target"]


def verdict(entry):
    if entry["value"] is None:
        return "missing"
    if entry["target"] is None:
        return "-"
    return "yes" if meets(entry) else "no"


def number(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cells(name, what, entry):
    sign = "<=" if entry["better"] == "lower" else ">="
    target = "-" if entry["target"] is None else f"{sign} {number(entry['target'])}"
    if entry["value"] is None:
        return [name, what, target, "-", "-", "missing", entry["missing"]]
    spread = f"{number(entry['low'])} - {number(entry['high'])}" if entry["samples"] > 1 else "-"
    value = f"{number(entry['value'])} {entry['unit']}".strip()
    return [name, what, target, value, spread, verdict(entry), entry["note"]]


HEADINGS = ["name", "what", "target", "median", "quartiles", "met", "absolute figures, or why not"]


def rows_of(figures):
    return [cells(name, what, figures[name]) for name, what, *_ in FIGURES]


def print_table(figures, machine):
    rows = [HEADINGS, *rows_of(figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS) - 1)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]).rstrip())
    print()
    for key, value in machine.items():
        print(f"{key}: {value}")


# ---------------------------------------------------------------------------------------------------------------------
# doc/performance.md

BEGIN = "<!-- made by bench/report.py: begin -->"
END = "<!-- made by bench/report.py: end -->"


def markdown(figures, machine, plots):
    lines = ["", "| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join([f"`{row[0]}`", *row[1:]]) + " |" for row in rows_of(figures)]
    lines += ["", "The median of pairs that were measured in turns, and the quartiles."]
    lines += ["", "| machine | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in machine.items()]
    lines += [line for name, text in plots for line in ("", f"![{text}]({name})")]
    return "\n".join([*lines, "", ""])


def write_markdown(path, text):
    with open(path, encoding="utf-8") as file:
        document = file.read()
    before, found, rest = document.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise SystemExit(f"{path}: the lines {BEGIN} and {END} are missing")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + text + END + after)


def make_plots(series, directory, document):
    import plots

    os.makedirs(directory, exist_ok=True)
    base = os.path.dirname(document) if document else directory
    made = plots.make(series, directory)
    return [(os.path.relpath(path, base), text) for path, text in made]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables between the two markers of this document")
    parser.add_argument("--plots", metavar="DIRECTORY", help="make the plots of a full run there")
    arguments = parser.parse_args()
    results = read_results(os.path.join(arguments.build, "bench", "results.jsonl"))
    machine = next(line["machine"] for line in results if "machine" in line)
    figures = make_figures(results)
    with open(os.path.join(arguments.build, "bench.json"), "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=4)
        file.write("\n")
    plots = []
    if arguments.plots:
        series = {line["series"]: line for line in results if "series" in line}
        plots = make_plots(series, arguments.plots, arguments.markdown)
    if arguments.markdown:
        write_markdown(arguments.markdown, markdown(figures, machine, plots))
    print_table(figures, machine)


if __name__ == "__main__":
    main()
