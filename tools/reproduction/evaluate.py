"""Several evaluations in one process: starting Python and its packages takes longer than a small evaluation.

    python tools/reproduction/evaluate.py requests.json      a list of argument lists of tools/test.py
"""
import json
import runpy
import sys
from pathlib import Path

if __name__ == '__main__':
    sys.path.pop(0)  # this folder: its modules are no one else's
    evaluate = runpy.run_path(str(Path(__file__).parents[1] / 'test.py'))['main']
    for arguments in json.loads(Path(sys.argv[1]).read_text()):
        evaluate(arguments)
