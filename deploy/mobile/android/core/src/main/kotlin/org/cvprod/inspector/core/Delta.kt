package org.cvprod.inspector.core

import java.util.zip.DataFormatException
import java.util.zip.Inflater

/** Patches between versions of a model, algorithm "subtract-zigzag-planes-deflate" (see ../vectors/README.md). */
object Delta {
    const val ALGORITHM = "subtract-zigzag-planes-deflate"

    /**
     * @param base the installed file
     * @param patch raw DEFLATE
     * @param stride bytes of a word: 1, 2 or 4
     * @param size bytes of the new file
     * @return the new file; compare its SHA-256 before use
     */
    fun apply(base: ByteArray, patch: ByteArray, stride: Int, size: Int): ByteArray {
        require(stride in setOf(1, 2, 4)) { "A word has 1, 2 or 4 bytes, not $stride." }
        val padded = (size + stride - 1) / stride * stride
        val planes = inflate(patch, padded)
        val words = padded / stride
        val old = base.copyOf(padded) // cut, or padded with zeros
        val bits = 8 * stride
        val mask = if (bits == 32) 0xFFFFFFFFL else (1L shl bits) - 1
        for (k in 0 until words) {
            var zigzag = 0L
            var word = 0L
            for (b in stride - 1 downTo 0) {
                zigzag = (zigzag shl 8) or (planes[b * words + k].toLong() and 0xFF)
                word = (word shl 8) or (old[k * stride + b].toLong() and 0xFF)
            }
            val new = (word + ((zigzag ushr 1) xor -(zigzag and 1))) and mask
            for (b in 0 until stride) old[k * stride + b] = (new ushr (8 * b)).toByte()
        }
        return old.copyOf(size)
    }

    /** Exactly [size] bytes or an exception: a patch that grows without end must not fill the memory. */
    private fun inflate(patch: ByteArray, size: Int): ByteArray {
        val inflater = Inflater(true)
        try {
            inflater.setInput(patch)
            val output = ByteArray(size + 1)
            var filled = 0
            while (!inflater.finished() && filled <= size) {
                val count = inflater.inflate(output, filled, output.size - filled)
                if (count == 0 && (inflater.needsInput() || inflater.needsDictionary())) break
                filled += count
            }
            if (!inflater.finished() || filled != size) throw UpdateException("The patch does not unpack to $size bytes.")
            return output.copyOf(size)
        } catch (error: DataFormatException) {
            throw UpdateException("The patch is damaged.", error)
        } finally {
            inflater.end()
        }
    }
}
