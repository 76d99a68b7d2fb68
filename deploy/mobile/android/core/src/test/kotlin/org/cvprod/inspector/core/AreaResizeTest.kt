package org.cvprod.inspector.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class AreaResizeTest {
    @Test
    fun everyByteOfTheVectors() {
        val vectors = Shared.vectors()
        assertEquals(vectors.classes.size + 1, vectors.all.size)
        for (vector in vectors.all) {
            assertArrayEquals(
                vector.name,
                vectors.tensor(vector),
                AreaResize.resize(vectors.tile(vector), vectors.tileSize),
            )
        }
    }

    @Test
    fun sameSizeIsIdentity() {
        val tile = ByteArray(96 * 96) { (it * 31).toByte() }
        assertArrayEquals(tile, AreaResize.resize(tile, 96))
    }

    @Test
    fun flatStaysFlatAtOddSizes() {
        for (side in listOf(97, 200, 479, 1080)) {
            val output = AreaResize.resize(ByteArray(side * side) { 201.toByte() }, side)
            assertEquals(setOf(201.toByte()), output.toSet())
        }
    }

    @Test
    fun halvesRoundUp() {
        // 2 x 2 pixels of 0, 0, 0, 2 average to one half.
        assertArrayEquals(byteArrayOf(1), AreaResize.resize(byteArrayOf(0, 0, 0, 2), 2, size = 1))
    }

    @Test
    fun saysWhatIsWrong() {
        assertThrows(IllegalArgumentException::class.java) { AreaResize.resize(ByteArray(95 * 95), 95) }
        assertThrows(IllegalArgumentException::class.java) { AreaResize.resize(ByteArray(10), 96) }
    }
}
