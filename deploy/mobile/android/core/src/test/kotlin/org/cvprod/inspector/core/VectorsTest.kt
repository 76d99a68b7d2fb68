package org.cvprod.inspector.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class VectorsTest {
    private val vectors = Shared.vectors()
    private val answers = vectors.all.associate { vectors.tensor(it).toList() to it.logits.toFloatArray() }

    @Test
    fun theExpectedLogitsAgreeAndAreSound() {
        for (vector in vectors.all) {
            val logits = vector.logits.toFloatArray()
            assertTrue(vectors.agrees(vector, logits))
            assertEquals(vector.label, predict(logits, vectors.classes)!!.label)
            assertFalse(vectors.agrees(vector, logits.also { it[3] += 0.1f }))
        }
        assertNull(vectors.findFault(vectors.classes) { answers.getValue(it.toList()) })
    }

    @Test
    fun faultsAreFound() {
        val clean = FloatArray(7).also { it[0] = 9f }
        assertEquals("it calls scratches clean", vectors.findFault(vectors.classes) { clean })
        assertTrue(vectors.findFault(vectors.classes) { FloatArray(7) { Float.NaN } }!!.contains("not a number"))
        assertTrue(vectors.findFault(vectors.classes) { FloatArray(3) }!!.contains("3 logits for 7"))
    }

    @Test
    fun largeLogitsDoNotOverflow() {
        assertEquals(1f, predict(floatArrayOf(1e30f, 0f), listOf("a", "b"))!!.probability, 0f)
        assertNull(predict(floatArrayOf(Float.NaN, 0f), listOf("a", "b")))
    }
}
