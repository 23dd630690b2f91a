"""Every registry of the package: children of MMEngine's, scope `hmradapter`.

A config says `type='HandExpert'`; the registry imports its `locations` on first use, so a user's script needs no imports.
MODELS also answers to the names that say what a part is: BACKBONES, HEADS, ADAPTERS, ROI_SAMPLERS, LOSSES, BODY_MODELS,
INTEGRATORS. SOURCES and DETECTORS have no parent in MMEngine.
"""
from mmengine import registry as root

SCOPE = 'hmradapter'


def _child(name: str, *rooms: str) -> root.Registry:
    parent = getattr(root, name)
    return root.Registry(parent.name, parent=parent, scope=SCOPE, locations=[f'{SCOPE}.{room}' for room in rooms])


MODELS = _child('MODELS', 'models', 'body_models')
DATASETS = _child('DATASETS', 'datasets')
TRANSFORMS = _child('TRANSFORMS', 'datasets.transforms')
DATA_SAMPLERS = _child('DATA_SAMPLERS', 'engine')
METRICS = _child('METRICS', 'evaluation')
HOOKS = _child('HOOKS', 'engine')
LOOPS = _child('LOOPS', 'engine')
LOG_PROCESSORS = _child('LOG_PROCESSORS', 'engine')
RUNNERS = _child('RUNNERS', 'engine')
OPTIMIZERS = _child('OPTIMIZERS', 'engine')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS', 'engine')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS', 'engine')
VISUALIZERS = _child('VISUALIZERS', 'visualization')
VISBACKENDS = _child('VISBACKENDS', 'visualization')
INFERENCERS = _child('INFERENCERS', 'apis')
FUNCTIONS = _child('FUNCTIONS', 'structures')
SOURCES = root.Registry('data source', scope=SCOPE, locations=[f'{SCOPE}.datasets.sources'])
DETECTORS = root.Registry('person detector', scope=SCOPE,
                          locations=[f'{SCOPE}.apis.detectors', f'{SCOPE}.apis.detector_plugins'])

BACKBONES = HEADS = ADAPTERS = ROI_SAMPLERS = LOSSES = BODY_MODELS = INTEGRATORS = MODELS
