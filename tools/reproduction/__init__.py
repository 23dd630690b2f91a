"""The paper's tables as experiments: which rows there are, how they are run, and what is said of them. `tools/reproduce.py`."""
