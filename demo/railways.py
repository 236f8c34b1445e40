"""Railway tracks without a train, running away from the camera or across the picture."""

import numpy as np

from demo.backgrounds import GRASS, horizon_scenery, level_camera
from demo.canvas import Canvas, Colour, box, limb, mixed, pick, varied
from demo.nature import Camera, Setting, ground, pole, sky, treeline


def rails(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """Railway tracks on ballast, running away from the camera or across the picture."""
    if rng.random() < 0.35:
        return _tracks_across(canvas, rng)
    camera = level_camera(canvas, rng, (0.3, 0.5), rng.uniform(2.2, 5))
    camera.bend = rng.choice([0, 0, 1]) * rng.normal(0, 0.0015)
    _railway_land(canvas, rng, camera)
    count = pick(rng, [1, 1, 2, 2, 3])
    first = rng.uniform(-2.2, 2.2) - (count - 1) * 2.25
    setting = Setting(camera, (camera.horizon, canvas.height))
    setting.tracks = [first + 4.5 * number for number in range(count)]
    ballast = varied(rng, pick(rng, [(132, 126, 118), (122, 110, 98), (146, 140, 134)]), 8)
    nearest = camera.away(canvas.height) * 0.8
    _bed(canvas, camera, setting.tracks[0] - 3, setting.tracks[-1] + 3, nearest, ballast)
    wood = varied(rng, pick(rng, [(84, 70, 60), (164, 160, 154)]), 8)
    for across in setting.tracks:
        _track(canvas, camera, across, nearest, wood)
    if rng.random() < 0.4:
        _platform(canvas, rng, camera, setting.tracks, nearest)
    if rng.random() < 0.65:
        _overhead_line(canvas, rng, camera, setting.tracks, nearest)
    return setting


def _railway_land(canvas: Canvas, rng: np.random.Generator, camera: Camera) -> None:
    sky(canvas, rng, camera.horizon + 2)
    horizon_scenery(canvas, rng, camera.horizon, town=0.4)
    if rng.random() < 0.6:
        treeline(canvas, rng, camera.horizon, canvas.height * rng.uniform(0.08, 0.2))
    grass = varied(rng, mixed(pick(rng, GRASS), (140, 128, 104), rng.uniform(0, 0.6)), 8)
    ground(canvas, rng, camera, grass, mixed(grass, (150, 152, 130), 0.4), contrast=0.22)


def _ribbon(camera: Camera, left: float, right: float, distances: np.ndarray,
            up: float = 0.0) -> np.ndarray:
    there = [camera.at(left, up, away) for away in distances]
    back = [camera.at(right, up, away) for away in distances[::-1]]
    return np.array(there + back)


def _bed(canvas: Canvas, camera: Camera, left: float, right: float, nearest: float,
         colour: Colour) -> None:
    distances = nearest * np.geomspace(1, 60, 40)
    canvas.paint([_ribbon(camera, left, right, distances)], colour, grain=0.3, fade=-0.1)
    canvas.paint([_ribbon(camera, left, left + 0.8, distances),
                  _ribbon(camera, right - 0.8, right, distances)],
                 np.asarray(colour) * 0.85, grain=0.35)


def _track(canvas: Canvas, camera: Camera, across: float, nearest: float, wood: Colour) -> None:
    start = np.floor(nearest / 0.65) * 0.65
    sleepers = [_ribbon(camera, across - 1.3, across + 1.3, np.array([away, away + 0.26]))
                for away in np.arange(start, nearest * 9, 0.65)]
    canvas.paint(sleepers, wood, grain=0.25, fade=-0.2)
    distances = nearest * np.geomspace(1, 60, 40)
    for side in (-0.72, 0.72):
        middle = across + side
        foot = _ribbon(camera, middle - 0.08, middle + 0.08, distances)
        canvas.paint([foot], (74, 58, 50), grain=0.1)
        head = _ribbon(camera, middle - 0.038, middle + 0.038, distances, 0.14)
        canvas.paint([head], (196, 200, 206), grain=0.05)


def _platform(canvas: Canvas, rng: np.random.Generator, camera: Camera, tracks: list[float],
              nearest: float) -> None:
    side = rng.choice([-1, 1])
    edge = (tracks[0] - 1.8) if side < 0 else (tracks[-1] + 1.8)
    distances = nearest * np.geomspace(1, rng.uniform(8, 30), 30)
    stone = varied(rng, (168, 164, 158), 8)
    wall = [camera.at(edge, 0, away) for away in distances]
    rim = [camera.at(edge, 0.9, away) for away in distances[::-1]]
    canvas.paint([_ribbon(camera, edge, edge + side * 30, distances, 0.9)], stone, grain=0.1)
    canvas.paint([np.array(wall + rim)], np.asarray(stone) * 0.6, grain=0.2)
    canvas.paint([_ribbon(camera, edge + side * 0.25, edge + side * 0.45, distances, 0.9)],
                 pick(rng, [(236, 232, 220), (232, 196, 60)]))
    for away in distances[::4]:
        pole(canvas, camera, edge + side * 3, away, 4.2, 0.16, (96, 100, 104))


def _overhead_line(canvas: Canvas, rng: np.random.Generator, camera: Camera, tracks: list[float],
                   nearest: float) -> None:
    steel = varied(rng, (92, 96, 100), 8)
    side = rng.choice([-1, 1])
    foot = (tracks[0] - 2.6) if side < 0 else (tracks[-1] + 2.6)
    inner = tracks[0] if side > 0 else tracks[-1]
    spacing = nearest * rng.uniform(1.2, 2.2)
    for away in (nearest * rng.uniform(1.6, 2.4) + spacing * np.arange(6))[::-1]:
        pole(canvas, camera, foot, away, 7, 0.22, steel)
        arm = [camera.at(foot, 6.4, away), camera.at(inner, 6.2, away)]
        canvas.paint(limb(arm, max(1.5, 0.12 * camera.focal / away)), steel)
    for across in tracks:
        wire = [camera.at(across, 5.8, away) for away in nearest * np.geomspace(1, 30, 24)]
        canvas.paint(limb(wire, 1.6), (60, 62, 66), grain=0)


def _tracks_across(canvas: Canvas, rng: np.random.Generator) -> Setting:
    camera = level_camera(canvas, rng, (0.3, 0.45), rng.uniform(3.6, 7))
    _railway_land(canvas, rng, camera)
    row = canvas.height * rng.uniform(0.72, 0.86)
    away = camera.away(row)
    near, far = away - 0.72, away + 0.72
    reach = canvas.width / camera.focal * away * 1.2
    ballast = varied(rng, (136, 128, 118), 10)
    canvas.paint([_ribbon(camera, -reach, reach, np.array([max(near - 1.6, 1), far + 1.6]))],
                 ballast, grain=0.34)
    wood = varied(rng, pick(rng, [(84, 70, 60), (150, 146, 140)]), 8)
    sleepers = [_ribbon(camera, across, across + 0.26, np.array([near - 0.55, far + 0.55]))
                for across in np.arange(-reach, reach, 0.65)]
    canvas.paint(sleepers, wood, grain=0.25)
    for distance in (far, near):
        scale = camera.focal / distance
        _, y = camera.at(0, 0, distance)
        canvas.paint([box(0, y - 0.16 * scale, canvas.width, y)], (84, 66, 56), grain=0.15)
        canvas.paint([box(0, y - 0.18 * scale, canvas.width, y - 0.11 * scale)], (200, 202, 206))
    if rng.random() < 0.6:
        for across in np.arange(-reach, reach, rng.uniform(9, 16)):
            pole(canvas, camera, across, far + 2.2, 7, 0.24, (100, 100, 104))
        _, high = camera.at(0, 5.9, away)
        canvas.paint([box(0, high, canvas.width, high + 2)], (60, 62, 66), grain=0)
    _, row = camera.at(0, 0.15, near)
    return Setting(camera, (camera.horizon, canvas.height), side_track=(row, camera.focal / near))
