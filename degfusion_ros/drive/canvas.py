# SPDX-License-Identifier: Apache-2.0
"""Paint textured quadrilaterals, far ones first, into visible, thermal and depth at once."""

import cv2
import numpy as np

from degfusion_ros.drive.camera import HEIGHT, NEAR, View, WIDTH
from degfusion_ros.drive.texture import Texture


class Canvas:
    """A picture in the making: rgb linear float32, temperature in kelvin, depth in metres."""

    def __init__(self, view: View, rgb: np.ndarray, temperature: np.ndarray,
                 depth: np.ndarray) -> None:
        self.view, self.rgb, self.temperature, self.depth = view, rgb, temperature, depth

    def quad(self, corners: np.ndarray, texture: Texture, panels: int = 1, shade: float = 1.0,
             solid: bool = True) -> None:
        """
        Paint a texture on a flat quadrilateral.

        corners: (4, 3) camera coordinates of the texture's top left, top right, bottom right and
        bottom left. Long walls are cut into panels along the texture's width, each scaled for its
        own distance. shade multiplies the colour. solid=False (shadows, paint) leaves the depth.
        """
        edges = np.linspace(0, 1, panels + 1)
        spans = list(zip(edges[:-1], edges[1:], strict=True))
        if corners[0, 2] < corners[1, 2]:
            spans.reverse()  # the far end first
        for start, end in spans:
            self._panel(corners, texture, start, end, shade, solid)

    def billboard(self, s: float, d: float, height: float, texture: Texture, shade: float = 1.0,
                  base: float = 0.0, flip: bool = False) -> None:
        """Paint an upright picture that faces the camera: at s, d, so many metres high."""
        half = height * texture.aspect / 2
        x, y, z = self.view.place(s, d, base)
        left, right = (x + half, x - half) if flip else (x - half, x + half)
        self.quad(np.array([(left, y - height, z), (right, y - height, z), (right, y, z),
                            (left, y, z)]), texture, shade=shade)

    def _panel(self, corners: np.ndarray, texture: Texture, start: float, end: float,
               shade: float, solid: bool) -> None:
        top = lambda u: corners[0] + (corners[1] - corners[0]) * u  # noqa: E731
        bottom = lambda u: corners[3] + (corners[2] - corners[3]) * u  # noqa: E731
        z = [min(top(u)[2], bottom(u)[2]) for u in (start, end)]
        if max(z) <= NEAR:
            return
        if min(z) < NEAR:  # cut off what is behind the camera
            cut = start + (end - start) * (NEAR - z[0]) / (z[1] - z[0])
            start, end = (cut, end) if z[0] < NEAR else (start, cut)
        piece = self._piece(texture, start, end, top, bottom)
        if piece is None:
            return
        colour, heat, points, spatial = piece
        x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 2, (WIDTH, HEIGHT))
        if x1 <= x0 or y1 <= y0:
            return
        h, w = heat.shape
        source = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32) - 0.5
        matrix = cv2.getPerspectiveTransform(source, (points - (x0, y0) - 0.5).astype(np.float32))
        size = (int(x1 - x0), int(y1 - y0))
        colour = cv2.warpPerspective(colour, matrix, size, flags=cv2.INTER_LINEAR)
        heat = cv2.warpPerspective(heat, matrix, size, flags=cv2.INTER_LINEAR)
        self._blend(slice(y0, y1), slice(x0, x1), colour, heat, shade)
        if solid:
            self._write_depth(x0, y0, colour[..., 3], points, spatial)

    def _piece(self, texture: Texture, start: float, end: float, top: object,
               bottom: object) -> tuple | None:
        """Cut a span of columns out of the texture, scaled to about its size in the picture."""
        points = self._outline(start, end, top, bottom)
        wide = max(np.hypot(*(points[1] - points[0])), np.hypot(*(points[2] - points[3])))
        high = max(np.hypot(*(points[3] - points[0])), np.hypot(*(points[2] - points[1])))
        if wide < 0.4 or high < 0.4:
            return None
        rows, columns = texture.levels[0][1].shape
        ratio = min(columns * (end - start) / wide, rows / high)
        level = int(np.clip(np.log2(max(ratio, 1)), 0, len(texture.levels) - 1))
        colour, heat = texture.levels[level]
        rows, columns = heat.shape
        first, last = int(start * columns), max(int(np.ceil(end * columns)), 1)
        first = min(first, last - 1)
        colour, heat = colour[:, first:last], heat[:, first:last]
        # Whole columns only: the corners move to where these columns really are.
        points, spatial = self._outline(first / columns, last / columns, top, bottom, True)
        target = (max(int(min(heat.shape[1], wide)), 1), max(int(min(rows, high)), 1))
        if target[0] * 1.3 < heat.shape[1] or target[1] * 1.3 < rows:
            colour = cv2.resize(colour, target, interpolation=cv2.INTER_AREA)
            heat = cv2.resize(heat, target, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(colour), np.ascontiguousarray(heat), points, spatial

    def _outline(self, start: float, end: float, top: object, bottom: object,
                 with_space: bool = False) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        spatial = np.array([top(start), top(end), bottom(end), bottom(start)])
        spatial[:, 2] = np.maximum(spatial[:, 2], NEAR / 2)
        points = self.view.project(spatial)
        return (points, spatial) if with_space else points

    def _blend(self, rows: slice, columns: slice, colour: np.ndarray, heat: np.ndarray,
               shade: float) -> None:
        rest = 1 - colour[..., 3]
        rgb, temperature = self.rgb[rows, columns], self.temperature[rows, columns]
        rgb *= rest[..., None]
        rgb += colour[..., :3] if shade == 1.0 else colour[..., :3] * np.float32(shade)
        temperature *= rest
        temperature += heat

    def _write_depth(self, x0: int, y0: int, alpha: np.ndarray, points: np.ndarray,
                     spatial: np.ndarray) -> None:
        """Write the plane's depth where it covers; 1/z is linear across the picture."""
        system = np.column_stack([points, np.ones(4)])
        a, b, c = np.linalg.lstsq(system, 1 / spatial[:, 2], rcond=None)[0]
        h, w = alpha.shape
        x = np.arange(x0, x0 + w, dtype=np.float32)
        y = np.arange(y0, y0 + h, dtype=np.float32)[:, None]
        near, far = spatial[:, 2].min(), spatial[:, 2].max()
        z = 1 / np.clip(np.float32(a) * x + np.float32(b) * y + np.float32(c), 1 / far, 1 / near)
        np.copyto(self.depth[y0:y0 + h, x0:x0 + w], z, where=alpha > 0.5)
