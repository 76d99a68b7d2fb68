"""Hot-rolled steel under an inspection camera: generated tiles, line conditions, and a reader for real images.

The generator exists so that the book needs no download: tiles of seven classes, the same bytes from the same
seed everywhere, with every property of the line as a dial that a drift experiment can turn.
"""

from .camera import INPUT_SIZE, to_input
from .conditions import GRADES, HARDEST_ROUTINE, NOMINAL, Conditions
from .dataset import make_set, tiles
from .folder import ImageError, is_litter, load_folder, read_colour, read_image
from .frames import Frame, frames, make_frame
from .generator import CLASSES, DEFECTS, TILE_SIZE, Tile, make_tile
from .tileset import SPLITS, TileSet
from .view import draw_boxes, mosaic

__all__ = [
    "CLASSES", "DEFECTS", "GRADES", "HARDEST_ROUTINE", "INPUT_SIZE", "NOMINAL", "SPLITS", "TILE_SIZE",
    "Conditions", "Frame", "ImageError", "Tile", "TileSet", "draw_boxes", "frames", "is_litter", "load_folder",
    "make_frame", "make_set", "make_tile", "mosaic", "read_colour", "read_image", "tiles", "to_input",
]  # fmt: skip
