package org.cvprod.inspector.core

import java.security.MessageDigest
import java.util.Base64
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import org.bouncycastle.crypto.params.Ed25519PublicKeyParameters
import org.bouncycastle.crypto.signers.Ed25519Signer

/** An update was refused. The message says why; the running model is untouched. */
class UpdateException(message: String, cause: Throwable? = null) : Exception(message, cause)

@Serializable
data class DeltaFile(
    val path: String,
    val size: Int,
    val sha256: String,
    @SerialName("base_sha256") val baseSha256: String,
    val stride: Int,
    val algorithm: String,
)

@Serializable
data class ModelFile(
    val path: String,
    @SerialName("install_as") val installAs: String,
    val size: Int,
    val sha256: String,
    val deltas: List<DeltaFile>,
)

/** One version of one model; fields and rules are those of ../vectors/README.md. */
@Serializable
data class Manifest(
    val name: String,
    val version: Int,
    val files: List<ModelFile>,
    @SerialName("min_app_version") val minAppVersion: String,
    val created: String,
    val classes: List<String>,
    val metrics: Map<String, Double>,
    val format: Int,
) {
    companion object {
        const val FILE = "manifest.json"
        const val SIGNATURE = "manifest.json.sig"
        const val MAX_BYTES = 256 * 1024
        private const val FORMAT = 1
        private const val KEY_BYTES = 32
        private const val SIGNATURE_BYTES = 64

        /** Verify first, parse afterwards: an attacker's bytes must not meet the parser. */
        fun read(data: ByteArray, signature: ByteArray, trusted: List<String>): Manifest {
            verify(data, signature, trusted)
            val manifest = try {
                Json.decodeFromString<Manifest>(data.decodeToString(throwOnInvalidSequence = true))
            } catch (error: SerializationException) {
                throw UpdateException("The manifest cannot be read; update the app.", error)
            } catch (error: CharacterCodingException) {
                throw UpdateException("The manifest is not UTF-8.", error)
            }
            manifest.check()
            return manifest
        }

        /** Throws [UpdateException] unless one of [trusted] (base64 of 32 bytes each) signed exactly [data]. */
        fun verify(data: ByteArray, signature: ByteArray, trusted: List<String>) {
            val raw = try {
                Base64.getDecoder().decode(signature.decodeToString().trim())
            } catch (error: IllegalArgumentException) {
                throw UpdateException("The signature is not base64.", error)
            }
            if (trusted.none { signedBy(it, data, raw) }) {
                throw UpdateException("No trusted key has signed this manifest.")
            }
        }

        /**
         * The verifier travels with the app. The phone's own providers know Ed25519 only from a recent Conscrypt on, which
         * Android 13 does not promise; asked for it, the others throw NoSuchAlgorithmException.
         */
        private fun signedBy(key: String, data: ByteArray, signature: ByteArray): Boolean {
            val raw = try {
                Base64.getDecoder().decode(key)
            } catch (_: IllegalArgumentException) {
                return false
            }
            if (raw.size != KEY_BYTES || signature.size != SIGNATURE_BYTES) return false
            val public = try {
                Ed25519PublicKeyParameters(raw, 0)
            } catch (_: IllegalArgumentException) {
                return false // 32 bytes that are no point of the curve
            }
            return Ed25519Signer().run {
                init(false, public)
                update(data, 0, data.size)
                verifySignature(signature)
            }
        }
    }

    private fun check() {
        fun require(ok: Boolean, what: () -> String) {
            if (!ok) throw UpdateException("The manifest's ${what()}.")
        }
        require(format == FORMAT) { "format is $format, this app reads $FORMAT: update the app" }
        require(version >= 1) { "version is $version" }
        require(classes.isNotEmpty()) { "list of classes is empty" }
        require(files.size == 1) { "list of files has ${files.size} entries; LiteRT models are one file" }
        versionNumbers(minAppVersion)
        for (file in files) {
            require(plainPath(file.path) && plainPath(file.installAs)) { "paths leave their folder" }
            require(file.size >= 0 && HEX.matches(file.sha256)) { "size or sha256 of ${file.path} is wrong" }
            for (delta in file.deltas) {
                require(plainPath(delta.path)) { "paths leave their folder" }
                require(delta.size >= 0 && HEX.matches(delta.sha256)) { "size or sha256 of ${delta.path} is wrong" }
                require(delta.stride in setOf(1, 2, 4)) { "delta ${delta.path} has stride ${delta.stride}" }
            }
        }
    }
}

private val HEX = Regex("[0-9a-f]{64}")

private fun plainPath(path: String): Boolean =
    Regex("[A-Za-z0-9_./-]+").matches(path) && path.split("/").none { it.isEmpty() || it == "." || it == ".." }

/** "1.2.3" as numbers, comparable with [compareVersions]. */
fun versionNumbers(text: String): List<Int> =
    Regex("""(\d{1,9})\.(\d{1,9})\.(\d{1,9})""").matchEntire(text)?.destructured?.toList()?.map(String::toInt)
        ?: throw UpdateException("\"$text\" is not a version of the form 1.2.3.")

/** Negative, zero or positive as [a] is older than, equal to or newer than [b]. */
fun compareVersions(a: String, b: String): Int =
    versionNumbers(a).zip(versionNumbers(b)).map { (x, y) -> x.compareTo(y) }.firstOrNull { it != 0 } ?: 0

/** Hex digest. */
fun sha256(data: ByteArray): String =
    MessageDigest.getInstance("SHA-256").digest(data).joinToString("") { "%02x".format(it) }
