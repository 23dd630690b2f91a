"""Checks of our code against recorded outputs of the reference implementations, one module per kind of fixture.

Each module has `check(...) -> list of rows` and the names of the arrays that it takes as inputs; `report` prints them.
"""
