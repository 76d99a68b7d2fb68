package org.cvprod.inspector

import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class HttpsChannelTest {
    @Test
    fun plainHttpIsRefused() {
        val error = assertThrows(IllegalArgumentException::class.java) { HttpsChannel("http://example.org/models") }
        assertTrue(error.message!!.contains("https://"))
    }

    @Test
    fun httpsIsTaken() {
        HttpsChannel("https://example.org/models")
        HttpsChannel("https://example.org/models/")
    }
}
