"""The wheel: built, unpacked beside nothing, imported, with every config inside."""
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_wheel_imports_and_carries_the_configs(tmp_path):
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', tmp_path, ROOT],
                   check=True, capture_output=True)
    wheel, = tmp_path.glob('hmradapter-*.whl')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / 'site')
    configs = {path.relative_to(ROOT / 'configs').as_posix() for path in (ROOT / 'configs').rglob('*.py')}
    packed = tmp_path / 'site' / 'hmradapter' / 'configs'
    assert configs and configs == {path.relative_to(packed).as_posix() for path in packed.rglob('*.py')}
    code = ('import hmradapter; from hmradapter.registry import MODELS; assert MODELS.get("HandExpert"); '
            'print(hmradapter.__file__)')
    found = subprocess.run([sys.executable, '-c', code], cwd=tmp_path / 'site', check=True, capture_output=True, text=True)
    assert str(tmp_path / 'site') in found.stdout
