package org.cvprod.inspector

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Test

class UiStateTest {
    @Test
    fun startsOnTheCpuWithTheAppsOwnModel() {
        val state = UiState()
        assertEquals(Processor.CPU, state.processor)
        assertEquals(0, state.modelVersion)
        assertFalse(state.updatesPossible)
        assertNull(state.prediction)
    }
}
