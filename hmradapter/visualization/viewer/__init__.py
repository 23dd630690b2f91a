"""Interactive 3D views inside the page of a run, offline: meshes lie in scripts beside the page, three.js is vendored.

Why scripts: a page opened from disk may not fetch() its neighbours, but it may load them with <script src>. So each frame of
a scene is one small script that hands over its meshes, loaded when its view comes into sight and dropped when it leaves;
triangles are shared by the whole run. Why not trimesh's `scene_to_html`: one page and one WebGL context per scene (browsers
allow about 16 on a page), float32 GLB in every one, and a camera of its own instead of the picture's.
"""
from .scene import Frame3D, Scene3D
from .storage import StoredScene, scene_folder, store_scene

__all__ = ['Frame3D', 'Scene3D', 'StoredScene', 'scene_folder', 'store_scene']
