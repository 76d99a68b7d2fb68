package org.cvprod.inspector.core

import java.nio.ByteBuffer
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class FrameTest {
    // Four columns, two rows, rows padded to six bytes; the middle square is 1 2 / 5 6.
    private val plane = ByteBuffer.wrap(byteArrayOf(0, 1, 2, 3, 99, 99, 4, 5, 6, 7))

    @Test
    fun cutsTheMiddleAndSkipsPadding() {
        val square = middleSquare(plane, width = 4, height = 2, rowStride = 6, rotation = 0)
        assertEquals(2, square.side)
        assertArrayEquals(byteArrayOf(1, 2, 5, 6), square.pixels)
    }

    @Test
    fun turnsClockwise() {
        assertArrayEquals(byteArrayOf(5, 1, 6, 2), middleSquare(plane, 4, 2, 6, rotation = 90).pixels)
        assertArrayEquals(byteArrayOf(6, 5, 2, 1), middleSquare(plane, 4, 2, 6, rotation = 180).pixels)
        assertArrayEquals(byteArrayOf(2, 6, 1, 5), middleSquare(plane, 4, 2, 6, rotation = 270).pixels)
    }

    @Test
    fun refusesWhatCannotBe() {
        assertThrows(IllegalArgumentException::class.java) { middleSquare(plane, 4, 2, 3, 0) }
        assertThrows(IllegalArgumentException::class.java) { middleSquare(plane, 4, 2, 6, 45) }
        assertThrows(IllegalArgumentException::class.java) { middleSquare(plane, 4, 3, 6, 0) }
    }
}
