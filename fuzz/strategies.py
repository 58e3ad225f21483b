"""Hypothesis strategies: for each format, inputs that are nearly right and so reach what lies behind the door."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0xFFFF_FFFF)
_WIDTHS = (1, 2, 4)
_PNG_HEAD = 8
_CHUNK_HEAD = 8
_CRC = 4
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn, samples: Sequence[bytes], words: Sequence[bytes] = (b"\0",)) -> bytes:
    """A sample with a few edits: bytes changed, numbers at the edge of their range, parts cut, doubled or exchanged."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 4))):
        at, to = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
        edit = draw(st.sampled_from(("byte", "number", "word", "cut", "end", "double", "splice")))
        if edit == "byte":
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif edit == "number":
            width, order = draw(st.sampled_from(_WIDTHS)), draw(st.sampled_from(("big", "little")))
            number = draw(st.sampled_from(_EDGES)) & ((1 << 8 * width) - 1)
            data[at : at + width] = number.to_bytes(width, order)
        elif edit == "word":
            data[at:at] = draw(st.sampled_from(words))
        elif edit == "cut":
            del data[at:to]
        elif edit == "end":
            del data[at:]
        elif edit == "double":
            data[at:at] = data[at:to]
        else:
            other = draw(st.sampled_from(samples))
            data[at:] = other[min(at, len(other)) :]
    return bytes(data)


@st.composite
def jpegs(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """Segments of JPEG samples in any order, changed, with lengths that may lie, and a scan behind them."""
    parts = [draw(st.sampled_from(samples)) for _ in range(2)]
    segments = [segment for part in parts for segment in _segments(part)]
    chosen = draw(st.lists(st.sampled_from(segments), max_size=8))
    whole = b"".join(draw(st.just(one) | mutated([one])) for one in chosen)
    scan = parts[0].find(b"\xff\xda")
    return b"\xff\xd8" + whole + parts[0][scan : scan + draw(st.integers(0, len(parts[0]) - scan))]


@st.composite
def pngs(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """The chunks of a PNG, changed, left out, doubled or moved, each with the checksum that fits."""
    sample = draw(st.sampled_from(samples))
    chunks, at = [], _PNG_HEAD
    while at + _CHUNK_HEAD <= len(sample):
        end = at + _CHUNK_HEAD + int.from_bytes(sample[at : at + 4], "big")
        chunks.append(sample[at + 4 : end])
        at = end + _CRC
    order = draw(st.lists(st.integers(0, len(chunks) - 1), max_size=2 * len(chunks)) | st.just([*range(len(chunks))]))
    written = [sample[:_PNG_HEAD]]
    for number in order:
        chunk = draw(st.just(chunks[number]) | mutated([chunks[number]]))
        body = chunk[:4].ljust(4, b"a") + chunk[4:]
        written.append((len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big"))
    return b"".join(written)


def texts(words: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Texts made of words, any characters and now and then bytes that are no text."""
    letters = st.text(max_size=6).map(lambda text: text.encode("utf-8", "replace"))
    return st.lists(st.sampled_from([*words, b" ", b"sea"]) | letters | st.binary(max_size=2), max_size=30).map(
        b"".join
    )


def hash_lists() -> st.SearchStrategy[bytes]:
    """Lines of a hash list: digits of lengths about right, with prefixes, blanks, remarks and what does not belong."""
    digits = st.builds(
        lambda text, length: (text * 64)[:length].encode(),
        st.text("0123456789abcdefABCDEFx", min_size=1, max_size=8),
        st.sampled_from([31, 32, 40, 63, 64, 65]),
    )
    prefix = st.sampled_from([b"", b"pdq:", b"MD5: ", b"sha1:", b"sha256 :", b"crc:", b":"])
    around = st.sampled_from([b"", b" ", b"\t", b",", b"#", b"\xc2\xa0", b"\0", b" 0f"])
    line = st.tuples(around, prefix, digits, around).map(b"".join) | st.binary(max_size=8)
    return st.builds(
        lambda lines, end, mark: mark + end.join(lines),
        st.lists(line, max_size=14),
        st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"]),
        st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe"]),
    )


def graphs() -> st.SearchStrategy[bytes]:
    """ComfyUI graphs of both forms; links go anywhere, in circles too, and any part may be something else."""
    key = st.sampled_from("1234")
    name = st.sampled_from(["text", "positive", "negative", "conditioning", "a", "lora_name", "pos", ""])
    kind = st.sampled_from(["CLIPTextEncode", "KSampler", "LoadImage", "PreviewImage", "Combine"]) | _JSON
    slot = st.integers(-1, 2) | st.booleans()
    value = st.tuples(key, slot).map(list) | st.sampled_from(["a lighthouse", "x.safetensors"]) | _JSON
    served = st.fixed_dictionaries({"class_type": kind, "inputs": st.dictionaries(name, value, max_size=4) | _JSON})
    entry = st.fixed_dictionaries({"name": name, "link": st.integers(0, 4) | _JSON})
    drawn = st.fixed_dictionaries(
        {"id": st.integers(1, 4) | _JSON, "type": kind, "inputs": st.lists(entry | _JSON, max_size=3)},
        optional={"widgets_values": st.lists(value, max_size=3) | st.dictionaries(name, value, max_size=2)},
    )
    number = st.integers(0, 4) | st.none()
    link = st.tuples(number, number, number, number, number).map(list) | _JSON
    editor = {"nodes": st.lists(drawn | _JSON, max_size=4), "links": st.lists(link, max_size=5) | _JSON}
    subgraphs = {
        "definitions": st.fixed_dictionaries({"subgraphs": st.lists(st.fixed_dictionaries(editor), max_size=2)})
    }
    whole = st.dictionaries(key, served, max_size=4) | st.fixed_dictionaries(editor, optional=subgraphs)
    wrapped = (
        whole | st.fixed_dictionaries({"prompt": whole}) | st.fixed_dictionaries({"workflow": whole.map(json.dumps)})
    )
    return wrapped.map(lambda graph: json.dumps(graph).encode())


def conditions() -> st.SearchStrategy[bytes]:
    """Conditions of the grammar, with numbers of any size."""
    number = st.sampled_from(["0", "18", "0.5", "99", "9" * 400])
    compare = st.builds(lambda sign, to: f"{sign} {to}", st.sampled_from(["<", "<=", ">", ">=", "="]), number)
    test = st.sampled_from(["negative", "any", "field = prompt", "view = exact", "strength >= 0.5", "strength"])
    concept = st.sampled_from(["a.b", "c.*", "minor.explicit", "nothing"])
    leaf = st.one_of(
        concept,
        st.builds(lambda name, tests: f"{name}[{', '.join(tests)}]", concept, st.lists(test, max_size=2)),
        st.builds(lambda name, rest: f"{name} {rest}", st.sampled_from(["age", "obfuscation"]), compare),
    )
    nearness = st.builds(lambda to: f"{to} tokens", number) | st.sampled_from(["segment", "prompt", "5"])
    whole = st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(lambda word, parts: f"({f' {word} '.join(parts)})", st.sampled_from(["and", "or"]), _few(inner)),
            inner.map("not {}".format),
            st.builds(lambda parts, to: f"({' and '.join(parts)}) within {to}", _few(inner), nearness),
            st.builds(lambda part, rest: f"count({part}) {rest}", inner, compare),
        ),
        max_leaves=8,
    )
    return whole.map(str.encode)


def json_lines(lines: Sequence[dict[str, object]]) -> st.SearchStrategy[bytes]:
    """Objects a line, each like one of ``lines`` with some values and keys replaced; the first one stays first."""

    def changed(line: dict[str, object]) -> st.SearchStrategy[dict[str, object]]:
        some = st.dictionaries(st.sampled_from([*line, "shared", "x"]), _JSON, max_size=1)
        return st.just(line) | some.map(lambda other: line | other)

    rest = st.lists(st.sampled_from(lines[1:]).flatmap(changed), max_size=5)
    whole = st.tuples(changed(lines[0]), rest).map(lambda both: [both[0], *both[1]])
    return whole.map(lambda found: "\n".join(map(json.dumps, found)).encode())


def toml(keys: Sequence[str], tables: Sequence[str]) -> st.SearchStrategy[bytes]:
    """TOML of known keys and tables, with values of every type, and numbers and depths beyond any need."""
    values = (
        *('"x"', "1", "-1", "0.5", "inf", "nan", "true", "1979-05-27", "[]", "{}", '[["a"], [1]]', "{a = [{}]}"),
        *('"""x"""', "0xff", "9" * 30, "9" * 5000, "[" * 3000, '"review"', '"a.b and c.d"', '"\\ud800"', "1e999"),
    )
    pair = st.builds(lambda key, value: f"{key} = {value}", st.sampled_from(keys), st.sampled_from(values))
    line = pair | st.sampled_from(tables)
    return st.lists(line, max_size=8).map(lambda lines: "\n".join(lines).encode())


def _few(inner: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(inner, min_size=1, max_size=3)


def _segments(sample: bytes) -> list[bytes]:
    """What stands between the markers of a JPEG before its scan."""
    starts = [2]
    while sample[starts[-1] : starts[-1] + 1] == b"\xff" and sample[starts[-1] + 1] != 0xDA:  # noqa: PLR2004 -- the scan
        starts.append(starts[-1] + 2 + int.from_bytes(sample[starts[-1] + 2 : starts[-1] + 4], "big"))
    return [sample[first:last] for first, last in pairwise(starts)]
