package org.cvprod.inspector.core

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class DeltaTest {
    private val base = Shared.bytes("update/model1.bin")
    private val patch = Shared.bytes("update/model.delta")
    private val expected = Shared.bytes("update/model2.bin")

    @Test
    fun pythonsPatchGivesPythonsFile() {
        assertArrayEquals(expected, Delta.apply(base, patch, stride = 4, size = expected.size))
    }

    @Test
    fun damagedPatchesAreRefused() {
        assertThrows(UpdateException::class.java) { Delta.apply(base, patch.copyOf(patch.size / 2), 4, expected.size) }
        assertThrows(UpdateException::class.java) { Delta.apply(base, patch, 4, expected.size - 8) }
        assertThrows(UpdateException::class.java) { Delta.apply(base, patch, 4, expected.size + 8) }
        assertThrows(UpdateException::class.java) { Delta.apply(base, byteArrayOf(-1, -1, -1), 4, expected.size) }
        assertThrows(UpdateException::class.java) { Delta.apply(base, byteArrayOf(), 4, expected.size) }
        assertThrows(IllegalArgumentException::class.java) { Delta.apply(base, patch, 3, expected.size) }
    }
}
