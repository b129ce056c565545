"""The file `.kac` of docs/kac.md: lossless, small, and closed to what is damaged or hostile."""

import bisect
import hashlib
import json
import struct
import sys
import zlib

import keras
import numpy as np
import pytest
from keras import layers

import keras_archs
from keras_archs.weights import compressed as kac

HEAD = struct.Struct("<8sHHIIQ32s")
ROWS = ["16 3/1/1 bn relu max2/2/0", "24 3/1/1 bn relu", "gap dense"]
SMALL = {"input_shape": (8, 8, 3), "classes": 5, "rows": ROWS}


def shared(values, density, codes, seed=0):
    """Values of so many distinct numbers, all but a share of them 0."""
    random = np.random.default_rng(seed)
    book = np.sort(random.laplace(size=codes)).astype(np.float16)
    kept = random.random(values.shape) < density
    return np.where(kept, random.choice(book, values.shape), 0).astype(np.float32)


@pytest.fixture(scope="module")
def small():
    model = keras_archs.SimpNet(**SMALL)
    for layer in model.layers:
        layer.set_weights(
            [shared(w, 1 / 3, 31) if w.ndim > 1 else w + 0.1 for w in layer.get_weights()]
        )
    return model


@pytest.fixture
def file(small, tmp_path):
    path = tmp_path / "small.kac"
    keras_archs.save_compressed(small, path)
    return path


def bits(model):
    return [(v.dtype, v.shape, keras.ops.convert_to_numpy(v).tobytes()) for v in model.weights]


def sealed(header, payload, *, size=None, version=1, zero=0):
    """A file with whatever parts, whose checksum is right."""
    packed = zlib.compress(header)
    size = len(header) if size is None else size
    start = HEAD.pack(kac.MAGIC, version, zero, len(packed), size, len(payload), b"")[:-32]
    return start + hashlib.sha256(start + packed + payload).digest() + packed + payload


def parts(data):
    _, _, _, packed, _, _, _ = HEAD.unpack_from(data)
    return zlib.decompress(data[HEAD.size : HEAD.size + packed]), data[HEAD.size + packed :]


# ---------------------------------------------------------------------------------- what comes back


def test_a_model_comes_back_bit_for_bit_and_computes_the_same(small, file):
    again = keras_archs.load_compressed(file)
    assert bits(again) == bits(small)
    assert again.to_json() == small.to_json() and not again.compiled
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    np.testing.assert_array_equal(again(images), small(images))
    assert not list(file.parent.glob(".partial*"))


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=(16, 24)),  # of which no two are equal
        np.random.default_rng(0).normal(size=(16, 24)).astype(np.float16),
        np.zeros((16, 24)),
        np.full((16, 24), 0.1),
        np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, 6e-8, 65504, 65520, 1e38]),
        np.eye(1, 5000, 4999)[0],  # as far as can be
        np.eye(1, 5000)[0],
        *(
            shared(np.empty((64, 96)), density, 2**b)
            for b in (1, 2, 4, 6, 8)
            for density in (1, 0.3)
        ),
        shared(np.empty((64, 96)), 0.01, 16),
        np.empty((0, 4)),
        np.float32(3.25),
    ],
)
def test_values_of_every_kind_come_back_bit_for_bit(values, tmp_path):
    values = np.asarray(values, np.float32)
    for dtype in ("float32", "float16", "float64", "bfloat16"):
        with np.errstate(over="ignore"):
            wanted = values.astype(kac._numpy_type(dtype))
        block, *_ = kac._array_bytes(wanted, dtype)
        reader = kac._Reader(memoryview(block))
        read = kac._read_array(reader, values.shape, dtype)
        assert (read.dtype, read.shape) == (wanted.dtype, wanted.shape) and reader.at_end()
        assert read.tobytes() == wanted.tobytes(), dtype


def test_nested_models_separable_convolutions_and_other_types_of_weights_come_back(tmp_path):
    inside = keras.Sequential([layers.SeparableConv2D(4, 3), layers.BatchNormalization()])
    images = keras.Input((6, 6, 2))
    x = layers.TimeDistributed(layers.Dense(3))(inside(images))
    x = layers.Dense(2, dtype="bfloat16")(layers.Dropout(0.5)(layers.Flatten()(x)))
    model = keras.Model(images, keras_archs.LocalResponseNormalization()(x[:, None, None]))
    data = [layers.Normalization(), images]
    data[0].adapt(np.random.default_rng(0).random((9, 6, 6, 2)))
    model = keras.Model(images, model(data[0](images)))  # Normalization counts in int32
    keras_archs.save_compressed(model, tmp_path / "nested.kac")
    assert bits(keras_archs.load_compressed(tmp_path / "nested.kac")) == bits(model)
    assert len(bits(model)) == len(model.weights) > 10


@pytest.mark.parametrize("name", ["lenet5", "squeezenet"])
def test_networks_of_the_package_come_back(name, tmp_path):
    model = keras_archs.build(name, alpha=0.25 if name != "lenet5" else 1.0)
    keras_archs.save_compressed(model, tmp_path / "x.kac")
    assert bits(keras_archs.load_compressed(tmp_path / "x.kac")) == bits(model)


# ---------------------------------------------------------------------------------- how small it is


def entropy(symbols):
    """Bytes that a code of independent symbols needs at least."""
    share = np.unique(symbols, return_counts=True)[1] / symbols.size
    return -(share * np.log2(share)).sum() * symbols.size / 8


@pytest.mark.parametrize(("density", "codes"), [(1 / 3, 64), (1 / 3, 256), (0.05, 16), (1, 16)])
def test_shared_weights_come_within_a_hundredth_of_their_entropy(density, codes):
    values = shared(np.empty((256, 512)), density, codes)
    block, layout, count, distinct = kac._array_bytes(values, "float32")
    least = entropy(values)
    tables = 4 * codes + 40
    assert least < len(block) < 1.01 * least + tables
    values = values[values != 0] if layout != "dense" else values.ravel()
    assert (count, distinct) == (len(values), len(np.unique(values)))


def test_zeros_that_stand_together_are_cheaper_by_a_relative_index():
    values = shared(np.empty(40_000), 1, 16)
    values[np.arange(40_000) % 400 >= 8] = 0
    assert kac._array_bytes(values, "float32")[1] == "relative"


def test_the_report_says_where_the_bytes_are(small):
    made = kac.packed(small)
    payload = parts(made.data)[1]
    assert sum(array.size for array in made.arrays) == len(payload)
    assert [a.name for a in made.arrays] == [v.path for v in small.weights]
    kernel = made.arrays[0]
    assert kernel.shape == (3, 3, 3, 16) and kernel.distinct in (31, 32)
    assert len(made.data) < small.count_params() * 4 / 2


# ------------------------------------------------------------------- the description in docs/kac.md


class Described:
    """A reader of arrays in plain Python, written after docs/kac.md."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self):
        number = place = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 127) << place
            place += 7
            if byte < 128:
                return number

    def stream(self, count, alphabet):
        if count == 0 or alphabet == 1:
            return [0] * count
        if self.take(1)[0] == 0:
            width = (alphabet - 1).bit_length()
            number = int.from_bytes(self.take((count * width + 7) // 8), "little")
            return [number >> width * i & (1 << width) - 1 for i in range(count)]
        frequencies = list(self.take(alphabet))
        words = [int.from_bytes(self.take(4), "little") for _ in range(self.varint())]
        present = [symbol for symbol, f in enumerate(frequencies) if f]
        if len(present) == 1:
            return present * count
        octave = (256, 279, 304, 332, 362, 395, 431, 470)
        weights = [octave[(frequencies[s] - 1) % 8] << (frequencies[s] - 1) // 8 for s in present]
        f32, total, below = np.float32, np.float32(0), np.float32(0)
        for weight in weights:
            total = f32(total + f32(weight))
        scale = f32(f32(2**24 - len(present)) / total)
        left = []
        for rank, weight in enumerate(weights):
            left.append(int(f32(below * scale)) + rank)
            below = f32(below + f32(weight))
        left.append(2**24)
        state, symbols = 0, []
        while words and state < 2**32:
            state = state << 32 | words.pop()
        for _ in range(count):
            low = state % 2**24
            rank = bisect.bisect_right(left, low) - 1
            symbols.append(present[rank])
            state = (state >> 24) * (left[rank + 1] - left[rank]) + low - left[rank]
            if state < 2**32 and words:
                state = state << 32 | words.pop()
        assert not words and state == 0
        return symbols

    def array(self):
        types = "float32 float16 bfloat16 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64"
        kind, coding, rank = self.take(3)
        name = [*types.split(), "bool"][kind]
        shape = [self.varint() for _ in range(rank)]
        size = int(np.prod(shape))
        where = range(size)
        if coding & 3 == 1:
            where = [at for at, there in enumerate(self.stream(size, 2)) if there]
        elif coding & 3 == 2:
            width, where, at = self.take(1)[0], [], 0
            for symbol in self.stream(self.varint(), 2**width):
                at += symbol
                if symbol < 2**width - 1:
                    where.append(at)
                    at += 1
        name = "float16" if coding & 8 else name
        width = np.dtype(name).itemsize
        if coding & 4:
            book = np.cumsum([self.varint() for _ in range(self.varint())])
            found = [int(book[code]) for code in self.stream(len(where), len(book))]
        else:
            planes = [self.stream(len(where), 256) for _ in range(width)]
            found = [sum(p[i] << 8 * n for n, p in enumerate(planes)) for i in range(len(where))]
        out = np.zeros(size, f"u{width}")
        out[list(where)] = found
        return out.view(name).astype(np.float32).reshape(shape)


def test_a_reader_written_after_the_description_reads_every_array(small):
    model = keras.Sequential([keras.Input((2000,)), layers.Dense(2), *layers_of_all_layouts()])
    for each in (small, model):
        reader = Described(parts(kac.packed(each).data)[1])
        for variable in each.weights:
            wanted = keras.ops.convert_to_numpy(variable)
            np.testing.assert_array_equal(reader.array(), wanted)
        assert reader.at == len(reader.data)


def layers_of_all_layouts():
    """Layers whose kernels are stored densely, by a mask, relatively; shared and not."""
    for density, codes, clustered in ((1, 16, 0), (0.3, 64, 0), (0.02, 8, 1), (0.3, 10**6, 0)):
        layer = layers.Dense(300 if density < 1 else 40)
        layer.build((None, {1: 2, 0.3: 40 if codes == 64 else 300, 0.02: 300}[density]))
        kernel = shared(layer.kernel, density, codes)
        if clustered:
            kernel[8:] = 0
        layer.set_weights([kernel, layer.bias])
        yield layer


# ------------------------------------------------------------------------ damaged and hostile files


def test_a_cut_file_is_refused(file):
    whole = file.read_bytes()
    for kept in [*range(0, 70), *range(70, len(whole), 97), len(whole) - 1]:
        file.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match="a .kac file must be whole and unchanged"):
            keras_archs.load_compressed(file)
    file.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="it declares"):
        keras_archs.load_compressed(file)


def test_every_changed_byte_is_noticed(file):
    whole, random = file.read_bytes(), np.random.default_rng(0)
    for at in [*range(HEAD.size), *random.integers(HEAD.size, len(whole), 200)]:
        changed = bytearray(whole)
        changed[at] ^= 1 << random.integers(8)
        file.write_bytes(changed)
        with pytest.raises(ValueError, match="whole and unchanged") as error:
            keras_archs.load_compressed(file)
        assert str(file) in str(error.value) and "\n" not in str(error.value)


def test_a_mutated_payload_with_a_right_checksum_is_read_or_refused(file):
    """Whoever makes a file can make its checksum: what stands behind it is checked on its own."""
    header, payload = parts(file.read_bytes())
    wanted = [(tuple(s), d) for d, s, _ in bits(keras_archs.load_compressed(file))]
    random, refused = np.random.default_rng(0), 0
    for _ in range(400):
        changed = bytearray(payload)
        for at in random.integers(len(payload), size=random.integers(1, 4)):
            changed[at] = random.integers(256)
        if random.random() < 0.2:
            del changed[random.integers(len(changed)) :]
        reader = kac._Reader(memoryview(bytes(changed)))
        try:
            arrays = [kac._read_array(reader, shape, dtype) for shape, dtype in wanted]
            assert [(a.shape, str(a.dtype)) for a in arrays] == wanted
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error)
    assert 100 < refused < 400
    file.write_bytes(sealed(header, payload + b"\0"))
    with pytest.raises(ValueError, match="bytes are left behind its last array"):
        keras_archs.load_compressed(file)


def dense(units):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="dense")])
    text = json.dumps({"model": keras.saving.serialize_keras_object(model)})
    return text.replace('"units": 2', f'"units": {units}').encode()


def named(name):
    return dense(2).replace(b'"class_name": "Dense"', f'"class_name": "{name}"'.encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "does not begin"),
        (b"PK\3\4" * 40, "does not begin"),
        (sealed(dense(2), b"", version=2), "version 2, and this is for version 1"),
        (sealed(dense(2), b"", zero=1), "version"),
        (sealed(dense(2), b"", size=3), "another size than it declares"),
        (sealed(b"x" * 40, b"", size=2**26), "declares 67,108,864 bytes, more than 33,554,432"),
        (sealed(b"0" * 2**26, b"", size=2**20), "another size"),
        (sealed(b"{}", b""), "'model'"),
        (sealed(b"[" * 100_000, b""), "recursion"),
        (sealed(b'{"model": 3}', b""), "no model"),
        (sealed(dense(2), b""), "an array is cut"),
        (sealed(dense(10**9), b"\0" * 99), "5,000,000,000 weights are more than"),
        (sealed(dense(10**7), b"\0" * 99), "50,000,000 weights are more than"),
        (sealed(named("Lambda"), b""), "a layer of type Lambda"),
        (sealed(named("StringLookup"), b""), "a layer of type StringLookup"),
        (sealed(named("Popen"), b""), "whole and unchanged"),
        (sealed(dense(2), bytes([0, 0, 2, 4, 3]) + b"\0" * 30), r"\(4, 3\)"),
        (sealed(dense(2), bytes([0, 0, 9]) + b"\0" * 30), "head is damaged"),
        (sealed(dense(2), bytes([0, 3, 2, 4, 2]) + b"\0" * 30), "head is damaged"),
        (sealed(dense(2), bytes([0, 0, 2, 4, 2, 7]) + b"\0" * 30), "unknown way, 7"),
        (sealed(dense(2), bytes([0, 4, 2, 4, 2, 0])), "a codebook declares 0 values"),
        (sealed(dense(2), bytes([0, 4, 2, 4, 2, 3, 0, 1, 1, 0, 255, 255])), "none of its codebook"),
        (sealed(dense(2), bytes([0, 2, 2, 4, 2, 4, 9])), "an index is damaged"),
        (sealed(dense(2), bytes([0, 2, 2, 4, 2, 4, 2, 0, 0x99])), "out of its array"),
        (sealed(dense(2), bytes([0, 1, 2, 4, 2, 1, 0, 0, 0])), "a stream is damaged"),
        (sealed(dense(2), bytes([0, 1, 2, 4, 2, 1, 9, 9, 1, 0, 0, 0, 0])), "zero word"),
        (sealed(dense(2), bytes([0, 1, 2] + [255] * 11)), "a number is too long"),
    ],
)
def test_a_hostile_file_is_one_line(data, message, tmp_path):
    (tmp_path / "x.kac").write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        keras_archs.load_compressed(tmp_path / "x.kac")
    assert str(error.value).startswith("a .kac file must be whole and unchanged: ")
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_files_that_are_not_there_and_other_names_are_errors(small, tmp_path):
    with pytest.raises(FileNotFoundError):
        keras_archs.load_compressed(tmp_path / "x.kac")
    with pytest.raises(ValueError, match="`path` must end in .kac. Received: path="):
        keras_archs.save_compressed(small, tmp_path / "x.keras")
    strange = keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x)])
    with pytest.raises(ValueError, match="a layer of type Lambda"):
        keras_archs.save_compressed(strange, tmp_path / "x.kac")
    assert not list(tmp_path.iterdir())


def test_without_constriction_the_error_says_what_to_install(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(ValueError, match="pip install constriction"):
        keras_archs.load_compressed(file)
