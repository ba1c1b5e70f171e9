"""Write policies/schema/*.json from the models: `python -m support.policy_schemas` from tests/."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from sekisho.adapters.decision_wire import DecisionWire
from sekisho.adapters.input_wire import InputWire
from sekisho.adapters.policy_data import PolicyData

FOLDER = Path(__file__).parents[2] / "policies" / "schema"
MODELS: dict[str, type[BaseModel]] = {
    "data.json": PolicyData,
    "decision.json": DecisionWire,
    "input.json": InputWire,
}


def rendered(model: type[BaseModel]) -> str:
    """The schema as it stands in the file."""
    schema = model.model_json_schema(by_alias=True)
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all of them."""
    for name, model in MODELS.items():
        (FOLDER / name).write_text(rendered(model), "utf-8")


if __name__ == "__main__":
    main()
