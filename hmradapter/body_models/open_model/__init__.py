"""The open body model: SMPL-X and MANO files made from MakeHuman's CC0 assets (see docs/open_world.md)."""
