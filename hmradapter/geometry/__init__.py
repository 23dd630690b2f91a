"""Pure tensor maths: rotations, mirroring, cameras, boxes, Procrustes, kinematic chains. No I/O, no models.

Every function takes any leading batch dimensions and keeps dtype and device; conventions stand in each module's head.
"""
