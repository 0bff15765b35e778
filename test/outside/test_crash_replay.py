"""The replay of recorded operations (test/crash/crash_replay.py): what it puts on a real disk, and which states it
shows."""

import os
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "crash"))
from crash_replay import Disk, distinct_kill_states, kill_states  # noqa: E402


def random_operations(chance):
    """Operations on two files of a few pages, one of which is removed and made again."""
    operations = [("open", 1, "wc", "/d/a")]
    for _ in range(300):
        there = {operation[3]: operation[1] for operation in operations if operation[0] == "open"}
        kind = chance.choice(["write"] * 6 + ["truncate", "sync", "mark", "again"])
        inode = chance.choice([*there.values()])
        if kind == "write":
            data = chance.choice([bytes(9000), b"x" * 9000, chance.randbytes(9000)])[:chance.randrange(1, 9000)]
            operations.append(("write", inode, chance.randrange(20000), data))
        elif kind == "truncate":
            operations.append(("truncate", inode, chance.randrange(40000)))
        elif kind == "sync":
            operations.append(("sync", inode))
        elif kind == "mark":
            operations.append(("mark", f"mark {len(operations)}"))
        else:
            operations += [("remove", "/d/b"), ("open", 2, "wc", "/d/b")]
    return operations


def plain(operations):
    """{name: bytes} after each operation, replayed in the plainest way; and the operations that write, page by page."""
    names, files = {}, {}
    for number, (word, *rest) in enumerate(operations):
        steps = []
        if word == "open":
            names[rest[2]], files[rest[0]] = rest[0], bytearray()
        elif word == "remove":
            names.pop(rest[0], None)
        elif word == "truncate":
            inode, size = rest
            files[inode] = files[inode][:size].ljust(size, b"\0")
        elif word == "write":
            inode, offset, data = rest
            files[inode] = files[inode].ljust(offset, b"\0")
            steps = [4096 - offset % 4096 + page for page in range(0, len(data), 4096)]
            for end in (end for end in steps if end < len(data)):
                files[inode][offset:offset + end] = data[:end]
                yield number, {os.path.basename(name): bytes(files[inode]) for name, inode in names.items()}
            files[inode][offset:offset + len(data)] = data
        if word not in ("sync", "mark"):
            yield number + 1, {os.path.basename(name): bytes(files[inode]) for name, inode in names.items()}


def files_in(directory):
    return {entry.name: entry.read_bytes() for entry in directory.iterdir()}


def spoil(directory, chance):
    """As a program does that recovers or resumes: files of the same size with other bytes, new ones, and none."""
    for entry in directory.iterdir():
        what = chance.choice(["write", "remove", "replace", "leave"])
        if what == "write":
            with open(entry, "r+b") as file:
                file.write(b"spoilt"[:entry.stat().st_size])
        elif what == "remove":
            entry.unlink()
        elif what == "replace":
            other = directory / "other"
            other.write_bytes(b"y" * entry.stat().st_size)
            other.rename(entry)
    (directory / "left").write_bytes(b"left")


@pytest.mark.parametrize("seed", range(3))
def test_written_out_files_are_those_of_the_state(tmp_path, seed):
    chance = random.Random(seed)
    operations = random_operations(chance)
    expected = plain(operations)
    for number, _, disk in kill_states(operations):
        assert (number, files := next(expected)[1])[0] == number
        if chance.random() < 0.5:
            disk.write_out(tmp_path)
            assert files_in(tmp_path) == files, number
            if chance.random() < 0.3:
                spoil(tmp_path, chance)
    assert next(expected, None) is None


@pytest.mark.parametrize("seed", range(3))
def test_distinct_states_are_all_but_the_equal_ones(seed):
    operations = random_operations(random.Random(seed))
    marks = [[operation[1] for operation in operations[:number] if operation[0] == "mark"]
             for number in range(len(operations) + 1)]
    states = [(number, marks[number], files) for number, files in plain(operations)]
    wanted = [state[0] for last, state in zip([None, *states], states) if last is None or last[1:] != state[1:]]
    assert [number for number, _, _ in distinct_kill_states(operations)] == wanted
    assert len(wanted) < len(states)
    begin = len(operations) // 2
    later = [number for number, _, _ in distinct_kill_states(operations, begin=begin)]
    assert later[0] == next(number for number, _, _ in states if number >= begin)
    assert len(later) - len([number for number in wanted if number >= begin]) in (0, 1)


def test_of_what_was_not_synced_a_power_loss_leaves_any_part(tmp_path):
    disk, chance, found = Disk(), random.Random(1), set()
    for operation in [("open", 1, "wc", "/d/a"), ("write", 1, 0, b"s" * 512), ("sync", 1),
                      ("write", 1, 512, b"u" * 512), ("truncate", 1, 5000)]:
        disk.apply(operation)
    disk.durable_names = dict(disk.names)
    for _ in range(100):
        disk.lose_power(chance, tmp_path)
        content = files_in(tmp_path)["a"]
        found.add((len(content), content[512:513]))
        assert content[:512] == b"s" * 512 and not content[1024:].strip(b"\0")
    assert found == {(512, b""), (1024, b"u"), (5000, b"\0"), (5000, b"u")}
