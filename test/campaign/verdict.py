"""The judge of logs whose writer was killed: plain h5py, h5dump and h5ls, and our reader; no repair, no flag.

A file must be an exact prefix of what was logged, and reach at least as far as the writer was told."""

import json
import shutil
import subprocess
import zlib

import h5py
import numpy

import plans

BLOCK = 8 << 20


class Violation(AssertionError):
    pass


def require(truth, *what):
    if not truth:
        raise Violation(" ".join(map(str, what)))


def same_bytes(array, expected):
    """Whether an array has these bytes, row by row."""
    return numpy.ascontiguousarray(array).tobytes() == numpy.ascontiguousarray(expected).tobytes()


def content(dataset):
    """All of it. A scalar string keeps its null bytes only as an array."""
    return numpy.asarray(dataset[()], dtype=dataset.dtype)


# ----------------------------------------------------------------------------------------------------------------------
# What the writer said


class Report:
    """The lines of a writer, which has begun at the step `first`: what it was told by the library before it was killed."""

    def __init__(self, text, first=None):
        self.first, self.lines = first, text.split("\n")[:-1]
        self.resuming = self.created = self.logged = self.closing = self.closed = False
        self.flushed = self.synced = self.dropped = self.failed = self.checkpointed = None
        for line in self.lines:
            word, _, rest = line.strip().partition(" ")
            if word in ("flushed", "synced", "checkpointed"):
                self.flushed = int(rest)
                self.synced = self.synced if word == "flushed" else int(rest)
                self.checkpointed = int(rest) if word == "checkpointed" else self.checkpointed
            elif word == "closing":
                self.closing, self.dropped = True, int(rest)
            elif word == "failed":
                self.failed = rest
            else:
                require(word in ("resuming", "created", "logged", "closed"), "the writer said", line)
                setattr(self, word, True)


# ----------------------------------------------------------------------------------------------------------------------
# The file


def length(dataset):
    return dataset.shape[0] if dataset.shape else 0


def check_counts(plan, group, steps, where):
    """How many particles there are, and room for all of them; returns for how many."""
    counts = plans.particle_counts(plan, group, steps)
    require(same_bytes(where["count"][()], counts), group.name, "count")
    capacity = where[group.fields[0].name].shape[1]
    doublings = [group.varying * 2**k for k in range(20)]
    require(capacity in doublings and capacity >= max(counts, default=0), group.name, "has room for", capacity)
    return capacity


def check_rows(plan, group, steps, salts, file):
    """All datasets of a group with a time axis: the same number of rows, and the right bytes in each of them."""
    where = file[group.name]
    names = [*(field.name for field in group.fields), *(["count"] if group.varying else [])]
    require(json.loads(where.attrs["paths"]) == names, group.name, "paths")
    for name in ["time", *names]:
        require(length(where[name]) == len(steps), group.name, name, "has", length(where[name]), "rows; step has",
                len(steps))
    require(same_bytes(where["time"][()], plan.time(steps)), group.name, "time")
    capacity = check_counts(plan, group, steps, where) if group.varying else None
    for field in group.fields:
        dataset = where[field.name]
        shape = field.shape if capacity is None else (capacity, *field.shape[1:])
        require(dataset.shape[1:] == tuple(shape), group.name, field.name, "shape", dataset.shape)
        count = max(1, BLOCK // max(1, field.bytes))
        for row in range(0, len(steps), count):
            some = slice(row, min(row + count, len(steps)))
            if capacity is None:
                expected = plans.frame_bytes(field, salts(steps[some]), steps[some])
            else:
                expected = plans.particle_bytes(plan, group, field, salts(steps[some]), steps[some], capacity)
            require(same_bytes(dataset[some], expected), group.name, field.name, "differs in the rows", some.start, "to",
                    some.stop - 1)


def check_once(plan, group, file):
    where = file[group.name]
    require("step" in where.attrs, group.name, "was not written, though there are rows")
    for field in group.fields:
        expected = plans.frame_bytes(field, plan.once_salt, numpy.zeros(1, dtype=numpy.int64))
        require(where[field.name].shape == tuple(field.shape), group.name, field.name, "shape")
        require(same_bytes(content(where[field.name]), expected), group.name, field.name, "differs")


def read_drops(file):
    """The steps of each range of dropped frames, and how many there were."""
    drops = file["trajlog/dropped"][()] if "trajlog/dropped" in file else numpy.zeros((0, 3), dtype=numpy.int64)
    require((drops[:, 0] <= drops[:, 1]).all() and (drops[1:, 0] > drops[:-1, 1]).all() and (drops[:, 2] > 0).all(),
            "drops are no ranges, or overlap:", drops.tolist())
    return drops


def check_prefix(plan, group, steps, drops):
    """The steps of a group are the first that are due, but for frames that are listed as dropped."""
    if not len(steps):
        return
    due = group.due_steps(plan, int(max(steps[-1], plan.first)))
    require((numpy.diff(steps) > 0).all(), group.name, "steps do not increase")
    require(numpy.isin(steps, due).all(), group.name, "has rows of steps that were not due")
    missing = numpy.setdiff1d(due, steps)
    if len(missing):
        require(plan.drops, group.name, "has no rows of the steps", missing[:5].tolist(), "before its last,", steps[-1])
        listed = listed_steps(missing, drops)
        require(listed.all(), group.name, "lacks steps not listed as dropped:", missing[~listed][:5].tolist())


def listed_steps(steps, drops):
    return numpy.array([((drops[:, 0] <= step) & (step <= drops[:, 1])).any() for step in steps], dtype=bool)


def check_reported(plan, group, steps, report, drops):
    """What was flushed is there; and all of it, if the log was closed."""
    through = plan.first + plan.count - 1 if report.closed else report.flushed
    if through is None:
        return
    missing = numpy.setdiff1d(group.due_steps(plan, through), steps)
    if plan.drops:
        missing = missing[~listed_steps(missing, drops)]
    require(not len(missing), group.name, "has", len(steps), "rows; reported as safe through step", through,
            "but missing:", missing[:5].tolist())


def wrong_in_slot(plan, where, slot, salts):
    """The name of a dataset that is not as it was logged."""
    step = where["step"][slot:slot + 1]
    if not same_bytes(where["time"][slot:slot + 1], plan.time(step)):
        return "time"
    for field in plan.checkpoint.fields:
        if not same_bytes(where[field.name][slot:slot + 1], plans.frame_bytes(field, salts(step), step)):
            return field.name
    return None


def is_torn(where, group, slot):
    """Whether the slot's checksum is wrong, FNV-1a of all its bytes."""
    names = ["sequence", "step", "time", *(field.name for field in group.fields)]
    value = 0xcbf29ce484222325
    for byte in b"".join(numpy.ascontiguousarray(where[name][slot:slot + 1]).tobytes() for name in names):
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value != int(where["checksum"][slot])


def check_checkpoints(plan, file, report, salts, after_power_loss, amid_resume):
    """Those that count as complete are right; the newest is at least the last one reported, and no older than a row's
    step behind it, but where a resume that drops both was cut. Returns their steps, the newest first."""
    where, group = file["checkpoint"], plan.checkpoint
    order = [slot for slot in numpy.argsort(-where["sequence"][()]) if where["sequence"][slot] > 0]
    steps = where["step"][()]
    wrong = {slot: what for slot in order if (what := wrong_in_slot(plan, where, slot, salts))}
    if after_power_loss and (wrong or (numpy.diff(steps[order]) >= 0).any()):
        # The one that was being replaced, beside a newer one that is whole.
        order = order[:1] + [slot for slot in order[1:] if not is_torn(where, group, slot)]
    for slot in order:
        require(slot not in wrong, wrong.get(slot), "of the checkpoint of step", steps[slot])
    steps = steps[order]
    require((numpy.diff(steps) < 0).all(), "steps of the checkpoints, newest first:", steps)
    if report.checkpointed is not None:
        require(len(steps) and steps[0] >= report.checkpointed, "checkpoints of the steps", steps, "; reported",
                report.checkpointed)
    if len(steps) and not amid_resume:
        require(steps[0] < int(file.attrs["actual_steps"]), "a checkpoint of step", steps[0], "and rows only before",
                int(file.attrs["actual_steps"]))
    return [int(step) for step in steps]


def check_last_step(plan, file, report):
    actual = int(file.attrs["actual_steps"])
    last = plan.first + plan.count
    # 0 while there is none.
    require(actual == 0 or plan.first < actual <= last, "actual_steps is", actual)
    if report.flushed is not None and not plan.drops:
        require(actual > report.flushed, "actual_steps is", actual, "and step", report.flushed, "was flushed")
    if report.closed and not plan.drops:
        require(actual == last, "actual_steps is", actual, "of a closed log")


def plan_of(path):
    """The seed of the plan that a file was written by, and its groups' numbers of rows; None for a file without
    groups."""
    with h5py.File(path, "r") as file:
        require(file.attrs["trajlog_version"] == 1, "trajlog_version")
        if "group_names" not in file.attrs:
            require(not list(file), "a file without a schema has", list(file))
            return None, {}
        schema = json.loads(file.attrs["trajlog_schema"])
        rows = {name: length(file[name]["step"]) for name in json.loads(file.attrs["group_names"])
                if "step" in file[name]}
        return schema["metadata"].get("plan"), rows


def last_step(path, plan):
    """The last step that the file has anything of; None if there is none."""
    with h5py.File(path, "r") as file:
        actual = int(file.attrs.get("actual_steps", 0))
    return actual - 1 if actual > plan.first else None


def check_log(path, plan, report, salts=None, after_power_loss=False, amid_resume=False):
    """Raises Violation, or whatever is wrong. Returns the number of rows of each group; None if there are no groups.
    `salts` gives the salts of steps, where they are not all the same. After a power loss, a checkpoint may be torn, which
    its checksum tells."""
    salts = salts or (lambda steps: plan.once_salt)
    with h5py.File(path, "r") as file:
        require(file.attrs["trajlog_version"] == 1, "trajlog_version")
        if "group_names" not in file.attrs:
            require(not report.logged, "there are no groups, though a step was logged")
            require(not list(file), "a file without a schema has", list(file))
            return None
        require(json.loads(file.attrs["group_names"]) == [group.name for group in plan.logged_groups], "group_names")
        json.loads(file.attrs["trajlog_schema"])
        drops, rows = read_drops(file), {}
        for group in plan.logged_groups:
            if group.kind == "once":
                check_once(plan, group, file)
                continue
            steps = file[group.name]["step"][()]
            rows[group.name] = len(steps)
            check_prefix(plan, group, steps, drops)
            check_rows(plan, group, steps, salts, file)
            check_reported(plan, group, steps, report, drops)
        check_last_step(plan, file, report)
        if plan.checkpoint:
            check_checkpoints(plan, file, report, salts, after_power_loss, amid_resume)
        if report.closed and report.dropped is not None:
            # A resumed log also lists those of the runs before, which this writer does not count.
            own = drops if report.first is None else drops[drops[:, 0] >= report.first]
            require(own[:, 2].sum() == report.dropped, "dropped", own[:, 2].sum(), "but counted", report.dropped)
        return rows


def check_cut_resume(path, recovered, plan, report, salts, restarts):
    """What plain HDF5 sees of a file whose resume was cut before it took effect: in each group all rows of before, which
    are those of the recovered file, or those up to the step at which a resume began."""
    rows = check_log(path, plan, report, salts, amid_resume=True)
    with h5py.File(recovered, "r") as file:
        for name, count in (rows or {}).items():
            steps = file[name]["step"][()]
            allowed = {len(steps), *(int((steps <= restart).sum()) for restart in restarts)}
            require(count in allowed, name, "has", count, "rows amid a resume; before and after it, it has", allowed)


def check_live(rows, seen):
    """What a reader saw before the kill is there after it."""
    for name, count in (seen or {}).items():
        require((rows or {}).get(name, 0) >= count, name, "had", count, "rows before the kill, and has",
                (rows or {}).get(name, 0))


# ----------------------------------------------------------------------------------------------------------------------
# Other readers


def run_quietly(*command):
    result = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
                            check=False)
    text = result.stdout.decode(errors="replace") + result.stderr.decode(errors="replace")
    require(result.returncode == 0, command[0], "failed with", result.returncode, text[-500:])
    return text


def check_with_hdf5_tools(path, whole):
    """h5ls and h5dump show the file; with `whole`, h5dump reads all data."""
    run_quietly("h5ls", "-r", path)
    run_quietly("h5dump", *([] if whole else ["-H"]), path)


def check_with_our_tool(build, path):
    """`trajlog check` finds nothing."""
    run_quietly(build / "trajlog", "check", path)


def recover_copy(build, path, copy):
    """Recovers a copy of the file, with its journal. Returns whether that has taken back a resume."""
    for suffix in "", ".journal":
        shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
    return "took back" in run_quietly(build / "trajlog", "recover", copy)


def read_with_our_reader(build, path):
    """The number of rows and the CRC of each dataset, by (group, field)."""
    ours = {}
    for line in run_quietly(build / "test/campaign/read_log", path).splitlines():
        group, field, rows, crc = line.split()
        ours[group, field] = int(rows), int(crc, 16)
    return ours


def check_with_our_reader(build, path, recovered=None):
    """Our reader gives the same bytes as h5py; or as h5py of the recovered file, where a resume was cut."""
    ours = read_with_our_reader(build, path)
    with h5py.File(recovered or path, "r") as file:
        for name in json.loads(file.attrs.get("group_names", "[]")):
            group, paths = file[name], json.loads(file[name].attrs["paths"])
            axis = ["step", "time"] if "step" in group else []
            for field in axis + paths:
                rows = length(group[field]) if axis else 1
                if rows:
                    crc = zlib.crc32(numpy.ascontiguousarray(content(group[field])).tobytes())
                    require(ours.pop((name, field), None) == (rows, crc), name, field, "is read differently by us")
    require(not ours, "we read what is not there:", ours)
