"""Damaged and hostile files by the thousand: each is refused, or read as what it was.

    python tests/fuzzing.py result|snapshot|weights MUTATIONS [SEED]

runs in one process with limits: a mutation that takes more than `SECONDS` of the CPU, or takes more
than `MEMORY` beyond what the process has, ends it with an error. Every other mutation is signed
again, so that what parses is reached; those may be read as something else, but raise nothing but
`JefficientError`.
HDF5 itself is not fuzzed with digests that are right: it hangs and crashes on some such bytes.
"""

import collections
import contextlib
import io
import json
import resource
import signal
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import xarray as xr
from results.made import made
from sweeps import tiny

import jefficient as jf
from jefficient._core.files import sealed
from jefficient._core.serialization import digest
from jefficient.results import Result

SECONDS = 5
MEMORY = 2**28
TARGETS = ("result", "snapshot", "weights")

WEIGHTS = {
    (0, 0, 0): {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": [np.float16([1.5, -2.0])]},
    (1, 0, 0): {"other": (np.array([True, False]), None)},
}
ODD = (0, -1, 10**12, 0.5, float("nan"), "", "x", "{}", "[" * 10**5, "é\x1b[2J", "bfloat16", "V0")
ODD_JSON = (*ODD, None, True, [], {}, [[0]], {"x": 0}, 10**400)
ODD_ARRAYS = (
    np.zeros(0),
    np.zeros((2, 2), np.int8),
    np.array(["x", "y"]),
    np.full((1, 1, 1), 10**12),
    np.array(float("nan")),
    np.zeros(3, "S5"),
    np.full(1, "x" * 1000),
)


def main(target, count, seed=0):
    """Return how many mutations were refused, read as they were, and read as something else."""
    rng = np.random.default_rng([seed, TARGETS.index(target)])
    outcomes = collections.Counter()
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        make, mutate = MAKERS[target]
        original = make(folder)
        path = folder if target == "snapshot" else next(iter(original))
        whole = read(path)
        limit = limit_memory()
        for number in range(count):
            mutated, is_signed = mutate(dict(original), rng)
            for file, content in mutated.items():
                file.write_bytes(content)
            label = f"{target} {number}"
            outcomes[outcome(path, whole, is_signed, label)] += 1
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < limit, label
    return outcomes


def outcome(path, whole, is_signed, label):
    print(label, file=sys.stderr, flush=True)  # the last one says which did not end
    with at_most(SECONDS):
        try:
            found = read(path)
        except jf.JefficientError:
            return "refused"
    if is_same(found, whole):
        return "identical"
    assert is_signed, f"{label} was read as something else"
    return "other"


def read(path):
    result = jf.load(path)
    return result, result.table(), repr(result.space)


def is_same(found, whole):
    one, two = found[0], whole[0]
    weights = [repr(sorted(x.weights.items())) for x in (one, two)]
    tests = [None if x.test is None else x.test.to_dict() for x in (one, two)]
    return one.dataset.identical(two.dataset) and weights[0] == weights[1] and tests[0] == tests[1]


@contextlib.contextmanager
def at_most(seconds):
    """End the process with a signal, since a C library listens to nothing else."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)


def limit_memory():
    """Limit what is mapped, to spare the machine; return the KiB that may be in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    mapped = pages * resource.getpagesize() + 4 * MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (mapped, mapped))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + MEMORY // 1024


def make_result(folder):
    result = made([[[0.1]], [[0.2]]], {"learning_rate": [0.1, 0.2], "name": ["a", "b"]})
    test = xr.Dataset({"test_loss": ("seed", [0.3])}, attrs={"config": 0})
    path = Result(result.dataset, test=test).save(folder / "sweep.nc")
    return {path: path.read_bytes()}


def make_weights(folder):
    result = made([[[0.1]], [[0.2]]], {"learning_rate": [0.1, 0.2]})
    path = Result(result.dataset, weights=WEIGHTS).save(folder / "sweep.nc")
    return {path: path.read_bytes()}


def make_snapshot(folder):
    space = jf.grid(learning_rate=[0.1, 0.2], name=["a", "b"])
    tiny.sweep(tiny.task(validation=0.2), space.subset([0, 3]), named, steps=4, directory=folder)
    newest = max(folder.glob("*.json"))
    for file in folder.glob("0*"):
        if file.stem != newest.stem:
            file.unlink()
    return {file: file.read_bytes() for file in (newest, newest.with_suffix(".npz"))}


def named(learning_rate, name):
    del name
    return jf.sgd(learning_rate)


def damaged(content, rng):
    """Bytes as disks, networks and editors leave them."""
    content = bytearray(content)
    place = int(rng.integers(len(content)))
    end = place + int(2 ** rng.uniform(0, 12))
    kind = rng.integers(6)
    if kind == 0:
        content[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del content[place:]
    elif kind == 2:
        del content[place:end]
    elif kind == 3:
        content[place:end] = bytes(len(content[place:end]))
    elif kind == 4:
        content[place:place] = rng.bytes(end - place)
    else:
        content[place:end] = rng.bytes(len(content[place:end]))
    return bytes(content)


def mutate_file(files, rng):
    ((path, content),) = files.items()
    if rng.random() < 0.5:
        return {path: damaged(content, rng)}, False

    def change(file):
        patches = []
        for _ in range(rng.integers(1, 3)):
            with contextlib.suppress(ValueError, TypeError, OSError, OverflowError, RuntimeError):
                patches += mutate_hdf5(file, rng) or ()
        return patches

    return {path: edited(content, change)}, True


def mutate_hdf5(file, rng):
    """Change a valid netCDF file as somebody could who signs it again; return patches, if any."""
    nodes = [file]
    file.visititems(lambda _, node: nodes.append(node))
    node = nodes[rng.integers(len(nodes))]
    parent, name = node.parent, str(node.name).split("/")[-1]
    change = rng.integers(7)
    if change == 0 and len(node.attrs):
        del node.attrs[str(rng.choice(list(node.attrs)))]
    elif change == 1 and len(node.attrs):
        node.attrs[str(rng.choice(list(node.attrs)))] = odd(rng)
    elif change == 2 and name:
        del parent[name]
    elif change == 3 and name:
        parent.move(name, str(rng.choice(["x", "status_", "weights", "hash_", "test"])))
    elif change == 4 and isinstance(node, h5py.Dataset) and node.size:
        node[(0,) * node.ndim] = "x" * 5 if node.dtype.kind == "O" else rng.integers(-3, 100)
    elif change == 5 and name:
        attributes = {key: x for key, x in node.attrs.items() if key.islower()}
        del parent[name]
        content = ODD_ARRAYS[rng.integers(len(ODD_ARRAYS))]
        again = parent.create_dataset(
            name, data=content.astype(object) if content.dtype.kind == "U" else content
        )
        again.attrs.update(attributes)
    else:
        return hostile(file, rng)
    return None


def odd(rng):
    value = ODD[rng.integers(len(ODD))]
    return [value] * 40 if rng.random() < 0.1 else value


def hostile(file, rng):
    """Replace or add a variable by what leads out of the file, or declares what is not there."""
    name = str(rng.choice(["x", "status", "hash", "valid_loss", "train_loss"]))
    if name in file:
        del file[name]
    return HOSTILE[rng.integers(len(HOSTILE))](file, name, "/etc/passwd")


COUNT = 10**5


def external_link(file, name, other):
    file[name] = h5py.ExternalLink(other, "/valid_loss")


def soft_link(file, name, other):
    file[name] = h5py.SoftLink("/seconds")


def external_storage(file, name, other):
    with_dimension(file, file.create_dataset(name, (10,), "u1", external=[(other, 0, 10)]))


def virtual(file, name, other):
    layout = h5py.VirtualLayout((10,), "u1")
    layout[:] = h5py.VirtualSource(other, "valid_loss", (10,))
    with_dimension(file, file.create_virtual_dataset(name, layout))


def declared(file, name, other):
    """A terabyte of nothing."""
    with_dimension(file, file.create_dataset(name, (COUNT, 10**6), "f8"))


def compressed(file, name, other):
    kwargs = {"chunks": (COUNT, 100), "compression": "gzip"}
    array = file.create_dataset(name, (COUNT, 100), "f8", fillvalue=1.0, **kwargs)
    with_dimension(file, array)


def shared_text(file, name, other):
    """Return a patch after which all texts are one and the same: 10 GB when they are read."""
    array = file.create_dataset(name, (COUNT,), h5py.string_dtype())
    array[0] = "x" * COUNT
    with_dimension(file, array)
    file.flush()
    place = array.id.get_offset()
    pointer = file.id.get_file_image()[place : place + 16]
    return [(place, pointer * COUNT)]


HOSTILE = (
    external_link,
    soft_link,
    external_storage,
    virtual,
    declared,
    compressed,
    shared_text,
)
"""Each puts a variable into a file; `other` is another file."""


def with_dimension(file, array):
    """Name the dimensions, without which netCDF has no variable."""
    for axis, size in enumerate(array.shape):
        name = f"dim{axis}_{size}"
        if name not in file:
            text = f"This is a netCDF dimension but not a netCDF variable. {size:10d}"
            file.create_dataset(name, (size,), ">f4").make_scale(text)
        array.dims[axis].attach_scale(file[name])


def edited(content, change):
    """Change a netCDF file as `change(file)` does, apply the patches that it returns; sign it."""
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        patches = change(file) or ()
    content = bytearray(buffer.getvalue())
    for place, patch in patches:
        content[place : place + len(patch)] = patch
    return sealed(bytes(content))


def mutate_snapshot(files, rng):
    (path, text), (arrays, data) = sorted(files.items())
    kind = rng.integers(4)
    if kind == 0:
        return {path: damaged(text, rng), arrays: data}, False
    if kind == 1:
        return {path: text, arrays: damaged(data, rng)}, False
    content = json.loads(text[: text.rindex(b"\n")])
    if kind == 2:
        data = damaged(data, rng) if rng.random() < 0.5 else other_member(data, rng)
        content |= {"bytes": len(data), "sha256": digest(data)}
        return {path: sealed(json.dumps(content).encode()), arrays: data}, True
    mutate_json(content, rng)
    text = json.dumps(content).encode()
    if rng.random() < 0.1:
        text = damaged(text, rng) if rng.random() < 0.5 else b"[" * 10**5
    return {path: sealed(text), arrays: data}, True


def mutate_json(content, rng):
    """Replace or delete one entry, at any depth."""
    places = []

    def visit(x):
        for key in x if isinstance(x, dict) else range(len(x)):
            places.append((x, key))
            if isinstance(x[key], dict | list):
                visit(x[key])

    visit(content)
    x, key = places[rng.integers(len(places))]
    if rng.random() < 0.3:
        del x[key]
    else:
        x[key] = ODD_JSON[rng.integers(len(ODD_JSON))]


def other_member(data, rng):
    """Replace or drop one array of an npz, or let its header say something else."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        names = old.namelist()
        chosen = str(rng.choice(names))
        for name in names:
            content = old.read(name)
            if name == chosen:
                kind = rng.integers(3)
                if kind == 0:
                    continue
                stream = io.BytesIO()
                if kind == 1:
                    array = ODD_ARRAYS[rng.integers(len(ODD_ARRAYS))]
                    np.lib.format.write_array(stream, array, allow_pickle=False)
                else:
                    descr = str(rng.choice(["|V0", "<U0", "|O", "<f8", "|S0", "<M8[s]", "((("]))
                    header = {"descr": descr, "fortran_order": False, "shape": (10**12,)}
                    np.lib.format.write_array_header_1_0(stream, header)
                content = stream.getvalue()
            new.writestr(name, content)
    return buffer.getvalue()


MAKERS = {
    "result": (make_result, mutate_file),
    "snapshot": (make_snapshot, mutate_snapshot),
    "weights": (make_weights, mutate_file),
}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:]))))
