package org.cvprod.inspector.core

import java.security.KeyFactory
import java.security.NoSuchAlgorithmException
import java.security.Security
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ManifestTest {
    private val data = Shared.bytes("update/manifest.json")
    private val signature = Shared.bytes("update/manifest.json.sig")
    private val trusted = listOf(Shared.publicKey)

    @Test
    fun readsWhatPythonSigned() {
        val manifest = Manifest.read(data, signature, trusted)
        assertEquals("example", manifest.name)
        assertEquals(2, manifest.version)
        assertEquals(7, manifest.classes.size)
    }

    @Test
    fun anotherKeyMayBeTrustedAsWell() {
        val other = "A".repeat(43) + "="
        Manifest.read(data, signature, listOf("not a key", other) + trusted)
        assertThrows(UpdateException::class.java) { Manifest.read(data, signature, listOf(other)) }
        assertThrows(UpdateException::class.java) { Manifest.read(data, signature, emptyList()) }
    }

    @Test
    fun noProviderOfThePhoneIsNeeded() {
        val installed = Security.getProviders()
        installed.forEach { Security.removeProvider(it.name) }
        try {
            assertThrows(NoSuchAlgorithmException::class.java) { KeyFactory.getInstance("Ed25519") }
            Manifest.verify(data, signature, trusted)
        } finally {
            installed.forEach { Security.addProvider(it) }
        }
    }

    @Test
    fun whatIsNoKeyOrNoSignatureIsRefused() {
        val short = "AAAA"
        assertThrows(UpdateException::class.java) { Manifest.verify(data, signature, listOf(short)) }
        assertThrows(UpdateException::class.java) { Manifest.verify(data, short.encodeToByteArray(), trusted) }
        val offCurve = "/".repeat(42) + "8="
        assertThrows(UpdateException::class.java) { Manifest.verify(data, signature, listOf(offCurve)) }
    }

    @Test
    fun everyChangedByteBreaksTheSignature() {
        for (position in data.indices step 37) {
            val changed = data.copyOf().also { it[position] = (it[position].toInt() xor 1).toByte() }
            assertThrows(UpdateException::class.java) { Manifest.read(changed, signature, trusted) }
        }
        val forged = Shared.bytes("update/forged.json")
        val error = assertThrows(UpdateException::class.java) { Manifest.read(forged, signature, trusted) }
        assertTrue(error.message!!.contains("trusted key"))
    }

    @Test
    fun versionsCompareAsNumbers() {
        assertTrue(compareVersions("1.10.0", "1.9.9") > 0)
        assertTrue(compareVersions("1.2.3", "2.0.0") < 0)
        assertEquals(0, compareVersions("1.2.3", "1.2.3"))
        assertThrows(UpdateException::class.java) { versionNumbers("1.2") }
        assertThrows(UpdateException::class.java) { versionNumbers("1.2.99999999999") }
    }
}
