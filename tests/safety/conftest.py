"""A project to run, as the tests of the flows have it."""

from tests.flows.conftest import project

__all__ = ["project"]
