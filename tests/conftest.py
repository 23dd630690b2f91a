"""What tests of several rooms share."""
import os
import shutil
from pathlib import Path

import pytest
from chromium import FLAGS, SOFTWARE_GL
from hypothesis import settings

# no deadline: how long an example takes depends on what else the machine does, not on what is tested
settings.register_profile('hmradapter', deadline=None, max_examples=50)
settings.load_profile('hmradapter')

TESTS = Path(__file__).parent
COMMITTED_PARITY = TESTS / 'data' / 'parity'
# a directory of your own; by default one beside the repository, which need not exist
OTHER_PARITY = Path(os.environ.get('HMRADAPTER_PARITY_DIR', TESTS.parent.parent / 'shared' / 'parity'))


@pytest.fixture(scope='session')
def parity_file():
    """`parity_file('hamer/crop.npz')` is its path: the committed file, else one of the parity directory, else a skip."""
    def find(name: str) -> Path:
        for root in (COMMITTED_PARITY, OTHER_PARITY):
            if (root / name).exists():
                return root / name
        pytest.skip(f'{name} is neither in {COMMITTED_PARITY} nor in {OTHER_PARITY} (set HMRADAPTER_PARITY_DIR)')
    return find


@pytest.fixture(scope='session')
def open_body_models():
    """Folder of the open body models, built (about ten seconds) where it is not there yet.
    Processes that build at once do no harm: each file appears whole, and all write the same bytes."""
    from hmradapter.body_models.open_model.build import build_open_body_models
    return build_open_body_models(TESTS.parent / 'data' / 'body_models' / 'open')


@pytest.fixture(scope='module')
def launch():
    """`launch(*flags)` starts a browser with a fresh profile."""
    path = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    if path is None:
        pytest.skip('there is no chromium here: apt-get install chromium')
    api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed: requirements/tests.txt')
    with api.sync_playwright() as playwright:
        yield lambda *flags: playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])


@pytest.fixture(scope='module')
def browser(launch):
    browser = launch(*SOFTWARE_GL)
    yield browser
    browser.close()
