"""Replays what test/crash/record.h wrote down: the file system as it was after any of the operations, or as a power
loss would leave it."""

import itertools
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


class Content:
    """A file's bytes: `data`, and behind it zeros up to the size, of which a log has much ahead. `history`: what has
    changed them, in order."""

    def __init__(self, data=b"", size=0):
        self.data, self.size, self.history = bytearray(data), max(size, len(data)), []

    def copy(self):
        return Content(self.data, self.size)

    def change(self, operation):
        """Applies a write or a truncation."""
        if operation[0] == "truncate":
            size = operation[2]
            if size == self.size:
                return
            del self.data[size:]
            self.size = size
        else:
            _, _, offset, data = operation
            end = offset + len(data)
            if end <= self.size and self.data[offset:end].ljust(len(data), b"\0") == data:
                return
            self.data.extend(bytes(max(0, offset - len(self.data))))
            self.data[offset:end] = data
            self.size = max(self.size, end)
        self.history.append(operation)


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


# The times of modification of the files that we write are moments that no clock shows, each of them once.
MOMENTS = itertools.count(1)


def put(path, content, known=None, moment=None):
    """Makes a real file the same; returns its time of modification. If it still has that of `moment`, nobody has written
    to it since it had the first `known` changes of the history, and gets the others."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
        if moment is None or os.fstat(file.fileno()).st_mtime_ns != moment:
            file.truncate(0)
            file.write(content.data)
            known = len(content.history)
        for operation in content.history[known:]:
            if operation[0] == "truncate":
                file.truncate(operation[2])
            else:
                file.seek(operation[2])
                file.write(operation[3])
        file.truncate(content.size)
    moment = next(MOMENTS)
    os.utime(path, ns=(moment, moment))
    return moment


class Disk:
    """What a file system holds, and what of it would survive a power loss."""

    def __init__(self, directories=()):
        self.directories = set(directories)
        self.names, self.durable_names, self.name_changes = {}, {}, []
        self.content, self.durable, self.changes = {}, {}, {}
        # Of each real file: the content that was written to it, how much of its history, and the moment.
        self.written = {}

    def load(self, paths):
        """Takes over real files, as they are now: what is recorded of them from here on can be applied."""
        for path in map(str, paths):
            inode = os.stat(path).st_ino
            with open(path, "rb") as file:
                self.content[inode] = Content(file.read().rstrip(b"\0"), os.stat(path).st_size)
            self.durable[inode], self.changes[inode] = self.content[inode].copy(), []
            self.names[path] = self.durable_names[path] = inode

    def fingerprint(self):
        """The same for the same files with the same content, as long as nothing is changed back."""
        files = ((path, self.content[inode]) for path, inode in sorted(self.names.items()))
        return [(path, content, len(content.history)) for path, content in files]

    def change(self, inode, operation):
        self.content[inode].change(operation)
        self.changes[inode].append(operation)

    def apply(self, operation):
        word = operation[0]
        if word in ("write", "truncate"):
            self.change(operation[1], operation)
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
            self.content[inode], self.durable[inode], self.changes[inode] = Content(), Content(), []
        if inode not in self.content:
            self.content[inode], self.durable[inode], self.changes[inode] = Content(), Content(), []
        self.names[path] = inode
        if "t" in flags:
            self.change(inode, ("truncate", inode, 0))

    def sync(self, inode):
        if inode in self.directories:
            self.durable_names, self.name_changes = dict(self.names), []
            return
        self.durable[inode] = self.content[inode].copy()
        self.changes[inode] = []

    def write_out(self, directory, contents=None, names=None):
        """Puts the files into a real directory, by their base names; whatever else is there goes."""
        contents = self.content if contents is None else contents
        names = self.names if names is None else names
        wanted = {os.path.join(directory, os.path.basename(path)): contents[inode] for path, inode in names.items()}
        for entry in os.scandir(directory):
            if entry.path not in wanted:
                os.unlink(entry)
        for path, content in wanted.items():
            last, *since = self.written.get(path, (None,))
            moment = put(path, content, *since if last is content else ())
            self.written[path] = content, len(content.history), moment

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
        content = self.durable[inode].copy()
        unit, chance = random.choice([512, 4096]), random.choice([0.1, 0.5, 0.9])
        whole = random.random() < 0.5
        for change in self.changes[inode]:
            if change[0] == "truncate":
                if random.random() < chance or change[2] > content.size and random.random() < 0.5:
                    content.change(change)
                continue
            _, _, offset, data = change
            if whole:
                if random.random() < chance:
                    content.change(change)
                continue
            place = 0
            while place < len(data):
                size = min(unit - (offset + place) % unit, len(data) - place)
                if random.random() < chance:
                    content.change(("write", inode, offset + place, data[place:place + size]))
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
            begin, end = 0, 4096 - offset % 4096
            while end < len(data):
                disk.apply(("write", inode, offset + begin, data[begin:end]))
                yield number, marks, disk
                begin, end = end, end + 4096
            operation = "write", inode, offset + begin, data[begin:]
        disk.apply(operation)
        if operation[0] == "mark":
            marks.append(operation[1])
        elif operation[0] not in ("close", "sync"):
            yield number + 1, marks, disk


def distinct_kill_states(operations, disk=None, begin=0):
    """The same, but of states that follow each other without a difference, in marks or files, only the first; from that
    operation on."""
    last = None
    for number, marks, disk in kill_states(operations, disk):
        if number < begin:
            continue
        this = (tuple(marks), disk.fingerprint())
        if this != last:
            yield number, marks, disk
        last = this
