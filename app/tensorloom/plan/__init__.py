"""Network -> ContractionTree -> Cost, Plan; trees are found by cotengra and opt_einsum."""
