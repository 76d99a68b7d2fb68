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
    fun everyClassHasItsTile() {
        assertEquals(vectors.classes, vectors.all.map { it.name }.filter { it in vectors.classes })
        for (vector in vectors.all.filter { it.name in vectors.classes }) assertEquals(vector.name, vector.label)
    }

    @Test
    fun aModelThatKnowsNotEveryClassIsFound() {
        for (vector in vectors.all.filter { it.name in vectors.classes }) {
            val other = FloatArray(vectors.classes.size).also { it[(vectors.classes.indexOf(vector.name) + 1) % it.size] = 9f }
            val fault = vectors.findFault(vectors.classes) {
                if (it.contentEquals(vectors.tensor(vector))) other else answers.getValue(it.toList())
            }
            assertTrue(fault!!, fault.startsWith("it calls ${vector.name} "))
        }
    }

    @Test
    fun faultsAreFound() {
        val clean = FloatArray(7).also { it[0] = 9f }
        assertEquals("it calls crazing clean", vectors.findFault(vectors.classes) { clean })
        assertTrue(vectors.findFault(vectors.classes) { FloatArray(7) { Float.NaN } }!!.contains("not a number"))
        assertTrue(vectors.findFault(vectors.classes) { FloatArray(3) }!!.contains("3 logits for 7"))
    }

    @Test
    fun largeLogitsDoNotOverflow() {
        assertEquals(1f, predict(floatArrayOf(1e30f, 0f), listOf("a", "b"))!!.probability, 0f)
        assertNull(predict(floatArrayOf(Float.NaN, 0f), listOf("a", "b")))
    }
}
