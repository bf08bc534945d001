"""What is known of one shape's candidates."""

from __future__ import annotations

from tensorloom.execute.tuned_shape import Shape, left_behind
from tensorloom.tune.search import Option, Trial
from tuners import product, spec_of


def test_times_that_did_not_settle_are_no_reason_to_leave_a_candidate_out() -> None:
    trials = (
        Trial(option=Option(text="best"), state="best", ms=1.0),
        Trial(option=Option(text="second"), state="measured", ms=2.0),
        Trial(option=Option(text="restless"), state="measured", ms=3.0, reason="not settled"),
        Trial(option=Option(text="slow"), state="measured", ms=4.0),
        Trial(option=Option(text="wrong"), state="failed", reason="differs"),
        Trial(option=Option(text="waiting")),
        Trial(option=Option(text="cut"), state="cut", reason="too large"),
    )
    shape = Shape(spec=spec_of(product()), backend="wasm", trials=trials)
    assert left_behind(shape, ["earlier", "second"]) == ("earlier", "slow", "wrong")
