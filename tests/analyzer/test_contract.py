import json
from pathlib import Path

import jsonschema
import pytest

from deeplocalize.analyzer.contract import json_schema
from deeplocalize.analyzer.diagnosis import diagnose

from .runs import FakeRun, unrecorded
from .test_localization import SCENARIOS

PAGE = Path(__file__).parents[2] / "docs" / "diagnosis.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_the_published_schema_is_what_the_code_says() -> None:
    assert json.loads(PAGE.read_text(encoding="utf-8")) == json_schema(), (
        "run: python -m deeplocalize.analyzer.contract > docs/diagnosis.schema.json"
    )


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_faulty_diagnosis_keeps_the_contract(name: str) -> None:
    VALIDATOR.validate(json.loads(diagnose(SCENARIOS[name].make().reader()).to_json()))


@pytest.mark.parametrize("run", [FakeRun(), FakeRun(3), unrecorded(FakeRun(), "mid")])
def test_diagnoses_without_a_fault_keep_the_contract(run: FakeRun) -> None:
    VALIDATOR.validate(json.loads(diagnose(run.reader(), "run.h5").to_json()))


def test_the_schema_names_every_field_and_nothing_else() -> None:
    document = diagnose(SCENARIOS["a NaN in one input row"].make().reader()).to_dict()
    schema = json_schema()
    assert list(document) == schema["required"]
    assert list(document["first_fault"]) == schema["$defs"]["first_fault"]["required"]
    for name in ("suspect", "finding"):
        assert list(document[f"{name}s"][0]) == schema["$defs"][name]["required"]


def test_a_document_that_breaks_the_contract_is_refused() -> None:
    document = diagnose(FakeRun().reader()).to_dict()
    document["verdict"] = "fine"
    assert not VALIDATOR.is_valid(document)
