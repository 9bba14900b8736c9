"""The four stages of a task: read, compute, write; the one place where computing and data meet."""
