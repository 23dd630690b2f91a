"""The Khronos glTF validator as a function; tests that call it skip where node or the npm package are not there."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / 'gltf_validator' / 'validate.js'
MODULES = Path(sys.prefix) / 'gltf_validator' / 'node_modules'


def gltf_report(path) -> dict:
    """The validator's report on a file."""
    if shutil.which('node') is None:
        pytest.skip('node is not installed, which runs the glTF validator')
    if not (MODULES / 'gltf-validator').is_dir():
        pytest.skip(f'the npm package gltf-validator is not in {MODULES}; `make test` installs it where npm can')
    done = subprocess.run(['node', SCRIPT, path], env=os.environ | {'NODE_PATH': str(MODULES)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
