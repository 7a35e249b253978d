"""Drawing into a grid of pixels, and writing it as PNG: lines, filled boxes and a small font, without other programs.

The font has capitals, digits and a few signs, five by seven pixels each; small letters are drawn as capitals.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

# Seven rows of five pixels a letter, each row a number in base 32: one character of _DIGITS.
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_FONT = {
    "A": "ehhvhhh", "B": "uhhuhhu", "C": "ehggghe", "D": "uhhhhhu", "E": "vgguggv", "F": "vgguggg", "G": "ehgnhhf",
    "H": "hhhvhhh", "I": "e44444e", "J": "72222ic", "K": "hikokih", "L": "ggggggv", "M": "hrllhhh", "N": "hhpljhh",
    "O": "ehhhhhe", "P": "uhhuggg", "Q": "ehhhlid", "R": "uhhukih", "S": "fgge11u", "T": "v444444", "U": "hhhhhhe",
    "V": "hhhhha4", "W": "hhhllla", "X": "hha4ahh", "Y": "hhha444", "Z": "v1248gv", "0": "ehjlphe", "1": "4c4444e",
    "2": "eh1248v", "3": "v2421he", "4": "26aiv22", "5": "vgu11he", "6": "68guhhe", "7": "v124888", "8": "ehhehhe",
    "9": "ehhf12c", "-": "000v000", "_": "000000v", "(": "2488842", ")": "8422248", ",": "0000448", ".": "00000cc",
    "[": "e88888e", "]": "e22222e", "=": "00v0v00", "+": "044v440", "*": "04lel40", "/": "01248g0", "<": "248g842",
    ">": "8421248", ":": "0cc0cc0", "?": "eh12404", "|": "4444444", "%": "op248j3", "#": "aavavaa",
}  # fmt: skip


class Canvas:
    """White pixels to draw on."""

    def __init__(self, width: int, height: int) -> None:
        self.pixels = np.full((max(1, height), max(1, width), 3), 255, np.uint8)

    def box(self, x: float, y: float, w: float, h: float, fill: str, edge: str = "#4d4d4d") -> None:
        """A filled rectangle with an edge."""
        x1, y1, x2, y2 = (round(v) for v in (x, y, x + w, y + h))
        self.pixels[max(0, y1) : y2 + 1, max(0, x1) : x2 + 1] = colour(edge)
        self.pixels[max(0, y1 + 1) : y2, max(0, x1 + 1) : x2] = colour(fill)

    def line(self, x1: float, y1: float, x2: float, y2: float, ink: str = "#8a8a8a") -> None:
        """A line one pixel wide."""
        steps = int(max(abs(x2 - x1), abs(y2 - y1))) + 1
        t = np.linspace(0, 1, steps + 1)
        rows = np.rint(y1 + (y2 - y1) * t).astype(int)
        columns = np.rint(x1 + (x2 - x1) * t).astype(int)
        height, width, _ = self.pixels.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        self.pixels[rows[inside], columns[inside]] = colour(ink)

    def text(self, x: float, y: float, text: str, ink: str = "#111111") -> None:
        """Text with its left upper corner at this place."""
        height, width, _ = self.pixels.shape
        for k, letter in enumerate(text.upper()):
            rows = _FONT.get(letter)
            if rows is None:
                rows = "0000000" if letter == " " else _FONT["?"]
            for dy, row in enumerate(rows):
                bits = _DIGITS.index(row)
                for dx in range(5):
                    px, py = round(x) + 6 * k + dx, round(y) + dy
                    if bits >> (4 - dx) & 1 and 0 <= px < width and 0 <= py < height:
                        self.pixels[py, px] = colour(ink)

    def png(self) -> bytes:
        """The picture as a PNG file."""
        height, width, _ = self.pixels.shape
        # Each row begins with the number of its filter: none.
        rows = np.concatenate([np.zeros((height, 1), np.uint8), self.pixels.reshape(height, -1)], axis=1)

        def piece(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + piece(b"IHDR", head)
            + piece(b"IDAT", zlib.compress(rows.tobytes(), 6))
            + piece(b"IEND", b"")
        )


def text_width(text: str) -> int:
    """Pixels that a text takes."""
    return 6 * len(text)


def colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue of ``#rrggbb``."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
