"""Files in and out: nothing that is read can run code, and nothing that is written is ever seen half done."""
from hmradapter.fileio.atomic import atomic_write, remove_partial_files, sha256_file
from hmradapter.fileio.coco_files import index_coco, load_coco
from hmradapter.fileio.errors import DamagedFileError, UnsafeFileError
from hmradapter.fileio.json_files import load_json
from hmradapter.fileio.json_stream import json_spans, read_spans, stream_json
from hmradapter.fileio.named_files import named_files
from hmradapter.fileio.pickles import load_npz, load_object_npy, load_pickle, npz_names
from hmradapter.fileio.safetensors_files import read_safetensors, write_safetensors
from hmradapter.fileio.torch_files import load_lightning_state, load_torch

__all__ = ['DamagedFileError', 'UnsafeFileError', 'atomic_write', 'index_coco', 'json_spans', 'load_coco', 'load_json',
           'load_lightning_state', 'load_npz', 'load_object_npy', 'load_pickle', 'load_torch', 'named_files', 'npz_names',
           'read_safetensors', 'read_spans', 'remove_partial_files', 'sha256_file', 'stream_json', 'write_safetensors']
