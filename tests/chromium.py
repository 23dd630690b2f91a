"""A written page in a real browser: Chromium, from disk, without a network. Fixtures `launch` and `browser`: conftest."""
import base64

import cv2
import numpy as np

FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--no-first-run']
SOFTWARE_GL = ['--use-angle=swiftshader', '--enable-unsafe-swiftshader']


class Opened:
    """A written page in a tab, with what went wrong and what it asked for."""

    def __init__(self, browser, path, **options):
        self.errors, self.requests = [], []
        self.tab = browser.new_context(viewport=dict(width=900, height=700), **options).new_page()
        self.tab.on('console', lambda message: self.errors.append(message.text) if message.type == 'error' else None)
        self.tab.on('pageerror', lambda error: self.errors.append(str(error)))
        self.tab.on('request', lambda request: self.requests.append(request.url))
        self.tab.goto(path.as_uri())

    def scene(self, index=0, state='shown'):
        place = self.tab.locator('.scene').nth(index)
        place.scroll_into_view_if_needed()
        self.tab.wait_for_function('([i, state]) => document.querySelectorAll(".scene")[i].dataset.state === state',
                                   arg=[index, state])
        return place

    def pixels(self, index=0) -> np.ndarray:
        """What a view's canvas shows after the next drawing, (H, W, 4) BGRA."""
        code = '''(i) => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
            done(document.querySelectorAll(".scene canvas")[i].toDataURL()))))'''
        data = base64.b64decode(self.tab.evaluate(code, index).split(',')[1])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)

    def drag(self, dx, dy):
        box = self.tab.locator('.scene canvas').first.bounding_box()
        x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
        self.tab.mouse.move(x, y)
        self.tab.mouse.down()
        self.tab.mouse.move(x + dx, y + dy, steps=3)
        self.tab.mouse.up()

    def close(self):
        self.tab.context.close()
