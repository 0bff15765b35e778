"""The judge of killed logs sees what is wrong with them."""

import copy
import pathlib
import shutil
import subprocess
import sys

import h5py
import numpy
import pytest

import campaign
import plans
import verdict

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "crash"))
from crash_replay import Disk, distinct_kill_states, read_log  # noqa: E402


def small_plan():
    fields = [plans.Field("position", "float64", (7, 3), 0), plans.Field("name", "string[5]", (), 1),
              plans.Field("packed", "int32", (40,), 2, chunk_rows=8, level=1, mask=plans.MASKS[2])]
    groups = [plans.Group("once", "once", [plans.Field("mass", "float32", (7,), 3)]),
              plans.Group("often", "every", fields),
              plans.Group("rarely", "every", [plans.Field("flag", "bool", (2,), 4)], interval=10),
              plans.Group("gas", "every", [plans.Field("x", "float64", (9, 3)), plans.Field("id", "int32", (9,))],
                          varying=2)]
    plan = plans.Plan(1, "small frames", groups, count=100, flush_every=7, once_salt=77)
    for number, field in enumerate(field for group in groups for field in group.fields):
        field.number = number
    return plan


@pytest.fixture(scope="module")
def good(build, tmp_path_factory):
    """A plan, its complete log, and what the writer said."""
    directory = tmp_path_factory.mktemp("good")
    plan = small_plan()
    plan.write(directory / "plan")
    result = subprocess.run([build / "test/campaign/writer", directory / "run.h5", directory / "plan"], text=True,
                            stdout=subprocess.PIPE, timeout=60, check=True)
    return plan, directory / "run.h5", result.stdout


def judge(path, plan, said):
    return verdict.check_log(path, plan, verdict.Report(said))


def test_good_log_passes(good, build):
    plan, path, said = good
    assert judge(path, plan, said) == {"often": 100, "rarely": 10, "gas": 100}
    verdict.check_with_our_reader(build, path)
    verdict.check_with_hdf5_tools(path, whole=True)


def shorten(file, rows=90):
    for name, dataset in file["often"].items():
        dataset.resize(rows, axis=0)


def flip(dataset, row):
    value = dataset[row]
    dataset[row] = numpy.bitwise_xor(value.view(numpy.uint8), 1).view(value.dtype)


def change_name(file):
    file["often/name"][50] = b"other"


def lengthen_one(file):
    file["often/position"].resize(101, axis=0)


def lengthen_all(file):
    for dataset in file["often"].values():
        dataset.resize(101, axis=0)


def shorten_one(file):
    file["rarely/flag"].resize(9, axis=0)


def zero_row(file):
    file["often/packed"][99] = 0


def move_rows(file):
    for dataset in file["often"].values():
        dataset[10], dataset[11] = dataset[11], dataset[10]


def remove_row(file):
    """The row of step 50, in all datasets alike."""
    for dataset in file["often"].values():
        dataset[50:99] = dataset[51:100]
    shorten(file, 99)


def remove_group(file):
    del file["rarely"]


def fill_place(file, name, value):
    """The last place of a row without particles."""
    row = numpy.flatnonzero(file["gas/count"][:] == 0)[0]
    file[f"gas/{name}"][row, -1] = value


def narrow(file):
    for name in "x", "id":
        file[f"gas/{name}"].resize(8, axis=1)


def narrow_one(file):
    file["gas/id"].resize(15, axis=1)


def change_last_step(file):
    file.attrs.modify("actual_steps", numpy.int64(99))


BAD = {
    "a flipped bit": lambda file: flip(file["often/position"], 42),
    "a flipped bit of a time": lambda file: flip(file["often/time"], slice(5, 6)),
    "a flipped bit of a step": lambda file: flip(file["rarely/step"], slice(3, 4)),
    "a flipped bit of once data": lambda file: flip(file["once/mass"], slice(0, 3)),
    "another text": change_name,
    "a dataset that is longer": lengthen_one,
    "a dataset that is shorter": shorten_one,
    "fill rows": lengthen_all,
    "a row of zeros": zero_row,
    "rows in another order": move_rows,
    "a row left out": remove_row,
    "a lost group": remove_group,
    "rows lost that were reported": shorten,
    "another last step": change_last_step,
    "a particle in the padding": lambda file: fill_place(file, "x", 0.0),
    "an id in the padding": lambda file: fill_place(file, "id", 0),
    "another count": lambda file: flip(file["gas/count"], slice(7, 8)),
    "too little room": narrow,
    "room that differs": narrow_one,
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_log_is_seen(good, tmp_path, bad):
    plan, path, said = good
    broken = shutil.copy(path, tmp_path)
    with h5py.File(broken, "r+") as file:
        BAD[bad](file)
    with pytest.raises((verdict.Violation, KeyError)):
        judge(broken, plan, said)


def test_prefix_passes_only_where_nothing_more_was_reported(good, tmp_path):
    plan, path, _ = good
    broken = shutil.copy(path, tmp_path)
    with h5py.File(broken, "r+") as file:
        shorten(file)
    assert judge(broken, plan, "created\nlogged 0\nflushed 84\n")["often"] == 90
    with pytest.raises(verdict.Violation, match="reported as safe"):
        judge(broken, plan, "created\nlogged 0\nflushed 91\n")


def test_fewer_rows_than_a_reader_saw(good):
    plan, path, said = good
    verdict.check_live(judge(path, plan, said), {"often": 100})
    with pytest.raises(verdict.Violation, match="before the kill"):
        verdict.check_live(judge(path, plan, said), {"often": 101})


def test_truncated_file_is_no_log(good, build, tmp_path):
    broken = shutil.copy(good[1], tmp_path)
    with open(broken, "r+b") as file:
        file.truncate(3000)
    for look in verdict.check_with_our_reader, lambda _, path: verdict.check_with_hdf5_tools(path, whole=True):
        with pytest.raises(verdict.Violation):
            look(build, broken)


def test_dropped_frames_must_be_listed(good):
    plan, _, _ = good
    group, none = plan.groups[1], numpy.zeros((0, 3), dtype=numpy.int64)
    steps = numpy.delete(numpy.arange(50), [20, 21])
    with pytest.raises(verdict.Violation, match="has no rows"):
        verdict.check_prefix(plan, group, steps, none)
    plan.options["policy"] = plans.POLICIES["drop_newest"]
    try:
        verdict.check_prefix(plan, group, steps, numpy.array([[20, 21, 2]]))
        with pytest.raises(verdict.Violation, match=r"not listed as dropped: \[21\]"):
            verdict.check_prefix(plan, group, steps, numpy.array([[19, 20, 1]]))
    finally:
        del plan.options["policy"]


# ----------------------------------------------------------------------------------------------------------------------
# A resume that is cut


RESTART, SALT = 60, 99


@pytest.fixture(scope="module")
def cut_resume(build, tmp_path_factory):
    """A closed log; the operations of a resume amid its rows, and the disk as it was before."""
    directory, disk = tmp_path_factory.mktemp("resume"), Disk()
    path, plan = directory / "run.h5", small_plan()
    plan.options = {"synchronous": 1, "flush_seconds": 1e9}
    plan.write(directory / "plan")

    def run(how, *words):
        subprocess.run([build / "test/crash/plan_run", directory / "log", how, path, directory / "plan", *words],
                       stdout=subprocess.DEVNULL, timeout=60, check=True)
        return read_log(directory / "log")

    run("close")
    whole = shutil.copy(path, directory / "whole.h5")
    disk.load([path])
    return whole, run("kill", f"resume={RESTART}", f"first={RESTART + 1}", f"salt={SALT}"), disk


def case_before(build, whole, directory):
    """A case that has judged the log as it was before the resume."""
    plan = small_plan()
    case = campaign.SyntheticCase(build, directory, 1, 1)
    shutil.copy(whole, case.path)
    case.look(campaign.State(plan, directory / "plan", [(plan.first, plan.once_salt)]), verdict.Report("logged\n"))
    return case


def killed_states(operations, disk, directory):
    """What a kill leaves of the resume, and what was said by then; up to its second commit. Of the many states before it
    has a journal, some."""
    for number, (_, marks, now) in enumerate(distinct_kill_states(operations, disk)):
        if number % 20 and not any(name.endswith(".journal") for name in now.names):
            continue
        now.write_out(directory)
        yield "".join(f"{mark}\n" for mark in marks)
        if any(mark.startswith("flushed") for mark in marks):
            return


def test_a_cut_resume_is_taken_back_until_it_takes_effect(build, cut_resume, tmp_path):
    """Judged as a kill leaves it, and again when the next run was killed as soon as it had opened the file."""
    (whole, operations, disk), found = (cut_resume[0], cut_resume[1], copy.deepcopy(cut_resume[2])), set()
    case = case_before(build, whole, tmp_path)
    old = case.state
    for said in killed_states(operations, disk, tmp_path):
        case.state, case.cut = old, []
        case.look(old.resumed(RESTART + 1, SALT), verdict.Report(said), kept=RESTART)
        found.add((case.state is old, bool(case.cut)))
        state, rows = case.state, case.state.rows
        verdict.run_quietly(build / "trajlog", "recover", case.path)
        case.look(state.resumed(RESTART + 1, SALT + 1), verdict.Report("resuming\n"), kept=RESTART)
        assert case.state is state and not case.cut and state.rows == rows
    assert found == {(True, False), (True, True), (False, False)}


def first_cut(build, cut_resume, directory):
    """A case that has judged the first state in which plain HDF5 does not see all rows, and they are there."""
    whole, operations, disk = cut_resume
    case = case_before(build, whole, directory)
    for said in killed_states(operations, copy.deepcopy(disk), directory):
        case.look(case.state.resumed(RESTART + 1, SALT), verdict.Report(said), kept=RESTART)
        if case.cut:
            return case, verdict.Report(said)
    raise AssertionError("no resume was cut")


def test_rows_must_not_come_back_where_a_resume_took_effect(build, cut_resume, tmp_path):
    case, report = first_cut(build, cut_resume, tmp_path)
    new = case.state.resumed(RESTART + 1, SALT)
    report.logged = True
    verdict.run_quietly(build / "trajlog", "recover", case.path)
    with pytest.raises(verdict.Violation, match="differs"):
        case.look(new, report, kept=RESTART)


def test_a_cut_resume_without_its_journal_is_no_cut_one(build, cut_resume, tmp_path):
    """Some groups have lost rows for good, and others not."""
    case, report = first_cut(build, cut_resume, tmp_path)
    pathlib.Path(f"{case.path}.journal").unlink()
    with pytest.raises(verdict.Violation, match="differs"):
        case.look(case.state.resumed(RESTART + 1, SALT), report, kept=RESTART)


@pytest.mark.parametrize("rows", [99, RESTART, RESTART + 2])
def test_other_rows_amid_a_resume(good, tmp_path, rows):
    plan, path, _ = good
    other = shutil.copy(path, tmp_path)
    with h5py.File(other, "r+") as file:
        shorten(file, rows)
    with pytest.raises(verdict.Violation, match="amid a resume|reported as safe"):
        report = verdict.Report(f"flushed {RESTART}\n")
        verdict.check_cut_resume(other, path, plan, report, None, [RESTART])
