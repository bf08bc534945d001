"""Tensorloom: draw a tensor network, plan its contraction, run it anywhere."""
