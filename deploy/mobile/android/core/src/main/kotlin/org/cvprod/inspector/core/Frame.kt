package org.cvprod.inspector.core

import java.nio.ByteBuffer

/** Grey levels of a square, row by row, unsigned. */
class Square(val pixels: ByteArray, val side: Int)

/**
 * Cut the middle square out of a camera's luma plane and turn it upright.
 *
 * @param luma the Y plane; read from position 0, its position and limit stay as they are
 * @param rowStride bytes from one row to the next: at least [width], since cameras pad rows
 * @param rotation clockwise degrees that bring the picture upright: 0, 90, 180 or 270
 */
fun middleSquare(luma: ByteBuffer, width: Int, height: Int, rowStride: Int, rotation: Int): Square {
    require(width > 0 && height > 0 && rowStride >= width) { "No frame of $width x $height has rows of $rowStride bytes." }
    require(rotation in setOf(0, 90, 180, 270)) { "A camera turns by quarter turns, not by $rotation degrees." }
    val needed = (height - 1) * rowStride + width // the last row may end without its padding
    require(luma.capacity() >= needed) { "$width x $height pixels need $needed bytes, the plane has ${luma.capacity()}." }
    val side = minOf(width, height)
    val left = (width - side) / 2
    val top = (height - side) / 2
    val pixels = ByteArray(side * side)
    for (row in 0 until side) {
        for (column in 0 until side) {
            val target = when (rotation) {
                0 -> row * side + column
                90 -> column * side + (side - 1 - row)
                180 -> (side - 1 - row) * side + (side - 1 - column)
                else -> (side - 1 - column) * side + row
            }
            pixels[target] = luma.get((top + row) * rowStride + left + column)
        }
    }
    return Square(pixels, side)
}
