package org.cvprod.inspector.core

/**
 * Area averaging in whole numbers: the same bytes in Python, Kotlin and Swift (see ../vectors/README.md).
 *
 * Output pixel o covers the input from side * o / size to side * (o + 1) / size; in units of 1 / size of an input pixel
 * every overlap is a whole number.
 */
object AreaResize {
    /** What the network takes, in pixels. */
    const val INPUT_SIZE = 96

    /**
     * @param tile grey levels, [side] x [side], row by row, unsigned bytes
     * @return grey levels, [size] x [size]
     */
    fun resize(tile: ByteArray, side: Int, size: Int = INPUT_SIZE): ByteArray {
        require(side >= size) { "A tile needs at least $size pixels a side, this one has $side." }
        require(tile.size == side * side) { "$side x $side pixels are ${side * side} bytes, got ${tile.size}." }
        val output = ByteArray(size * size)
        val columns = LongArray(side) // one output row, summed over its input rows
        val area = side.toLong() * side
        for (y in 0 until size) {
            columns.fill(0)
            for (i in covered(y, side, size)) {
                val weight = overlap(y, i, side, size)
                for (j in 0 until side) columns[j] += weight * (tile[i * side + j].toInt() and 0xFF)
            }
            for (x in 0 until size) {
                var sum = 0L
                for (j in covered(x, side, size)) sum += overlap(x, j, side, size) * columns[j]
                output[y * size + x] = ((2 * sum + area) / (2 * area)).toByte() // to the nearest grey level
            }
        }
        return output
    }

    private fun covered(output: Int, side: Int, size: Int): IntRange =
        side * output / size..(side * (output + 1) - 1) / size

    private fun overlap(output: Int, input: Int, side: Int, size: Int): Long =
        (minOf(side * (output + 1), size * (input + 1)) - maxOf(side * output, size * input)).toLong()
}
