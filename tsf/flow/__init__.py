"""Tasks, notebooks and runs: how the pipeline is edited, executed, watched and stopped."""
