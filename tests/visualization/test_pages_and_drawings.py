"""Web pages, joints, contact sheets, encoded pictures."""
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from hmradapter.visualization.drawings import contact_sheet, draw_box, draw_joints, side_by_side
from hmradapter.visualization.encoding import data_uri, encode_image, write_image
from hmradapter.visualization.report import Figure, Page, Section


class Checker(HTMLParser):
    """Collects what a page asks for, and whether its tags close."""
    VOID = {'meta', 'img', 'br', '!doctype'}

    def __init__(self):
        super().__init__()
        self.open, self.urls, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.urls += [value for name, value in attrs if name in ('src', 'href')]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page() -> Page:
    picture = np.zeros((900, 1200, 3), np.uint8)
    figures = [Figure('input', picture, 'in put.jpg'), Figure('side', picture[:40], small=True)]
    section = Section('a <b> & "c".jpg', ['a note'], figures, [(('hand', 'mm'), [('left', '<1>')])], [('OBJ', 'hand_0.obj')])
    return Page('Results', ['intro'], [section, Section('Errors', ['x: <script>alert(1)</script>'], warning=True)])


def test_a_page_stands_alone_without_network_or_scripts(tmp_path):
    page().write(tmp_path / 'index.html')
    text = (tmp_path / 'index.html').read_text(encoding='utf-8')
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert 'script' not in checker.tags and 'link' not in checker.tags
    assert not re.search(r'(https?:)?//[a-z]', re.sub(r'data:image/jpeg;base64,[A-Za-z0-9+/=]+', '', text))
    assert all(url.startswith('data:image/') or re.fullmatch(r'[\w%.\-]+', url) for url in checker.urls)
    assert 'in%20put.jpg' in text and '@import' not in text and 'url(' not in text


def test_text_of_users_is_escaped():
    text = page().html()
    assert '<script>' not in text and '&lt;script&gt;' in text
    assert 'a &lt;b&gt; &amp; &quot;c&quot;.jpg' in text and '&lt;1&gt;' in text


def test_pictures_in_a_page_are_shrunk():
    import base64
    uri = re.search(r'data:image/jpeg;base64,([A-Za-z0-9+/=]+)', page().html())[1]
    assert cv2.imdecode(np.frombuffer(base64.b64decode(uri), np.uint8), 1).shape == (480, 640, 3)


def test_joints_are_drawn_where_they_are_and_only_if_visible():
    image = np.zeros((100, 100, 3), np.uint8)
    points = np.stack([np.linspace(10, 90, 21), np.full(21, 50)], 1)
    drawn = draw_joints(image, points)
    assert drawn[50, 10].any() and drawn[50, 90].any() and not drawn[20].any() and not image.any()
    hidden = draw_joints(image, points, np.arange(21) < 20)
    assert not hidden[50, 90].any()
    points[3] = np.nan, 1e9
    assert draw_joints(image, points).any()  # a joint without a place is left out


def test_boxes_outside_the_picture_do_no_harm():
    assert draw_box(np.zeros((20, 30, 3), np.uint8), np.array([-1e9, 2, 1e9, 10]), (255, 0, 0), 'x').shape == (20, 30, 3)


def test_rows_and_sheets_have_the_sizes_they_say():
    red, wide = np.full((10, 10, 3), 9, np.uint8), np.full((20, 80, 3), 9, np.uint8)
    assert side_by_side([red, wide]).shape == (10, 10 + 4 + 40, 3)
    sheet = contact_sheet([[red, wide], [wide]], cell=32, captions=('a', 'b'))
    assert sheet.shape == (22 + 2 * 32 + 4, 2 * 32 + 4, 3)
    assert (sheet[-16, -16] == 255).all()
    with pytest.raises(ValueError, match='at least one picture'):
        contact_sheet([])


def test_pictures_are_written_whole_and_in_known_formats_only(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (12, 16, 3)).astype(np.uint8)
    write_image(tmp_path / 'a.png', image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'a.png')), image)
    assert data_uri(image).startswith('data:image/jpeg;base64,')
    with pytest.raises(ValueError, match='not as'):
        encode_image(image, '.gif')
