"""The painted retina of a phantom: colour, tissue, landmarks, lesions and vessels under a simulated fundus camera."""

import io
import math

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.sparse import csr_array

from xaibench.data.phantom.raster import Raster
from xaibench.data.phantom.tree import Anatomy

# Spread of the tissue's logarithmic mottling at each scale, in pale and in pigmented eyes.
_MOTTLING_SIGMAS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # px
_MOTTLING_PALE = (0.006, 0.009, 0.013, 0.018, 0.025, 0.035, 0.045)
_MOTTLING_DARK = (0.009, 0.014, 0.022, 0.03, 0.042, 0.07, 0.09)


class Scene:
    """One eye in front of one camera.

    Args:
        rng: draws everything that the geometry leaves open.
        eye: the landmarks.
        shape: (H, W) of the image.
        origin: (2,) pixel (x, y) of the coordinate origin of ``eye``.
        field_radius: px, of the field of view.

    Attributes:
        x, y: (H, W) pixel coordinates.
        centred: (H, W) px to the right of the image's centre, and below it.
        fov: (H, W) bool.
        pigment: 0 for a pale and even eye, as in DRIVE; 1 for a dark and mottled one, as in CHASE_DB1.
    """

    def __init__(
        self, rng: np.random.Generator, eye: Anatomy, shape: tuple[int, int], origin: np.ndarray, field_radius: float
    ) -> None:
        self.rng = rng
        self.eye = eye
        self.origin = origin
        self.field_radius = field_radius
        self.y, self.x = np.mgrid[: shape[0], : shape[1]].astype(float)
        self.centred = self.x - (shape[1] - 1) / 2, self.y - (shape[0] - 1) / 2
        self.fov = np.hypot(*self.centred) <= field_radius
        self.pigment = float(rng.beta(0.6, 1.1))

    def offsets(self, landmark: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) px to the right of a landmark, and below it."""
        return self.x - self.origin[0] - landmark[0], self.y - self.origin[1] - landmark[1]

    def noise(self, sigma: float) -> np.ndarray:
        """(H, W) Gaussian noise of unit spread with correlation length ``sigma`` px."""
        if sigma < 3:
            white = self.rng.standard_normal(self.fov.shape, dtype=np.float32)
            field = gaussian_filter(white, sigma, mode="wrap", truncate=3.0)
            return np.asarray(field * (2 * math.sqrt(math.pi) * sigma), float)
        # The same field from white noise on a coarse grid, whose points are the kernel's width apart: much faster.
        rows, columns = (_interpolation(n, sigma, self.rng.random()) for n in self.fov.shape)
        coarse = self.rng.standard_normal((rows.shape[1], columns.shape[1]))
        return np.asarray(rows @ (columns @ coarse.T).T)


def paint(scene: Scene, raster: Raster) -> np.ndarray:
    """Paint the image that a fundus camera takes: (H, W, 3) uint8.

    Args:
        scene: the eye without its vessels.
        raster: the vessels.
    """
    colour = _colour(scene)
    light = _illumination(scene)
    texture = _tissue(scene)
    texture += _choroid(scene)[..., None] * [0.7, 1.0, 1.2]
    texture += _nerve_fibres(scene)[..., None] * [0.5, 1.0, 1.3]
    texture -= _macula(scene)[..., None] * [0.55, 1.0, 0.9]
    image = colour * np.exp(texture) * light
    image = image * np.exp(_lesions(scene)[..., None] * [0.35, 1.0, 0.9])
    image = _disc(scene, image, colour, light)
    return _camera(scene, _vessels(scene.rng, image, raster))


def _interpolation(n: int, sigma: float, phase: float) -> csr_array:
    """(n, m) matrix that evaluates m coarse values, weighted by a Gaussian, at n pixels; its rows have unit norm."""
    at = np.arange(n) / sigma + phase + 3
    node = np.floor(at).astype(int)[:, None] + np.arange(-3, 5)
    weight = np.exp(-0.5 * (node - at[:, None]) ** 2)
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    return csr_array((weight.ravel(), (np.repeat(np.arange(n), 8), node.ravel())), shape=(n, int(node.max()) + 1))


def _colour(scene: Scene) -> np.ndarray:
    """(3,) typical red, green and blue."""
    rng, pigment = scene.rng, scene.pigment
    green = np.clip(rng.normal(0.38 - 0.12 * pigment, 0.06), 0.2, 0.55)
    red = green * np.clip(rng.normal(1.9 + 0.75 * pigment, 0.22), 1.45, 3.2)
    blue = green * np.clip(rng.normal(0.6 - 0.42 * pigment, 0.1), 0.1, 0.8)
    return np.array([min(red, 0.95), green, blue])


def _illumination(scene: Scene) -> np.ndarray:
    """(H, W, 3) light that falls off from a point beside the image's centre, in each colour differently."""
    rng, (x, y) = scene.rng, scene.centred
    cx, cy = rng.normal(0, 0.22, 2)
    u, v = x / scene.field_radius - cx, y / scene.field_radius - cy
    fall = rng.uniform(0.05, 0.3) + rng.uniform(0, 0.5) * scene.pigment
    distance = (u * u + v * v) ** rng.uniform(0.8, 1.6)
    slope = rng.normal(0, 0.07, 2)
    dim = np.exp(-fall * distance + slope[0] * u + slope[1] * v)
    tint = 1 + rng.normal(0, 0.2, 3) + [0, 0, 0.3 * scene.pigment]
    light = dim[..., None] ** tint
    return np.asarray(light / np.median(light, axis=(0, 1)))


def _tissue(scene: Scene) -> np.ndarray:
    """(H, W, 3) logarithmic mottling over all scales, with spreads as measured on fundus photographs."""
    pigment = scene.pigment
    texture = np.zeros((*scene.fov.shape, 3))
    rough = math.exp(scene.rng.normal(0, 0.3))
    for sigma, pale, dark in zip(_MOTTLING_SIGMAS, _MOTTLING_PALE, _MOTTLING_DARK, strict=True):
        spread = rough * ((1 - pigment) * pale + pigment * dark)
        shared, own = scene.noise(sigma), scene.noise(sigma)
        texture += spread * shared[..., None] * [0.5, 0.9, 0.9 + pigment]
        texture += spread * own[..., None] * (np.array([0.55, -0.2, -0.15]) / (1 + sigma / 60))
    return texture


def _choroid(scene: Scene) -> np.ndarray:
    """(H, W) vessels of the choroid shining through: broad, faint, blurred bands that are no retinal vessels."""
    rng = scene.rng
    if rng.random() < 0.45 - 0.3 * scene.pigment:
        return np.zeros(scene.fov.shape)
    field = scene.noise(rng.uniform(9, 18)) + 0.6 * scene.noise(rng.uniform(22, 40))
    bands = np.exp(-0.5 * (field / 0.35) ** 2)
    where = np.clip(0.5 + 0.6 * scene.noise(70), 0, 1)
    return np.asarray(rng.choice([-1.0, 1.0]) * rng.uniform(0.02, 0.09) * bands * where)


def _nerve_fibres(scene: Scene) -> np.ndarray:
    """(H, W) bright streaks that fan out from the disc and bend around the fovea."""
    rng, (dx, dy) = scene.rng, scene.offsets(scene.eye.disc)
    distance = np.hypot(dx, dy)
    temporal = scene.eye.fovea - scene.eye.disc
    angle = np.arctan2(dy, dx) - math.atan2(temporal[1], temporal[0])
    angle = (angle + np.pi) % (2 * np.pi) - np.pi
    bent = angle + np.sign(angle) * np.clip(distance / 500, 0, 0.5) * np.exp(-((np.abs(angle) - 0.7) ** 2))
    table = gaussian_filter(rng.normal(0, 1, (8, 720)), (0.6, rng.uniform(0.8, 1.8)), mode="wrap")
    table /= table.std()
    at = np.stack([np.clip(distance / 60, 0, 7), (bent + np.pi) / (2 * np.pi) * 720])
    streaks = map_coordinates(table, at, order=1, mode="grid-wrap")
    thick = np.exp(-(((distance - 60) / rng.uniform(70, 140)) ** 2)) * (np.abs(np.sin(angle)) ** 0.7)
    patch = np.clip(0.4 + scene.noise(50), 0, 1.5)
    strength = rng.uniform(0, 0.035) + rng.uniform(0, 0.05) * scene.pigment
    return np.asarray(strength * streaks * thick * patch + strength * 1.2 * thick * patch)


def _macula(scene: Scene) -> np.ndarray:
    """(H, W) absorption of the macula, deepest in the fovea."""
    rng, distance = scene.rng, np.hypot(*scene.offsets(scene.eye.fovea))
    wide = rng.uniform(0.05, 0.2) * np.exp(-0.5 * (distance / rng.uniform(40, 70)) ** 2)
    deep = rng.uniform(0.06, 0.25) * np.exp(-0.5 * (distance / rng.uniform(11, 20)) ** 2)
    glint = rng.uniform(-0.06, 0.02) * np.exp(-0.5 * (distance / 3.0) ** 2)
    return np.asarray(wide + deep + glint)


def _disc(scene: Scene, image: np.ndarray, colour: np.ndarray, light: np.ndarray) -> np.ndarray:
    """The image with its optic disc: pale, a soft rim, a brighter cup, sometimes a ring of bare or dark tissue."""
    rng, eye, (dx, dy) = scene.rng, scene.eye, scene.offsets(scene.eye.disc)
    squeeze = rng.uniform(0.9, 1.0)
    turn = rng.normal(0, 0.3)
    u, v = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
    radius = eye.disc_radius
    wavy = 1 + 0.03 * np.sin(2 * np.arctan2(v, u) + rng.uniform(0, 6)) + 0.02 * np.sin(3 * np.arctan2(v, u))
    edge = np.hypot(u / squeeze, v) / wavy - radius
    inside = _inside(edge, rng.uniform(0.6, 3.2))
    ring = rng.normal(0, 0.07) * np.exp(-0.5 * ((edge - 5) / rng.uniform(3, 7)) ** 2)
    nasal = eye.disc - eye.fovea
    nasal = nasal / np.hypot(*nasal)
    pallor = 1 - rng.uniform(0, 0.15) * np.clip((dx * nasal[0] + dy * nasal[1]) / radius, -1, 1)
    cup = np.hypot(dx + rng.uniform(0, 8) * nasal[0], dy + rng.normal(0, 3)) - radius * rng.uniform(0.25, 0.6)
    bright = _inside(cup, rng.uniform(1.0, 5))
    pale = colour * [rng.uniform(1.1, 1.3), rng.uniform(1.3, 2.0), rng.uniform(1.15, 2.0)]
    pale[0] = max(pale[0], 1.2 * pale[1])  # never greenish
    cupped = pale * [rng.uniform(1.0, 1.15), rng.uniform(1.1, 1.65), rng.uniform(1.1, 2.0)]
    own = (pale + bright[..., None] * (cupped - pale)) * pallor[..., None]
    own = own * (1 + 0.04 * scene.noise(5)[..., None]) * light**0.7
    around = image * np.exp(ring)[..., None]
    return np.asarray(around + inside[..., None] * (own - around))


def _inside(distance: np.ndarray, soft: float) -> np.ndarray:
    """(H, W) in (0, 1): how far inside an edge a pixel lies, from its signed distance and the edge's softness, px."""
    return np.asarray(1 / (1 + np.exp(np.clip(distance / soft, -30, 30))))


def _lesions(scene: Scene) -> np.ndarray:
    """(H, W) logarithmic brightness of distractors for a vessel detector: streaks, dots, clusters and bleedings."""
    rng, inside = scene.rng, np.argwhere(scene.fov)
    density = len(inside) / 229_000  # of the full field
    marks = np.zeros(scene.fov.shape)

    def put(cy: float, cx: float, along: float, across: float, turn: float, value: float) -> None:
        reach = int(2.5 * max(along, across)) + 2
        top, left = max(int(cy) - reach, 0), max(int(cx) - reach, 0)
        window = np.s_[top : int(cy) + reach + 1, left : int(cx) + reach + 1]
        dx, dy = scene.x[window] - cx, scene.y[window] - cy
        u = dx * math.cos(turn) + dy * math.sin(turn)
        v = dy * math.cos(turn) - dx * math.sin(turn)
        marks[window] += value * np.exp(-((u / along) ** 4) - 0.5 * (v / across) ** 2)

    def spots(mean: float) -> np.ndarray:
        count = rng.poisson(mean * density)
        return inside[rng.integers(len(inside), size=count)] + rng.uniform(-0.5, 0.5, (count, 2))

    for cy, cx in spots(25):  # dark streaks
        put(cy, cx, rng.uniform(4, 14), rng.uniform(0.6, 2.2), rng.uniform(0, np.pi), -rng.uniform(0.02, 0.09))
    for cy, cx in spots(15):  # bright streaks
        put(cy, cx, rng.uniform(5, 18), rng.uniform(0.8, 2.5), rng.uniform(0, np.pi), rng.uniform(0.02, 0.08))
    if rng.random() < 0.4:  # microaneurysms and dust
        for cy, cx in spots(20):
            size = rng.uniform(0.8, 2.2)
            put(cy, cx, size, size, 0, -rng.uniform(0.05, 0.25))
    if rng.random() < 0.4:  # drusen or hard exudates, in clusters
        for cy, cx in spots(2.5):
            for dy, dx in rng.normal(0, rng.uniform(6, 25), (int(rng.integers(3, 25)), 2)):
                size = rng.uniform(0.9, 3)
                put(cy + dy, cx + dx, size, size, 0, rng.uniform(0.08, 0.4))
    if rng.random() < 0.15:  # bleedings and pigment
        for cy, cx in spots(3):
            put(cy, cx, rng.uniform(3, 12), rng.uniform(2, 7), rng.uniform(0, np.pi), -rng.uniform(0.08, 0.35))
    return marks


def _vessels(rng: np.random.Generator, image: np.ndarray, raster: Raster) -> np.ndarray:
    """The image with its vessels: blood absorbs green most, the wall reflects a streak, scatter brightens the edge."""
    weight = np.array([rng.uniform(0.22, 0.48), 1.0, rng.uniform(0.6, 1.0)])
    sheath = gaussian_filter(raster.depth, 2.5) - gaussian_filter(raster.depth, 1.2)
    glow = rng.uniform(0.0, 0.25) * np.clip(sheath, 0, None)
    return np.asarray(image * np.exp((glow - raster.depth * (1 - raster.reflex))[..., None] * weight))


def _camera(scene: Scene, image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the image after optics, sensor and file: blur, rim, sharpening, noise and compression."""
    rng, fov = scene.rng, scene.fov
    inward = scene.field_radius - np.hypot(*scene.centred)  # px from the rim
    optics = rng.uniform(0.55, 0.95)
    for channel, extra in enumerate((1.25, 1.0, 1.35)):  # eyes and cameras focus one colour only
        image[..., channel] = gaussian_filter(image[..., channel], optics * extra)
    glare = np.exp(rng.normal(0, 0.12) * np.exp(-inward.clip(0) / (scene.field_radius * rng.uniform(0.01, 0.05))))
    # Just within the mask of the field the light still rises, over five pixels in DRIVE.
    slow = rng.uniform(2.5, 6.5) if rng.random() < 0.75 else rng.uniform(0.8, 2.5)
    lit = np.clip(inward[..., None] / slow + rng.uniform(-0.1, 0.3) + rng.normal(0, 0.06, 3), 0, 1)
    image = image * glare[..., None] * lit + rng.uniform(0, 0.02, 3) * (1 - lit)
    crisp = rng.uniform(0, 0.35)  # cameras sharpen; the halo shows most in blue
    for channel, share in enumerate((0.4, 0.6, 1.3)):
        plane = image[..., channel]
        image[..., channel] = plane + crisp * share * (plane - gaussian_filter(plane, 2.0, truncate=3.0))
    shot = rng.uniform(0.3, 1.0)
    grain = rng.standard_normal((*fov.shape, 3), dtype=np.float32)
    soft = gaussian_filter(grain, (0.6, 0.6, 0)) / 0.42
    grey = soft.mean(2, keepdims=True)
    level = np.array([0.006, 0.0055, 0.005 + 0.002 * scene.pigment]) * rng.uniform(0.5, 1.5)
    image = image + level * (shot * soft + (1 - shot) * grain + 0.8 * grey) * np.sqrt(np.clip(image, 0.02, 1) / 0.4)
    image[~fov] = image[~fov].clip(0, 0.03)
    pixels: np.ndarray = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.7:  # most fundus photographs went through a JPEG file once
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(75, 98)), subsampling=0)
        pixels = np.asarray(Image.open(file), np.uint8)
    return pixels
