"""Tables that the page and Python both hold: gates and templates say the same in both."""

from __future__ import annotations

import re
from pathlib import Path

from tensorloom.formats.templates import TEMPLATES
from tensorloom.model.gates import GATES, STATES

CHROME = Path(__file__).parents[3] / "app" / "tensorloom" / "view" / "editor" / "chrome"

PARAMETER = re.compile(r'parameter\("(\w+)", "([^"]+)", (\d+), (\d+), (\d+)\)')
ROWS = re.compile(r'rows\((\d+), (\d+), "([^"]+)"\)')


def test_the_page_offers_pythons_templates_with_the_same_sizes() -> None:
    text = (CHROME / "templateTable.ts").read_text()
    seed = PARAMETER.search(text[text.index("const SEED") :])
    assert seed is not None
    shown = {}
    for block in text[text.index("TEMPLATES") :].split("name: ")[1:]:
        name = block.split('"')[1]
        found = PARAMETER.findall(block)
        shown[name] = found + [seed.groups()] * (", SEED]" in block)
    expected = {
        template.name: [
            (one.name, one.label, str(one.default), str(one.least), str(one.most))
            for one in template.parameters
        ]
        for template in TEMPLATES
    }
    assert shown == expected


def test_the_page_offers_pythons_gates_and_states() -> None:
    text = (CHROME / "gateTable.ts").read_text()
    shown = {
        name: (int(qubits), int(angles))
        for qubits, angles, names in ROWS.findall(text)
        for name in names.split()
    }
    assert shown == {name: (gate.n_qubits, gate.n_parameters) for name, gate in GATES.items()}
    states = re.search(r"\.\.\.\[([^\]]+)\]\.map", text)
    assert states is not None
    assert re.findall(r'"(\w+)"', states.group(1)) == list(STATES)
