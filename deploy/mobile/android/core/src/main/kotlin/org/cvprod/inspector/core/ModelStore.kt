package org.cvprod.inspector.core

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.nio.file.Files
import java.nio.file.StandardCopyOption
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException
import kotlinx.serialization.encodeToString
import kotlinx.serialization.json.Json

/** Reads at most so many bytes of one file of the channel; throws IOException. */
fun interface Channel {
    fun fetch(path: String, limit: Int): ByteArray
}

/** Tries a model file; returns null if it is sound, else what is wrong with it. */
fun interface HealthCheck {
    fun findFault(model: File, classes: List<String>): String?
}

/** A model to run. No [file]: the one that came with the app. */
data class Active(val file: File?, val version: Int, val classes: List<String>?, val onTrial: Boolean)

/**
 * Two slots and one state file. An update goes to the idle slot, is checked and tried, and then the state file is
 * replaced: that rename is the switch. The app's own model is the last resort, and is never overwritten.
 *
 * Call it from one thread; only [download], which just reads, may run on another.
 */
class ModelStore(
    private val root: File,
    private val name: String,
    private val appVersion: String,
    private val trusted: List<String>,
) {
    @Serializable
    private data class State(
        val active: String? = null,
        val previous: String? = null,
        val highest: Int = 0,
        val refused: List<Int> = emptyList(),
        val trialStarts: Int? = null,
    )

    private val stateFile = File(root, "state.json")

    private var state: State
        get() = try {
            Json.decodeFromString(stateFile.readText())
        } catch (_: IOException) {
            State()
        } catch (_: SerializationException) {
            State() // damaged: run the app's own model rather than guess
        }
        set(value) = writeAtomic(stateFile, Json.encodeToString(value).encodeToByteArray())

    /** What to run now. A damaged slot counts as empty. */
    fun active(): Active {
        val now = state
        for (slot in listOfNotNull(now.active, now.previous)) {
            val manifest = intact(slot) ?: continue
            val onTrial = slot == now.active && now.trialStarts != null
            return Active(modelFile(slot, manifest), manifest.version, manifest.classes, onTrial)
        }
        return Active(null, 0, null, false)
    }

    /** A verified offer and its files, in memory. */
    class Download internal constructor(
        val manifest: Manifest,
        internal val data: ByteArray,
        internal val signature: ByteArray,
        internal val contents: Map<ModelFile, ByteArray>,
    )

    /**
     * Fetch and verify what the channel offers; null when this device has it. Changes nothing, so it may run beside the
     * inspection, however slow the link. Throws [UpdateException].
     */
    fun download(channel: Channel): Download? {
        val data = fetch(channel, Manifest.FILE, Manifest.MAX_BYTES)
        val signature = fetch(channel, Manifest.SIGNATURE, 1024)
        val manifest = Manifest.read(data, signature, trusted)
        accept(manifest)
        if (active().version == manifest.version) return null
        return Download(manifest, data, signature, manifest.files.associateWith { content(channel, it) })
    }

    private fun accept(manifest: Manifest) {
        val now = state
        if (manifest.name != name) throw UpdateException("The channel offers ${manifest.name}, this app runs $name.")
        if (compareVersions(appVersion, manifest.minAppVersion) < 0) {
            throw UpdateException("Model ${manifest.version} needs app ${manifest.minAppVersion}; update the app.")
        }
        if (manifest.version in now.refused) {
            throw UpdateException("Model ${manifest.version} failed here before; only a newer one will be tried.")
        }
        if (manifest.version < now.highest) {
            throw UpdateException("Model ${manifest.version} is older than ${now.highest}: a downgrade is refused.")
        }
    }

    /** Write, try and switch. Whatever fails, the old model stays. */
    fun install(download: Download, health: HealthCheck): Manifest {
        val manifest = download.manifest
        accept(manifest) // it may have been refused since
        val now = state
        val slot = if (now.active == "a") "b" else "a"
        val folder = File(root, slot)
        try {
            folder.deleteRecursively()
            folder.mkdirs()
            for ((file, content) in download.contents) writeAtomic(File(folder, file.installAs), content)
            writeAtomic(File(folder, Manifest.SIGNATURE), download.signature)
            writeAtomic(File(folder, Manifest.FILE), download.data)
        } catch (error: IOException) {
            folder.deleteRecursively()
            throw UpdateException("Model ${manifest.version} could not be stored: ${error.message}", error)
        }
        health.findFault(modelFile(slot, manifest), manifest.classes)?.let { fault ->
            state = now.copy(refused = now.refused + manifest.version)
            folder.deleteRecursively()
            throw UpdateException("Model ${manifest.version} is refused: $fault")
        }
        state = State(slot, now.active, manifest.version, now.refused, trialStarts = 0)
        return manifest
    }

    /** Count a start of the app; true if that used up the trial and the earlier model is back. */
    fun started(): Boolean {
        val now = state
        val starts = now.trialStarts ?: return false
        if (starts >= MAX_TRIAL_STARTS) {
            rollBack()
            return true
        }
        state = now.copy(trialStarts = starts + 1)
        return false
    }

    /** The active model has proven itself. */
    fun confirm() {
        val now = state
        if (now.trialStarts != null) state = now.copy(trialStarts = null)
    }

    /** Back to the other slot, or to the app's own model; the abandoned version is never tried again. */
    fun rollBack() {
        val now = state
        val bad = now.active?.let(::intact)?.version
        state = State(now.previous, null, now.highest, now.refused + listOfNotNull(bad))
    }

    private fun content(channel: Channel, file: ModelFile): ByteArray =
        patched(channel, file) ?: fetch(channel, file.path, file.size).also {
            if (it.size != file.size || sha256(it) != file.sha256) {
                throw UpdateException("${file.path} is not the file that was signed: refused.")
            }
        }

    /** The new file by way of a delta, or null: a bad delta costs time, never the update. */
    private fun patched(channel: Channel, file: ModelFile): ByteArray? {
        val base = active().file?.readBytes() ?: return null
        val delta = file.deltas.firstOrNull { it.baseSha256 == sha256(base) && it.algorithm == Delta.ALGORITHM }
        return try {
            delta?.let { Delta.apply(base, fetch(channel, it.path, it.size), it.stride, file.size) }
                ?.takeIf { sha256(it) == file.sha256 }
        } catch (_: UpdateException) {
            null
        }
    }

    private fun fetch(channel: Channel, path: String, limit: Int): ByteArray {
        val data = try {
            channel.fetch(path, limit)
        } catch (error: IOException) {
            throw UpdateException("$path could not be fetched; the running model stays.", error)
        }
        if (data.size > limit) throw UpdateException("$path is longer than the $limit bytes that were signed.")
        return data
    }

    /** The slot's manifest if signature and hashes still hold. */
    private fun intact(slot: String): Manifest? = try {
        val folder = File(root, slot)
        Manifest.read(File(folder, Manifest.FILE).readBytes(), File(folder, Manifest.SIGNATURE).readBytes(), trusted)
            .takeIf { found -> found.files.all { sha256(File(folder, it.installAs).readBytes()) == it.sha256 } }
    } catch (_: IOException) {
        null
    } catch (_: UpdateException) {
        null
    }

    private fun modelFile(slot: String, manifest: Manifest) = File(File(root, slot), manifest.files.first().installAs)

    private fun writeAtomic(target: File, data: ByteArray) {
        target.parentFile?.mkdirs()
        val partial = File(target.path + ".part")
        FileOutputStream(partial).use {
            it.write(data)
            it.fd.sync() // on the disk before the rename makes it visible
        }
        Files.move(
            partial.toPath(), target.toPath(),
            StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING,
        )
    }

    companion object {
        const val MAX_TRIAL_STARTS = 3
    }
}

/** Judges a model on trial by its work: many good answers confirm it, a few faults in a row end it. */
class Trial(private val confirmAfter: Int = 100, private val maxFaults: Int = 5) {
    enum class Verdict { UNDECIDED, CONFIRMED, FAILED }

    private var good = 0
    private var faults = 0

    fun answered(): Verdict {
        good += 1
        faults = 0
        return if (good == confirmAfter) Verdict.CONFIRMED else Verdict.UNDECIDED
    }

    fun failed(): Verdict {
        faults += 1
        return if (faults >= maxFaults) Verdict.FAILED else Verdict.UNDECIDED
    }
}
