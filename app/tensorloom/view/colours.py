"""Numbers as colours: signed values from orange over nothing to blue, phases around an even wheel.

The wheel has constant lightness and chroma in OKLab, so equal steps of phase look equally large;
the size of a number is how far its colour has left the panel's own.
Source: B. Ottosson, "A perceptual color space for image processing" (2020), OKLab to linear sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DARK", "LIGHT", "Theme", "rgba"]

Floats = NDArray[np.float64]

SRGB_KNEE = 0.0031308

LIGHTNESS, CHROMA = 0.68, 0.13
"""Inside the sRGB gamut for every hue; at lightness 0.68 the least saturated hue allows 0.13."""

FROM_OKLAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
TO_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours of the panel a picture lies on, as hexadecimal text."""

    panel: str
    text: str
    line: str
    positive: str
    negative: str


LIGHT = Theme(
    panel="#ffffff", text="#5b6474", line="#e6e3dc", positive="#3b5bdb", negative="#d9480f"
)
DARK = Theme(
    panel="#1b1f26", text="#a6aebb", line="#2a303a", positive="#8ea6ff", negative="#ff9466"
)


def rgba(values: NDArray[Any], theme: Theme) -> NDArray[np.uint8]:
    """Colours of an array, shape ``(*shape, 4)``; 0 is the panel's, the largest number is full."""
    size = np.abs(values).astype(np.float64)
    most = float(size.max(initial=0.0, where=np.isfinite(size)))
    share = np.clip(np.nan_to_num(size / most if most > 0 else size, posinf=1.0), 0.0, 1.0)[
        ..., None
    ]
    full = _wheel(np.angle(values)) if np.iscomplexobj(values) else _signed(values, theme)
    mixed = _hex(theme.panel) * (1 - share) + full * share
    colours = np.full((*values.shape, 4), 255, dtype=np.uint8)
    colours[..., :3] = np.rint(255 * mixed)
    return colours


def _signed(values: NDArray[Any], theme: Theme) -> Floats:
    return np.where((values < 0)[..., None], _hex(theme.negative), _hex(theme.positive))


def _wheel(phase: Floats) -> Floats:
    """Colours in sRGB, from 0 to 1, of phases [radians]; 0 is blue, as positive numbers are."""
    hue = phase + np.radians(265.0)
    lab = np.stack([np.full_like(hue, LIGHTNESS), CHROMA * np.cos(hue), CHROMA * np.sin(hue)], -1)
    linear = ((lab @ FROM_OKLAB.T) ** 3) @ TO_LINEAR.T
    return _gamma(np.clip(linear, 0.0, 1.0))


def _gamma(linear: Floats) -> Floats:
    # Both branches and the threshold are IEC 61966-2-1.
    curved = 1.055 * np.power(linear, 1 / 2.4) - 0.055
    return np.where(linear <= SRGB_KNEE, 12.92 * linear, curved)


def _hex(text: str) -> Floats:
    return np.array([int(text[start : start + 2], 16) / 255 for start in (1, 3, 5)])
