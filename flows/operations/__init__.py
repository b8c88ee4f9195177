"""Vecmill in operation: schedules, the process that serves them, work pools, what Prefect shows.

`recurrence` and `schedules` know nothing of Prefect; the modules that do import it are named in the
contracts of pyproject.toml, and are imported where a command needs them.
"""
