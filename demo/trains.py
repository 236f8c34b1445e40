"""Trains that come along a track, in perspective."""

import numpy as np

from demo.canvas import Canvas, Colour, ellipse, pick, varied
from demo.nature import Camera

LIVERIES: tuple[tuple[Colour, Colour], ...] = (
    ((190, 34, 40), (236, 232, 226)), ((232, 232, 234), (40, 70, 150)),
    ((34, 66, 128), (240, 200, 60)), ((40, 104, 70), (226, 218, 190)),
    ((236, 196, 50), (60, 66, 74)), ((222, 224, 228), (200, 40, 44)),
    ((70, 78, 90), (220, 120, 40)),
)
KINDS = ("commuter train", "commuter train", "high-speed train", "steam locomotive")
GLASS: Colour = (40, 50, 62)
BLACK: Colour = (38, 38, 42)
WIDTH, HEIGHT, FLOOR = 2.9, 3.9, 0.9


def draw_oncoming_train(
    canvas: Canvas,
    rng: np.random.Generator,
    label: int,
    kind: str,
    camera: Camera,
    across: float,
    away: float,
) -> None:
    """A train on the track at `across` metres whose front is `away` metres from the camera."""
    body, accent = pick(rng, LIVERIES)
    body = varied(rng, body, 6)
    if kind == "steam locomotive":
        body, accent = varied(rng, BLACK, 5), (150, 40, 36)
    left, right = across - WIDTH / 2, across + WIDTH / 2
    cars, car = int(rng.integers(2, 6)), 18.0
    middle = camera.at(across, 0, away)
    wide = camera.focal * WIDTH / away
    canvas.darken([ellipse(middle[0], middle[1], wide * 0.62, wide * 0.09)], 0.6, wide * 0.05)
    seen = left if camera.at(left, 0, away)[0] > camera.x else right
    if camera.at(left, 0, away)[0] > camera.x or camera.at(right, 0, away)[0] < camera.x:
        inwards = seen
    else:
        inwards = left if camera.at(across, 0, away)[0] > camera.x else right
    for number in reversed(range(cars)):
        _car_side(canvas, label, camera, inwards, away + number * car, car, body, accent)
    if kind == "high-speed train":
        _pointed_front(canvas, label, camera, across, away, body, accent)
    elif kind == "steam locomotive":
        _steam_front(canvas, rng, label, camera, across, away, body)
    else:
        _flat_front(canvas, rng, label, camera, across, away, body, accent)


def _quad(
    camera: Camera, across: float, near: float, far: float, low: float, high: float
) -> np.ndarray:
    distances = np.linspace(near, far, 6)
    return np.array([camera.at(across, low, z) for z in distances]
                    + [camera.at(across, high, z) for z in distances[::-1]])


def _car_side(canvas: Canvas, label: int, camera: Camera, across: float, near: float,
              length: float, body: Colour, accent: Colour) -> None:
    far = near + length - 0.6
    canvas.paint([_quad(camera, across, near, near + length, 0.15, FLOOR)], BLACK, label)
    side = np.asarray(body) * 0.82
    canvas.paint([_quad(camera, across, near, far, FLOOR, HEIGHT)], side, label, grain=0.03,
                 fade=0.12)
    canvas.paint([_quad(camera, across, far, near + length, FLOOR, HEIGHT - 0.2)], BLACK, label)
    canvas.paint([_quad(camera, across, near, far, 1.3, 1.7)], np.asarray(accent) * 0.85, label,
                 grain=0.03)
    panes = [_quad(camera, across, z, z + 1.25, 2.15, 3.1)
             for z in np.arange(near + 2.6, far - 1.5, 1.75)]
    canvas.paint(panes, GLASS, label, grain=0.1)
    door = _quad(camera, across, near + 1.0, near + 2.1, FLOOR + 0.1, 3.3)
    canvas.paint([door], np.asarray(accent) * 0.75, label, grain=0.03)


def _face(
    camera: Camera, across: float, away: float, outline: list[tuple[float, float]]
) -> np.ndarray:
    return np.array([camera.at(across + x, y, away) for x, y in outline])


def _rounded(
    width: float, low: float, high: float, shoulder: float = 0.5
) -> list[tuple[float, float]]:
    half = width / 2
    return [(-half, low), (half, low), (half, high - shoulder), (half - 0.35 * shoulder,
            high - 0.3 * shoulder), (half - shoulder, high), (-half + shoulder, high),
            (-half + 0.35 * shoulder, high - 0.3 * shoulder), (-half, high - shoulder)]


def _flat_front(canvas: Canvas, rng: np.random.Generator, label: int, camera: Camera,
                across: float, away: float, body: Colour, accent: Colour) -> None:
    def face(outline, colour, **look):
        canvas.paint([_face(camera, across, away, outline)], colour, label, **look)

    size = camera.focal / away
    face(_rounded(WIDTH, FLOOR - 0.3, HEIGHT, 0.6), body, relief=0.3, thickness=size * 0.25,
         grain=0.03)
    face([(-1.3, 0.15), (1.3, 0.15), (1.4, FLOOR), (-1.4, FLOOR)], BLACK)
    face([(-1.45, 1.15), (1.45, 1.15), (1.45, 1.75), (-1.45, 1.75)], accent, grain=0.03)
    if rng.random() < 0.5:
        face([(-1.22, 2.1), (1.22, 2.1), (1.12, 3.3), (-1.12, 3.3)], GLASS, fade=-0.5)
        face([(-0.04, 2.1), (0.04, 2.1), (0.04, 3.3), (-0.04, 3.3)], body)
    else:
        for x in (-0.68, 0.68):
            face([(x - 0.5, 2.15), (x + 0.5, 2.15), (x + 0.45, 3.2), (x - 0.45, 3.2)], GLASS,
                 fade=-0.5)
    face([(-0.6, 3.42), (0.6, 3.42), (0.6, 3.68), (-0.6, 3.68)], (60, 50, 30))
    _lamps(canvas, label, camera, across, away, ((-1.05, 1.45), (1.05, 1.45), (0, 3.55)), 0.16)
    for x in (-0.8, 0.8):
        canvas.paint([ellipse(*camera.at(across + x, 0.85, away), size * 0.2, size * 0.16)],
                     (60, 62, 66), label, relief=0.4, thickness=3)


def _lamps(canvas: Canvas, label: int, camera: Camera, across: float, away: float,
           places: tuple[tuple[float, float], ...], radius: float) -> None:
    size = camera.focal / away * radius
    for x, y in places:
        spot = camera.at(across + x, y, away)
        canvas.paint([ellipse(*spot, size * 1.5, size * 1.5)], (80, 80, 84), label)
        canvas.paint([ellipse(*spot, size, size)], (255, 250, 222), label, grain=0)


def _pointed_front(canvas: Canvas, label: int, camera: Camera, across: float, away: float,
                   body: Colour, accent: Colour) -> None:
    """A streamlined nose: sections that shrink towards the viewer."""
    for step in np.linspace(0, 1, 14):
        shrink = 1 - 0.5 * step**2
        outline = _rounded(
            WIDTH * shrink, 0.35, 0.35 + (HEIGHT - 0.35) * (1 - 0.62 * step**1.5), 0.9
        )
        place = away - 5.0 * step
        tone = np.asarray(body) * (0.8 + 0.28 * step)
        canvas.paint([_face(camera, across, place, outline)], tone, label, grain=0.02)
    screen = []
    for step, half, sides in ((0.25, 0.8, (-1, 1)), (0.72, 1.15, (1, -1))):
        shrink, high = 1 - 0.5 * step**2, 0.35 + (HEIGHT - 0.35) * (1 - 0.62 * step**1.5)
        screen += [camera.at(across + side * half * shrink, high - 0.12, away - 5.0 * step)
                   for side in sides]
    canvas.paint([np.array(screen)], GLASS, label, grain=0.03, fade=-0.4)
    nose = away - 5.0
    canvas.paint([_face(camera, across, nose, [(-0.75, 0.9), (0.75, 0.9), (0.75, 1.1),
                                               (-0.75, 1.1)])], accent, label)
    canvas.paint([_face(camera, across, nose, [(-0.72, 0.3), (0.72, 0.3), (0.72, 0.55),
                                               (-0.72, 0.55)])], BLACK, label)
    _lamps(canvas, label, camera, across, nose, ((-0.5, 1.3), (0.5, 1.3)), 0.09)


def _steam_front(canvas: Canvas, rng: np.random.Generator, label: int, camera: Camera,
                 across: float, away: float, body: Colour) -> None:
    def face(outline, colour, distance=away, **look):
        canvas.paint([_face(camera, across, distance, outline)], colour, label, **look)

    size = camera.focal / away
    face(_rounded(2.9, 0.9, 3.7, 0.8), body, grain=0.05)
    for x in (-1.0, 1.0):
        face([(x - 0.3, 2.5), (x + 0.3, 2.5), (x + 0.3, 3.2), (x - 0.3, 3.2)], GLASS)
    for distance in np.linspace(away, away - 3, 8):
        boiler = camera.at(across, 2.25, distance)
        radius = camera.focal / distance * 1.0
        canvas.paint([ellipse(*boiler, radius, radius)], np.asarray(body) * 1.15, label,
                     relief=0.5, thickness=radius / 3)
    front = away - 3
    x, y = camera.at(across, 2.25, front)
    size = camera.focal / front
    canvas.paint([ellipse(x, y, 0.8 * size, 0.8 * size)], (64, 64, 68), label, relief=0.5,
                 thickness=size * 0.2)
    face([(-0.28, 3.1), (0.28, 3.1), (0.36, 3.95), (-0.36, 3.95)], body, front, relief=0.5)
    face([(-1.4, 0.75), (1.4, 0.75), (1.4, 1.15), (-1.4, 1.15)], (168, 36, 34), front)
    face([(-1.2, 0.1), (1.2, 0.1), (0.9, 0.75), (-0.9, 0.75)], (60, 56, 56), front)
    _lamps(canvas, label, camera, across, front, ((0, 3.0), (-1.0, 1.35), (1.0, 1.35)), 0.15)
    top = camera.at(across, 4.0, front)
    smoke(canvas, rng, top, size * 1.0)


def smoke(canvas: Canvas, rng: np.random.Generator, mouth: tuple[float, float],
           size: float) -> None:
    drift = rng.choice([-1, 1]) * rng.uniform(0.2, 0.7)
    grey = varied(rng, (214, 214, 216), 14)
    x, y = mouth
    for puff in range(9):
        radius = size * (0.3 + 0.16 * puff)
        x += drift * radius * 0.8
        y -= radius * 0.55
        canvas.paint([ellipse(x, y, radius * 1.1, radius * 0.85)], grey, None, opacity=0.4,
                     blur=radius * 0.3, relief=0.3, thickness=radius / 2)
