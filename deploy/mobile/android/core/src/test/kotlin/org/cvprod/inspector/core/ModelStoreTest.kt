package org.cvprod.inspector.core

import java.io.File
import java.io.IOException
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class ModelStoreTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val channel = mutableMapOf(
        "manifest.json" to Shared.bytes("update/manifest.json"),
        "manifest.json.sig" to Shared.bytes("update/manifest.json.sig"),
        "model2.bin" to Shared.bytes("update/model2.bin"),
        "model.delta" to Shared.bytes("update/model.delta"),
    )
    private val fetched = mutableListOf<String>()
    private val files = Channel { path, _ ->
        fetched += path
        channel[path] ?: throw IOException("404")
    }
    private val sound = HealthCheck { _, _ -> null }

    private fun store(name: String = "example", app: String = "1.0.0") =
        ModelStore(folder.root, name, app, listOf(Shared.publicKey))

    private fun update(health: HealthCheck = sound) = store().run { download(files)?.let { install(it, health) } }

    @Test
    fun startsWithTheAppsOwnModel() {
        assertEquals(Active(null, 0, null, false), store().active())
    }

    @Test
    fun installsConfirmsAndRemembers() {
        assertEquals(2, update()!!.version)
        val active = store().active()
        assertTrue(active.onTrial)
        assertArrayEquals(channel["model2.bin"], active.file!!.readBytes())
        store().confirm()
        assertFalse(store().active().onTrial)
        assertNull(update())
    }

    @Test
    fun whatWasNotSignedIsRefused() {
        channel["model2.bin"] = channel.getValue("model2.bin").also { it[7] = (it[7].toInt() xor 1).toByte() }
        assertThrows(UpdateException::class.java) { update() }
        channel["manifest.json"] = Shared.bytes("update/forged.json")
        assertThrows(UpdateException::class.java) { store().download(files) }
        assertEquals(0, store().active().version)
    }

    @Test
    fun anUnsoundModelIsRefusedForGood() {
        val error = assertThrows(UpdateException::class.java) { update { _, _ -> "it calls all clean" } }
        assertTrue(error.message!!.contains("it calls all clean"))
        assertThrows(UpdateException::class.java) { update() }
        assertEquals(0, store().active().version)
    }

    @Test
    fun threeDeathsOnTrialGoBack() {
        update()
        repeat(ModelStore.MAX_TRIAL_STARTS) { assertFalse(store().started()) }
        assertTrue(store().started())
        assertEquals(0, store().active().version)
        assertThrows(UpdateException::class.java) { store().download(files) }
    }

    @Test
    fun aDamagedSlotIsNotRun() {
        update()
        val model = store().active().file!!
        model.writeBytes(model.readBytes().also { it[0] = (it[0].toInt() xor 1).toByte() })
        assertEquals(0, store().active().version)
        File(folder.root, "state.json").writeText("{\"active\": 7")
        assertEquals(0, store().active().version)
    }

    @Test
    fun aMissingFileLeavesNothingBehind() {
        channel.remove("model2.bin")
        assertThrows(UpdateException::class.java) { update() }
        assertEquals(0, store().active().version)
    }

    @Test
    fun anUnsignedBaseIsNoBaseForADelta() {
        // The example's delta leads from model1.bin, so a slot that holds it is made by hand, with no valid signature:
        // the whole file is fetched then, which is what must happen to a base that cannot be trusted.
        File(folder.root, "a").mkdirs()
        File(folder.root, "a/model.bin").writeBytes(Shared.bytes("update/model1.bin"))
        update()
        assertFalse("model.delta" in fetched)
        assertTrue("model2.bin" in fetched)
    }

    @Test
    fun aVersionRefusedMeanwhileIsNotInstalled() {
        val store = store()
        val download = store.download(files)!!
        assertThrows(UpdateException::class.java) { store.install(download) { _, _ -> "unsound" } }
        assertThrows(UpdateException::class.java) { store.install(download, sound) }
    }

    @Test
    fun wrongNameOrOldAppAreRefused() {
        assertThrows(UpdateException::class.java) { store(name = "other").download(files) }
        assertThrows(UpdateException::class.java) { store(app = "0.9.0").download(files) }
    }

    @Test
    fun trialsEndByWork() {
        val trial = Trial(confirmAfter = 3, maxFaults = 2)
        assertEquals(Trial.Verdict.UNDECIDED, trial.answered())
        assertEquals(Trial.Verdict.UNDECIDED, trial.failed())
        assertEquals(Trial.Verdict.UNDECIDED, trial.answered())
        assertEquals(Trial.Verdict.CONFIRMED, trial.answered())
        assertEquals(Trial.Verdict.UNDECIDED, trial.failed())
        assertEquals(Trial.Verdict.FAILED, trial.failed())
    }
}
