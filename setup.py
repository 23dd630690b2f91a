"""Package metadata. Tested versions stand in requirements/, lower bounds here. Configs travel as hmradapter.configs."""
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
CONFIG_FOLDERS = sorted({path.parent.relative_to(ROOT).parts for path in (ROOT / 'configs').rglob('*.py')})
CONFIG_PACKAGES = ['.'.join(('hmradapter', *folder)) for folder in CONFIG_FOLDERS]
version = {}
exec((ROOT / 'hmradapter' / 'version.py').read_text(), version)

setup(
    name='hmradapter',
    version=version['__version__'],
    description='Adapters on frozen experts for expressive human mesh recovery (HMR-Adapter)',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=[*find_packages(include=['hmradapter', 'hmradapter.*']), *CONFIG_PACKAGES],
    package_dir={'hmradapter': 'hmradapter', 'hmradapter.configs': 'configs'},
    package_data={**{package: ['*.py'] for package in CONFIG_PACKAGES},
                  'hmradapter.visualization.viewer': ['js/*.js', 'vendor/*']},
    install_requires=['mmengine>=0.10.4', 'mmcv-lite>=2.1', 'torch>=2.4', 'numpy>=1.24', 'opencv-python-headless>=4.8',
                      'simplejpeg>=1.8', 'smplx>=0.1.28', 'roma>=1.4', 'safetensors>=0.4', 'matplotlib>=3.7',
                      'tensorboard>=2.12', 'tqdm>=4.60', 'trimesh>=4.0', 'warp-lang>=1.12', 'pygltflib>=1.16',
                      'scipy>=1.9', 'imageio-ffmpeg>=0.5', 'webdataset>=0.2.90'],
    extras_require=dict(open_world=['anny>=0.6'], optional=['mmcv>=2.1'], coco=['xtcocotools>=1.14', 'numpy<2'],
                        lora=['peft>=0.13'],
                        tests=['pytest>=8', 'pytest-xdist>=3', 'hypothesis>=6', 'setuptools>=70', 'playwright>=1.40',
                               'jsonschema>=4']),
)
