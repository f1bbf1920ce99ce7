"""The JSON contract as a JSON Schema: what other programs may rely on.

``python -m deeplocalize.analyzer.contract > docs/diagnosis.schema.json`` writes it.
"""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from deeplocalize.traces.schema import Kind, Phase

from .causes import Cause, Target
from .chain import Relation
from .diagnosis import SCHEMA
from .operation import Nature
from .producer import Origin
from .rules.rule import Severity, Symptom
from .run import Ending
from .trial import Status
from .verdict import Verdict

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": ["number", "null"], "description": "null stands for NaN and infinity"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_SPREAD: Schema = {"anyOf": [{"$ref": "#/$defs/spread"}, {"type": "null"}]}
_LAYER: Schema = {"anyOf": [{"$ref": "#/$defs/layer"}, {"type": "null"}]}


def json_schema() -> Schema:
    """The contract of this release; later releases of the same schema number only add to it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Diagnosis of a training run",
        "description": "What deeplocalize-analyze --format json prints. Fields may be added "
        "without a new schema number; none is removed or changes its meaning.",
        **_object(
            schema={"const": SCHEMA},
            verdict=_one_of(Verdict),
            needs={**_TEXT, "description": "what a verdict would take; empty if there is one"},
            doubt={
                **_TEXT,
                "description": "why nobody can tell whether a healthy run learned; empty otherwise",
            },
            first_fault={"anyOf": [{"$ref": "#/$defs/first_fault"}, {"type": "null"}]},
            suspects=_list("suspect", "most likely first; of those tried, verified ones"),
            findings=_list("finding", "in the order of (onset, position)"),
            coverage={"$ref": "#/$defs/coverage"},
            trace={"$ref": "#/$defs/trace"},
            verification={
                "anyOf": [{"$ref": "#/$defs/verification"}, {"type": "null"}],
                "description": "what came of replaying the recorded batches; null: nobody asked",
            },
        ),
        "$defs": {
            "layer": _object(
                index={"type": "integer", "description": "as in model.layers; -1 is the model"},
                name=_TEXT,
                **{"class": _TEXT},
            ),
            "first_fault": _object(
                **_moment(),
                phase=_one_of(Phase),
                layer=_LAYER,
                **_place(),
                symptom=_one_of(Symptom),
                explanation=_TEXT,
                origin=_or_null(Origin),
                nature=_or_null(Nature),
                hint=_TEXT,
                alternatives={"type": "array", "items": {"$ref": "#/$defs/layer"}},
                is_certain={
                    "type": "boolean",
                    "description": "false: seen in a replay that differs from the step",
                },
                rows={
                    "anyOf": [{"$ref": "#/$defs/rows"}, {"type": "null"}],
                    "description": "of the batch, that carry what is not finite; null: not kept",
                },
                chain=_list("link", "before, at and after the fault"),
            ),
            "rows": _object(
                layer=_LAYER,
                **_place(),
                first={
                    "type": "array",
                    "items": _COUNT,
                    "description": "the first few, from 0, in this tensor",
                },
                n_guilty=_COUNT,
                n_samples=_COUNT,
            ),
            "link": _object(
                relation=_one_of(Relation),
                iteration=_COUNT,
                layer=_LAYER,
                **_place(),
                sentence=_TEXT,
            ),
            "suspect": _object(
                rank={"type": "integer", "minimum": 1},
                target=_one_of(Target),
                layer=_LAYER,
                cause=_one_of(Cause),
                confidence={"type": "number", "minimum": 0, "maximum": 1},
                symptoms={"type": "array", "items": _one_of(Symptom)},
                evidence=_TEXTS,
                fix=_TEXT,
                trial={"anyOf": [{"$ref": "#/$defs/trial"}, {"type": "null"}]},
            ),
            "trial": _object(
                status=_one_of(Status),
                change={**_TEXT, "description": "what was changed; empty if it was not tried"},
                skill=_SPREAD,
                gain={**_SPREAD, "description": "skill with the change less skill without it"},
                reason=_TEXT,
            ),
            "spread": _object(mean=_NUMBER, standard_error=_NUMBER, n=_COUNT),
            "verification": _object(
                obstacle={**_TEXT, "description": "why nothing was replayed; empty if it was"},
                measure={**_TEXT, "description": "of skill: 0 needs no learning, 1 is perfect"},
                baseline={**_SPREAD, "description": "skill of the unchanged replay"},
                n_samples=_COUNT,
                n_judged=_COUNT,
                is_held_back={"type": "boolean"},
                n_steps=_COUNT,
                seed={"type": "integer"},
                conclusion=_TEXT,
            ),
            "finding": _object(
                rule=_TEXT,
                symptom=_one_of(Symptom),
                severity={"enum": [severity.name.lower() for severity in Severity]},
                layer=_LAYER,
                **_place(),
                position={"type": "integer"},
                onset=_COUNT,
                last=_COUNT,
                n_holding=_COUNT,
                n_judged=_COUNT,
                quantity=_TEXT,
                peak=_NUMBER,
                peak_iteration=_COUNT,
                statement=_TEXT,
            ),
            "coverage": _object(
                n_iterations=_COUNT,
                n_recorded=_COUNT,
                n_series={
                    "type": "object",
                    "propertyNames": _one_of(Kind),
                    "additionalProperties": _COUNT,
                },
                judged=_TEXTS,
                unjudged={"type": "array", "items": _object(rule=_TEXT, needs=_TEXT)},
                missing={
                    "type": "array",
                    "items": _object(kind=_one_of(Kind), layer=_LAYER, reason=_TEXT),
                },
                replay={
                    "anyOf": [
                        _object(
                            schedule=_TEXT, n_series=_COUNT, n_iterations=_COUNT, n_exact=_COUNT
                        ),
                        {"type": "null"},
                    ],
                    "description": "tensors that only replays of the step recorded, if asked for",
                },
                opening=_TEXT,
            ),
            "trace": _object(
                path=_TEXT,
                framework=_TEXT,
                versions={"type": "object", "additionalProperties": _TEXT},
                model=_object(name=_TEXT, n_layers=_COUNT, **{"class": _TEXT}),
                n_iterations=_COUNT,
                last={"anyOf": [_object(**_moment()), {"type": "null"}]},
                ending=_one_of(Ending),
                ending_message=_TEXT,
                notes=_TEXTS,
            ),
        },
    }


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(definition: str, description: str) -> Schema:
    return {
        "type": "array",
        "items": {"$ref": f"#/$defs/{definition}"},
        "description": description,
    }


def _one_of(words: Iterable[StrEnum]) -> Schema:
    return {"enum": [str(word) for word in words]}


def _or_null(words: Iterable[StrEnum]) -> Schema:
    return {"enum": [*(str(word) for word in words), None]}


def _moment() -> dict[str, Schema]:
    return {"iteration": _COUNT, "epoch": _COUNT, "batch": _COUNT}


def _place() -> dict[str, Schema]:
    return {"kind": _one_of(Kind), "tensor": _TEXT, "call": _COUNT}


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
