"""Several evaluations of one model in one process: starting Python and its packages takes longer than a small evaluation.

    python tools/reproduction/evaluate.py requests.json      a list of argument lists of tools/test.py
"""
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import test as evaluation  # noqa: E402  tools/test.py

if __name__ == '__main__':
    for arguments in json.loads(Path(sys.argv[1]).read_text()):
        evaluation.main(arguments)
