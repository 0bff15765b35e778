"""Random logs: what writer.c is to log, made from a seed, and what must then be in the file, to the last bit.

A plan is written to a text file for the writer. What the file must hold is computed here anew, from the plan alone."""

import dataclasses
import random

import numpy

SIZES = {"int8": 1, "uint8": 1, "bool": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "float32": 4, "int64": 8,
         "uint64": 8, "float64": 8, "complex64": 8, "complex128": 16}
NO_STOP = 2**63 - 1
ALL_BITS = 2**64 - 1
# Words with few random bits can be compressed; those with all of them cannot.
MASKS = [ALL_BITS, ALL_BITS, 0x00000000ffff0000, 0x000000ff000000ff, 0x0101010101010101]
POLICIES = {"block": 0, "block_deadline": 1, "drop_newest": 2, "fail": 3}


@dataclasses.dataclass
class Field:
    name: str
    type: str
    shape: tuple
    number: int = 0
    chunk_rows: int = 0
    level: int = 0
    checksum: int = 0
    access: int = 0  # 1: by particle
    mask: int = ALL_BITS

    @property
    def element_bytes(self):
        return int(self.type[7:-1]) if self.type.startswith("string") else SIZES[self.type]

    @property
    def bytes(self):
        return self.element_bytes * int(numpy.prod(self.shape, dtype=numpy.int64))

    def line(self):
        words = [self.name, self.type, self.chunk_rows, self.level, self.checksum, self.access, f"{self.mask:x}",
                 len(self.shape)]
        return " ".join(map(str, ["field", *words, *self.shape]))


@dataclasses.dataclass
class Group:
    name: str
    kind: str  # once, every, steps, checkpoint
    fields: list
    interval: int = 1
    start: int = 0
    stop: int = NO_STOP
    with_first: int = 0
    with_last: int = 0
    steps: list = dataclasses.field(default_factory=list)
    varying: int = 0  # the capacity to begin with, where the number of particles varies; shapes have the most

    @property
    def bytes(self):
        return sum(field.bytes for field in self.fields)

    def line(self):
        words = [self.name, self.kind, self.interval, self.start, self.stop, self.with_first, self.with_last]
        return " ".join(map(str, ["group", *words, len(self.steps), *self.steps]))

    def due_steps(self, plan, through):
        """The steps up to this one that must have a row, of a run from the plan's first step to its last."""
        last = plan.first + plan.count - 1
        through = min(through, last)
        if self.kind == "steps":
            due = numpy.array([step for step in self.steps if plan.first <= step <= through], dtype=numpy.int64)
        else:
            begin = self.start
            if plan.first > begin:
                begin += -(-(plan.first - begin) // self.interval) * self.interval
            due = numpy.arange(begin, max(begin, min(self.stop, through + 1)), self.interval, dtype=numpy.int64)
        others = [plan.first] * self.with_first + [last] * (self.with_last and through == last)
        return numpy.union1d(due, numpy.array(others, dtype=numpy.int64))


@dataclasses.dataclass
class Plan:
    seed: int
    kind: str
    groups: list
    first: int = 0
    count: int = 1000
    flush_every: int = 0
    sync_every: int = 0
    pause: int = 0
    once_salt: int = 0
    options: dict = dataclasses.field(default_factory=dict)

    @property
    def logged_groups(self):
        return [group for group in self.groups if group.kind != "checkpoint"]

    @property
    def checkpoint(self):
        return next((group for group in self.groups if group.kind == "checkpoint"), None)

    @property
    def drops(self):
        return self.options.get("policy", 0) != POLICIES["block"] and not self.options.get("synchronous")

    def time(self, steps):
        return 0.5 * (steps - self.first).astype(numpy.float64)

    def write(self, path):
        numbers = {"seed": self.seed, "first": self.first, "count": self.count, "flush_every": self.flush_every,
                   "sync_every": self.sync_every, "pause": self.pause, "once_salt": self.once_salt, **self.options}
        lines = [f"{key} {value}" for key, value in numbers.items()]
        for group in self.groups:
            lines += [group.line(), *(field.line() for field in group.fields)]
            lines += [f"varying {group.varying}"] if group.varying else []
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


# ----------------------------------------------------------------------------------------------------------------------
# The data: as set_field of writer.c


def mix(x):
    x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xbf58476d1ce4e5b9)
    x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94d049bb133111eb)
    return x ^ (x >> numpy.uint64(31))


def frame_bytes(field, salt, steps):
    """The bytes of a field's frames, [steps, bytes]; `salt` is one number, or one for each step."""
    with numpy.errstate(over="ignore"):
        salts = numpy.broadcast_to(numpy.asarray(salt, dtype=numpy.uint64), (len(steps),))
        base = mix(mix(salts + numpy.uint64(field.number)) + steps.astype(numpy.int64).view(numpy.uint64))
        words = numpy.arange(-(-field.bytes // 8), dtype=numpy.uint64)
        data = mix(base[:, None] + words[None, :]) & numpy.uint64(field.mask)
    data = data.view(numpy.uint8)[:, :field.bytes]
    if field.type == "bool":
        return data & 1
    if field.type.startswith("string"):
        return text_bytes(data, field.element_bytes)
    return data


def particle_counts(plan, group, steps):
    """As particles_at of writer.c."""
    room = numpy.minimum(group.varying + (steps - plan.first) // 8, group.fields[0].shape[0])
    with numpy.errstate(over="ignore"):
        return (mix(steps.astype(numpy.int64).view(numpy.uint64)) % (room + 1).astype(numpy.uint64)).astype(numpy.int64)


def padding(field):
    """The bytes of what is no particle."""
    if field.type.startswith(("float", "complex")):
        return numpy.full(1, numpy.nan, dtype="float32" if field.type in ("float32", "complex64") else "float64").tobytes()
    return b"\xff" if field.name == "id" else b"\0"


def particle_bytes(plan, group, field, salt, steps, capacity):
    """As frame_bytes, for frames of so many places, of which only the first hold particles."""
    most = field.shape[0]
    whole = frame_bytes(field, salt, steps).reshape(len(steps), most, field.bytes // most)
    fill = numpy.frombuffer(padding(field), dtype=numpy.uint8)
    data = numpy.tile(fill, (len(steps), capacity, whole.shape[2] // len(fill)))
    there = numpy.arange(capacity) < particle_counts(plan, group, steps)[:, None]
    used = min(most, capacity)
    data[:, :used][there[:, :used]] = whole[:, :used][there[:, :used]]
    return data.reshape(len(steps), -1)


def text_bytes(data, length):
    texts = data.reshape(len(data), data.shape[1] // length, length)
    used = 1 + texts[:, :, :1] % length
    letters = ord("a") + texts % 26
    return numpy.where(numpy.arange(length) < used, letters, 0).astype(numpy.uint8).reshape(data.shape)


# ----------------------------------------------------------------------------------------------------------------------
# Random plans

KINDS = ["small frames", "large frames", "scalars", "compressed", "mixed"]


def random_shape(chance, most):
    """A shape of at most so many elements."""
    rank = chance.choice([0, 1, 1, 2, 2, 3])
    shape = []
    for _ in range(rank):
        room = max(1, int(most // max(1, numpy.prod(shape))))
        shape.append(chance.choice([1, 2, 3, chance.randint(1, max(1, room))]))
        shape[-1] = min(shape[-1], room)
    return tuple(shape)


def random_field(chance, kind, name):
    types = [*SIZES, f"string[{chance.randint(1, 24)}]"]
    type_ = chance.choice([*types, "float64", "float64", "float32", "float32"])
    field = Field(name, type_, ())
    if kind == "large frames":
        field.shape = (max(1, chance.randint(1 << 16, 1 << 21) // field.element_bytes // 3), 3)
    elif kind != "scalars":
        field.shape = random_shape(chance, 4000)
    field.chunk_rows = chance.choice([0, 0, 0, 1, chance.randint(2, 100)])
    if kind == "compressed" or kind == "mixed" and chance.random() < 0.3 or chance.random() < 0.1:
        field.level = chance.randint(1, 9) if chance.random() < 0.5 else 1
        field.mask = chance.choice(MASKS)
    field.checksum = int(chance.random() < 0.2)
    if kind != "large frames" and field.shape and chance.random() < 0.2:
        field.access = 1
    return field


def random_group(chance, kind, name, first):
    if kind == "mixed":
        kind = chance.choice(KINDS[:4])
    count = 1 if kind == "large frames" else chance.randint(1, 6)
    names = [chance.choice(["", "atoms/", "nested/deep/"]) + f"field{i}" for i in range(count)]
    group = Group(name, "every", [random_field(chance, kind, field) for field in names])
    group.interval = chance.choice([1, 1, 2, 3, 10, chance.randint(1, 200)])
    if kind == "large frames":
        group.interval = chance.choice([1, 5, 50])
    if chance.random() < 0.2:
        group.start = first + chance.randint(0, 50)
        group.stop = chance.choice([NO_STOP, group.start + chance.randint(1, 2000)])
    if chance.random() < 0.1:
        group.kind, group.steps = "steps", sorted(chance.sample(range(first, first + 500), chance.randint(1, 40)))
    group.with_first = int(chance.random() < 0.1)
    return group


def random_gas(chance):
    """A group whose number of particles outgrows the capacity that it is declared with."""
    most = chance.choice([5, 40, 300])
    fields = [Field("x", chance.choice(["float64", "float32"]), (most, 3)),
              Field("id", chance.choice(["int32", "int64"]), (most,)),
              Field("more", chance.choice(["float64", "uint8", "bool", "complex64", "string[5]"]), (most, 2, 1))]
    for field in fields:
        field.chunk_rows = chance.choice([0, 1, chance.randint(2, 40)])
        field.level = chance.choice([0, 0, 1])
        field.checksum = int(chance.random() < 0.3)
        field.access = int(chance.random() < 0.3)
    return Group("gas", "every", fields, interval=chance.choice([1, 1, 3]), varying=chance.randint(1, max(1, most // 4)))


def random_options(chance, largest):
    options = {"flush_seconds": round(10 ** chance.uniform(-3, 0), 6)}
    if chance.random() < 0.2:
        options["synchronous"] = 1
    if chance.random() < 0.5:
        options["queue_bytes"] = 4 * largest + (chance.randint(4096, 1 << 20))
    if chance.random() < 0.2:
        options["encoder_threads"] = chance.randint(1, 3)
    if chance.random() < 0.3:
        options["queue_frames"] = chance.randint(1, 64)
    if chance.random() < 0.2:
        options["policy"] = chance.choice(list(POLICIES.values()))
        options["block_seconds"] = 0.001
    return options


def random_plan(seed, most_bytes=40 << 20):
    """A log of at most so many bytes."""
    chance = random.Random(seed)
    kind = chance.choice(KINDS)
    first = chance.choice([0, 0, 0, 0, chance.randint(1, 1000), 2**31 - 50, 2**53 - 50])
    groups = [random_group(chance, kind, f"group{i}", first) for i in range(chance.randint(1, 4))]
    if chance.random() < 0.7:
        fields = [random_field(chance, chance.choice(["small frames", "scalars", "compressed"]), f"constant{i}")
                  for i in range(chance.randint(1, 4))]
        groups.insert(chance.randint(0, len(groups)), Group("once", "once", fields))
    others = random.Random(f"gas {seed}")
    if others.random() < 0.25:
        groups.append(random_gas(others))
    if chance.random() < 0.4:
        fields = [random_field(chance, chance.choice(["small frames", "scalars"]), f"state{i}")
                  for i in range(chance.randint(1, 4))]
        groups.append(Group("checkpoint", "checkpoint", fields))
    # As the writer counts them.
    for number, field in enumerate(field for group in groups for field in group.fields):
        field.number = number
    rate = sum((group.bytes + 16) / group.interval for group in groups if group.kind in ("every", "steps"))
    plan = Plan(seed, kind, groups, first, once_salt=chance.getrandbits(63))
    plan.count = max(1, min(int(most_bytes / rate), chance.choice([20, 1000, 20000])))
    # What is synced waits for the disk: some hundred times a run is enough.
    if plan.checkpoint:
        plan.checkpoint.interval = max(plan.count // 300, chance.choice([1, 10, 100, max(1, plan.count // 4)]))
    if chance.random() < 0.2:
        chance.choice(groups).with_last = 1
        plan.options["total_steps"] = plan.count
    plan.flush_every = chance.choice([0, 1, 7, 50, 500])
    plan.sync_every = chance.choice([0, 0, 0, max(20, plan.count // 300), max(300, plan.count // 300)])
    # Runs of about a second, most of them, so that they can be killed.
    plan.pause = chance.choice([0, int(10 ** chance.uniform(5, 6.5) / plan.count)])
    plan.options.update(random_options(chance, sum(group.bytes + 64 for group in groups)))
    return plan
