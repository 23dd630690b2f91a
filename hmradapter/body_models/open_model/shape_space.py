"""Linear shape space over T-posed people, joints regressed from vertices, and pose correctives."""
import numpy as np

NUM_SHAPES = 10
_CANDIDATES = 12    # vertices in each of the 8 directions that a joint may be regressed from
_SMOOTHNESS = 1e-3  # how much an even blend of the candidates counts against an exact fit


def symmetrize(vertices: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Mean of (..., V, 3) and its reflection in x = 0; mirror (V,) is each vertex's partner."""
    return (vertices + vertices[..., mirror, :] * (-1, 1, 1)) / 2


def principal_shapes(people: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (V, 3) and directions (V, 3, 10) of people (N, V, 3), one standard deviation long each, strongest first.
    features (N, D) say in what measure people differ. See `signs`."""
    mean = people.mean(axis=0)
    centred = features - features.mean(axis=0)
    # the Gram matrix of N people is small, the covariance of D features is not
    vectors = np.linalg.eigh(centred @ centred.T)[1][:, ::-1][:, :NUM_SHAPES]
    directions = np.tensordot(people - mean, vectors / np.sqrt(len(people) - 1), axes=([0], [0]))
    return mean, directions * signs(directions[:, 1:])  # x would not do: it is balanced between left and right


def signs(columns: np.ndarray) -> np.ndarray:
    """+-1 for each of K directions (..., K), by which its cubes sum to more than 0: eigenvectors come with either sign."""
    return np.sign((columns ** 3).reshape(-1, columns.shape[-1]).sum(axis=0))


def hand_space(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A hand's own principal directions (V, 3, K) from the body's at its vertices (V, 3, K), its centroid held still, and the
    orthogonal (K, K) that turns body coefficients into the hand's: the same hand, exactly."""
    still = (directions - directions.mean(axis=0)).reshape(-1, directions.shape[-1])
    left, lengths, turn = np.linalg.svd(still, full_matrices=False)
    flip = signs(left)
    return (left * lengths * flip).reshape(directions.shape), turn * flip[:, None]


def shape_of(offset: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Coefficients (K,) whose blend of directions (V, 3, K) is nearest to offset (V, 3)."""
    return np.linalg.lstsq(directions.reshape(-1, directions.shape[-1]), offset.ravel(), rcond=None)[0]


def joint_regressor(people: np.ndarray, joints: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Rows (J, V), non-negative and each summing to 1, that give joints (N, J, 3) from people (N, V, 3).
    A joint is read from the nearest vertices all around it; allowed (J, V) says which may be used at all."""
    regressor = np.zeros((joints.shape[1], people.shape[1]))
    mean = people.mean(axis=0)
    for joint in range(len(regressor)):
        offset = mean - joints[:, joint].mean(axis=0)
        distance = np.where(allowed[joint], np.linalg.norm(offset, axis=1), np.inf)
        octant = (offset > 1e-6) @ (1, 2, 4)  # not 0: the midline must not fall to either side by rounding
        nearest = [np.argsort(np.where(octant == k, distance, np.inf), kind='stable')[:_CANDIDATES] for k in range(8)]
        chosen = np.unique(np.concatenate(nearest))
        chosen = chosen[np.isfinite(distance[chosen])]
        regressor[joint, chosen] = _affine_fit(people[:, chosen], joints[:, joint])
    return regressor


def _affine_fit(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """w (C,) >= 0 summing to 1 with points (N, C, 3) blended by w near target (N, 3), and w near even.
    Solved without the bound first; points that would count negatively are left out and the rest solved again."""
    count = points.shape[1]
    offsets = (points - target[:, None]).transpose(0, 2, 1).reshape(-1, count)
    normal = offsets.T @ offsets
    normal += np.eye(count) * _SMOOTHNESS * np.trace(normal) / count
    kept, w = np.arange(count), np.zeros(count)
    while True:
        part = np.linalg.solve(normal[np.ix_(kept, kept)], np.ones(len(kept)))  # Lagrange: least w'Nw under sum(w) = 1
        part /= part.sum()
        if (part >= 0).all():
            w[kept] = part
            return w
        kept = kept[part >= 0]


def pose_correctives(template: np.ndarray, faces: np.ndarray, joints: np.ndarray, weights: np.ndarray, parents) -> np.ndarray:
    """posedirs (V, 3, 9 (J - 1)): skin moves out along its normal where linear blending would make a bent joint thin.

    Between a joint and its parent, blending two turns by angle t halves apart shrinks a radius r to r cos(t/2), so r t^2 / 8 is
    lost; 1 - cos t = (3 - trace R) / 2 is t^2 / 2 and linear in the features R - I. Hence the offset r / 4 (1 - cos t), faded
    by 4 w (1 - w) away from the seam.
    """
    normals = vertex_normals(template, faces)
    out = np.zeros((len(template), 3, 9 * (len(parents) - 1)))
    for joint, parent in enumerate(parents):
        if parent < 0:
            continue
        seam = 4 * weights[:, joint] * weights[:, parent]
        radius = np.minimum(np.linalg.norm(template - joints[joint], axis=1), 0.08)  # m; a thigh's, so that trunks do not swell
        offset = (-seam * radius / 8)[:, None] * normals
        for diagonal in (0, 4, 8):
            out[:, :, 9 * (joint - 1) + diagonal] = offset
    return out


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit outward normals (V, 3), faces weighted by area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normal, faces[:, corner], np.cross(b - a, c - a))
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
