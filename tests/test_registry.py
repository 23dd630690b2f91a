"""Every registry finds its parts by itself, from a fresh interpreter."""
import subprocess
import sys

NAMES = dict(MODELS='HandExpert', BACKBONES='HaMeRViT', HEADS='MANODecoderHead', ADAPTERS='HandAdapter', LOSSES='HandPoseLoss',
             BODY_MODELS='MANOLayer', INTEGRATORS='elbow_twist', DATASETS='HandDataset', SOURCES='ArcticSource',
             TRANSFORMS='HandCrop', METRICS='HandMeshMetric', HOOKS='FrozenParamsHook', FUNCTIONS='hmr_collate',
             DATA_SAMPLERS='ResumableInfiniteSampler', DETECTORS='torchvision')


def test_registries_import_their_rooms_on_first_use():
    code = f'''if True:
        from hmradapter import registry
        for name, part in {NAMES!r}.items():
            found = getattr(registry, name)
            assert found.scope == "hmradapter" and found.get(part) is not None, (name, part)'''
    subprocess.run([sys.executable, '-c', code], check=True)
