"""Another engine for Rego, written by other people in another language: regorus.

It says what OPA says, or the test that asks both fails. It lacks some of OPA's builtins and then
raises; which ones the shipped rules use is a list in the test, never a case left out. A panic
arrives as a BaseException; answers of its virtual machine (`Rvm`) are wrong and not used.

It has faults that OPA has not. Two were met in the shipped rules, which are written around them: a
head such as `names contains data.groups[group].name` loses entries where the reference is undefined
for one group (bind the value in the body), and a variable in a comprehension may not have the name
of a function.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import regorus

from sekisho.adapters.bundle import Bundle

_LACKS = re.compile(r"could not find function ([\w.]+)")


class Lacking(Exception):
    """A builtin that this engine does not have; `name` is its name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class SecondOpinion:
    """One engine with one bundle, for the thread that made it."""

    def __init__(self, bundle: Bundle) -> None:
        self._engine = regorus.Engine()
        for module in bundle.modules:
            self._engine.add_policy(module.path, module.source)
        self._engine.add_data_json(json.dumps(bundle.data))

    def ask(self, path: str, document: Mapping[str, Any]) -> Any:
        """The document at `path` (as `sekisho.decision`), None where it is undefined."""
        self._engine.set_input_json(json.dumps(document))
        try:
            found = json.loads(self._engine.eval_query_as_json(f"data.{path}"))
        except BaseException as error:
            if lacks := _LACKS.search(str(error)):
                raise Lacking(lacks[1]) from error
            # Behind the first lines stands a trace of its own stack, which says nothing.
            text = str(error).split("Stack backtrace")[0]
            raise AssertionError(text) from error
        results = found.get("result", [])
        return results[0]["expressions"][0]["value"] if results else None
