"""What a run does, step by step, in plain functions that know nothing of Prefect."""
