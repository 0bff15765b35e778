"""Replays what test/crash/record.h wrote down: the file system as it was after any of the operations, or as a power
loss would leave it."""

import os


def read_log(path):
    """The operations, in order, as tuples."""
    operations = []
    with open(path, "rb") as log:
        while line := log.readline():
            word, *rest = line.decode().split()
            if word == "open":
                operations.append(("open", int(rest[0]), rest[1], rest[2]))
            elif word == "write":
                inode, offset, size = map(int, rest)
                operations.append(("write", inode, offset, log.read(size)))
            elif word in ("truncate", "sync", "close"):
                operations.append((word, *map(int, rest)))
            elif word == "mark":
                operations.append(("mark", " ".join(rest)))
            else:
                operations.append((word, *rest))
    return operations


def change_content(content, operation):
    """Applies a write or a truncation to a file's bytes."""
    if operation[0] == "truncate":
        size = operation[2]
        del content[size:]
        content.extend(bytes(size - len(content)))
    else:
        _, _, offset, data = operation
        if len(content) < offset + len(data):
            content.extend(bytes(offset + len(data) - len(content)))
        content[offset:offset + len(data)] = data


def change_names(names, operation):
    word, *rest = operation
    if word == "open":
        names[rest[2]] = rest[0]
    elif word == "rename":
        names[rest[1]] = names.pop(rest[0])
    elif word == "link":
        names[rest[1]] = names[rest[0]]
    elif word == "remove":
        names.pop(rest[0], None)


def is_directory(operations):
    """The inodes that only ever name directories: what is opened to be synced and is never written."""
    written = {operation[1] for operation in operations if operation[0] in ("write", "truncate")}
    return {operation[1] for operation in operations
            if operation[0] == "open" and operation[2] == "r" and os.path.isdir(operation[3])} - written


ZEROS = bytes(1 << 16)


def used(content):
    """Behind it are zeros only."""
    end = len(content)
    while end >= len(ZEROS) and content[end - len(ZEROS):end] == ZEROS:
        end -= len(ZEROS)
    return end


class Disk:
    """What a file system holds, and what of it would survive a power loss."""

    def __init__(self, directories=()):
        self.directories = set(directories)
        self.names, self.durable_names, self.name_changes = {}, {}, []
        self.content, self.durable, self.changes = {}, {}, {}

    def load(self, paths):
        """Takes over real files, as they are now: what is recorded of them from here on can be applied."""
        for path in map(str, paths):
            inode = os.stat(path).st_ino
            with open(path, "rb") as file:
                self.content[inode] = bytearray(file.read())
            self.durable[inode], self.changes[inode] = bytearray(self.content[inode]), []
            self.names[path] = self.durable_names[path] = inode

    def fingerprint(self):
        """The same for the same files with the same content."""
        files = ((path, self.content[inode]) for path, inode in sorted(self.names.items()))
        return hash(tuple((path, len(content), bytes(memoryview(content)[:used(content)])) for path, content in files))

    def apply(self, operation):
        word = operation[0]
        if word in ("write", "truncate"):
            change_content(self.content[operation[1]], operation)
            self.changes[operation[1]].append(operation)
        elif word == "sync":
            self.sync(operation[1])
        elif word == "open":
            self.open(operation)
        elif word in ("rename", "link", "remove"):
            change_names(self.names, operation)
            self.name_changes.append(operation)

    def open(self, operation):
        _, inode, flags, path = operation
        if inode in self.directories:
            return
        if self.names.get(path) != inode and "c" in flags:
            self.name_changes.append(operation)
            # An inode number is used again when its file is gone.
            self.content[inode], self.durable[inode], self.changes[inode] = bytearray(), bytearray(), []
        if inode not in self.content:
            self.content[inode], self.durable[inode], self.changes[inode] = bytearray(), bytearray(), []
        self.names[path] = inode
        if "t" in flags:
            cut = ("truncate", inode, 0)
            change_content(self.content[inode], cut)
            self.changes[inode].append(cut)

    def sync(self, inode):
        if inode in self.directories:
            self.durable_names, self.name_changes = dict(self.names), []
            return
        self.durable[inode] = bytearray(self.content[inode])
        self.changes[inode] = []

    def write_out(self, directory, contents=None, names=None):
        """Puts the files into a real directory, by their base names."""
        contents = self.content if contents is None else contents
        for entry in os.listdir(directory):
            os.unlink(os.path.join(directory, entry))
        for path, inode in (self.names if names is None else names).items():
            with open(os.path.join(directory, os.path.basename(path)), "wb") as file:
                # What lies ahead of the end are zeros, and much.
                file.write(memoryview(contents[inode])[:used(contents[inode])])
                file.truncate(len(contents[inode]))

    def lose_power(self, random, directory):
        """Of what was not synced any part arrives: names in any subset, writes in any subset of their sectors."""
        names = dict(self.durable_names)
        for change in self.name_changes:
            if random.random() < 0.5:
                try:
                    change_names(names, change)
                except KeyError:
                    pass
        contents = {inode: self.torn(random, inode) for inode in set(names.values())}
        self.write_out(directory, contents, names)

    def torn(self, random, inode):
        content = bytearray(self.durable[inode])
        unit, chance = random.choice([512, 4096]), random.choice([0.1, 0.5, 0.9])
        whole = random.random() < 0.5
        for change in self.changes[inode]:
            if change[0] == "truncate":
                if random.random() < chance or change[2] > len(content) and random.random() < 0.5:
                    change_content(content, change)
                continue
            _, _, offset, data = change
            if whole:
                if random.random() < chance:
                    change_content(content, change)
                continue
            place = 0
            while place < len(data):
                size = min(unit - (offset + place) % unit, len(data) - place)
                if random.random() < chance:
                    change_content(content, ("write", inode, offset + place, data[place:place + size]))
                place += size
        return content


def kill_states(operations, disk=None):
    """Yields (number of operations, marks, disk) after each operation, and inside each write between pages. The disk is
    one object, that goes on changing."""
    disk, marks = disk or Disk(), []
    disk.directories |= is_directory(operations)
    for number, operation in enumerate(operations):
        if operation[0] == "write":
            _, inode, offset, data = operation
            place = 4096 - offset % 4096
            while place < len(data):
                disk.apply(("write", inode, offset, data[:place]))
                yield number, marks, disk
                place += 4096
        disk.apply(operation)
        if operation[0] == "mark":
            marks.append(operation[1])
        elif operation[0] not in ("close", "sync"):
            yield number + 1, marks, disk


def distinct_kill_states(operations, disk=None):
    """The same, but of states that follow each other without a difference, in marks or files, only the first."""
    last = None
    for number, marks, disk in kill_states(operations, disk):
        this = (tuple(marks), disk.fingerprint())
        if this != last:
            yield number, marks, disk
        last = this
