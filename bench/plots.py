"""The plots of a full run: what single calls cost, how settings matter, and whether long logs stay cheap."""

import os

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "trajlog"}


def call_time(axes, series):
    for name, label in (("call_time_log", "trajlog_log"), ("call_time_memcpy", "memcpy")):
        times = sorted(series[name]["y"])
        axes.plot(times, [(i + 0.5) / len(times) for i in range(len(times))], label=label)
    axes.set(xscale="log", xlabel="time of a call [us], 12 KB frame, cold queue", ylabel="fraction of calls")
    axes.legend()


def chunk_rows(axes, series):
    line = series["chunk_rows"]
    axes.plot(line["x"], line["y"], "o-")
    axes.set(xscale="log", xlabel=line["x_label"], ylabel=line["y_label"], ylim=(0, None))


def levels(axes, series):
    speed, size = series["level_speed"], series["level_size"]
    axes.plot(size["y"], speed["y"], "o")
    for level, x, y in zip(speed["x"], size["y"], speed["y"]):
        axes.annotate(f" {level:.0f}", (x, y))
    axes.set(xlabel="bytes per particle (12 uncompressed)", ylabel="MB/s, one worker", ylim=(0, None))


def row_cost(axes, series):
    line = series["row_cost"]
    axes.plot(line["x"], line["y"], ".")
    axes.set(xlabel="row", ylabel=line["y_label"], ylim=(0, None))


PLOTS = [
    ("call_time", call_time, "How long single calls take"),
    ("chunk_rows", chunk_rows, "Throughput by rows per chunk"),
    ("levels", levels, "Speed and size of the levels of deflate"),
    ("row_cost", row_cost, "Cost per row along a log of a million rows"),
]


def make(series, directory):
    """Paths and titles of those that could be made: a quick run has no series."""
    needed = {"call_time": "call_time_log", "chunk_rows": "chunk_rows", "levels": "level_speed", "row_cost": "row_cost"}
    made = []
    with plt.rc_context(STYLE):
        for name, draw, title in PLOTS:
            if needed[name] not in series:
                continue
            figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
            draw(axes, series)
            path = os.path.join(directory, f"performance-{name}.svg")
            figure.savefig(path, metadata={"Date": None})
            plt.close(figure)
            made.append((path, title))
    return made
