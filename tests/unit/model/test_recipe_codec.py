from __future__ import annotations

import pytest

from tensorloom.errors import DocumentError
from tensorloom.model.recipe import GateArray
from tensorloom.model.recipe_codec import from_json, to_json


def test_a_gate_without_controls_keeps_its_older_text() -> None:
    old = {"kind": "gate", "name": "rx", "parameters": [0.5], "conjugate": False}
    assert from_json(old, "A") == GateArray(name="rx", parameters=(0.5,))
    assert to_json(GateArray(name="rx", parameters=(0.5,))) == old
    assert to_json(from_json(old | {"controls": 0}, "A")) == old


def test_controls_are_written_and_read() -> None:
    recipe = GateArray(name="x", controls=2)
    assert to_json(recipe) == {
        "kind": "gate", "name": "x", "parameters": [], "conjugate": False, "controls": 2,
    }  # fmt: skip
    assert from_json(to_json(recipe), "A") == recipe


@pytest.mark.parametrize("controls", [-1, 63])
def test_a_number_of_controls_that_no_tensor_can_have_is_refused(controls: int) -> None:
    with pytest.raises(DocumentError) as caught:
        from_json({"kind": "gate", "name": "x", "controls": controls}, "A")
    assert caught.value.code == "bad-field"
    assert caught.value.message == f"The gate of 'A' has {controls} controls."
    assert caught.value.hint == "Use a number from 0 to 62."
