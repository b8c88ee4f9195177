"""A page to look at a store with: read-only, for this machine, without a network.

Starlette serves it, and `flows.output.markup` puts it together from what reports are made of. It
writes no file of a project: whatever changes a store is a command.
"""
