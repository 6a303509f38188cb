"""Compiler options that tests of memory use."""

# XLA's CPU compiler merges what is computed twice; accelerators' compilers do not.
RECOMPUTE_LIKE_ACCELERATORS = {"xla_disable_hlo_passes": "cse_barrier_expander"}
