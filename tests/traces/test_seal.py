"""JSON that notices when it was changed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplocalize.traces import Header, Kind, Layer, Series, TraceFormatError
from deeplocalize.traces.header import header_from_document
from deeplocalize.traces.seal import seal, to_json, unseal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, min_size=1))
def test_a_sealed_document_is_plain_json_in_one_line(document: dict[str, object]) -> None:
    document.pop("crc32", None)
    document["last"] = 1
    sealed = seal(to_json(document))
    assert b"\n" not in sealed
    parsed = json.loads(sealed)
    assert parsed == unseal(sealed, "here")
    assert parsed.pop("crc32")
    assert parsed == document


def test_every_flipped_bit_is_noticed() -> None:
    sealed = seal(to_json({"name": "fc1", "units": [1, 2]}))
    for i in range(8 * len(sealed)):
        data = bytearray(sealed)
        data[i // 8] ^= 1 << i % 8
        with pytest.raises(TraceFormatError, match="run"):
            unseal(bytes(data), "run.h5")


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[1]", b'{"crc32": "00000000", "a": 1}'])
def test_what_was_never_sealed_is_refused(data: bytes) -> None:
    with pytest.raises(TraceFormatError):
        unseal(data, "run.h5")


def test_a_header_comes_back_from_its_json() -> None:
    header = Header(
        layers=(
            Layer(0, "fc", "m/fc", "Dense", 0, config={"units": 4}, output_shapes=((None, 4),)),
        ),
        series=(Series(Kind.OUTPUT, 3, layer=0, shape=(None, 4)),),
        metrics=("accuracy",),
        loss={"class_name": "MeanSquaredError"},
    )
    assert header_from_document(json.loads(header.to_json()), "here") == header


def test_fields_of_a_later_release_are_ignored() -> None:
    document = json.loads(Header(model_name="m").to_json())
    document["mood"] = "good"
    assert header_from_document(document, "here") == Header(model_name="m")


@pytest.mark.parametrize(
    "damage",
    [
        {"format_version": 0},
        {"format_version": "1"},
        {"format_version": None},
        {"series": [{"kind": "smell", "position": 0}]},
        {"series": [{"kind": "output", "position": 0, "layer": 5}]},
        {"series": [{"position": 0}]},
        {"series": 7},
        {"layers": [{"name": "fc"}]},
    ],
)
def test_a_header_that_makes_no_sense_is_refused(damage: dict[str, object]) -> None:
    document = {**json.loads(Header().to_json()), **damage}
    with pytest.raises(TraceFormatError, match="run"):
        header_from_document(document, "run.h5")
