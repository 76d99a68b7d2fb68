package org.cvprod.inspector.core

import kotlin.math.abs
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json

/** The shared test vectors (../vectors): tiles, the tensors they must become, the logits they must give. */
class Vectors(document: ByteArray, private val tiles: ByteArray, private val tensors: ByteArray) {
    @Serializable
    data class Vector(
        val name: String,
        val png: String,
        @SerialName("tile_offset") val tileOffset: Int,
        @SerialName("tensor_offset") val tensorOffset: Int,
        val logits: List<Float>,
        val label: String,
    )

    @Serializable
    private data class Document(
        val classes: List<String>,
        @SerialName("tile_size") val tileSize: Int,
        @SerialName("input_size") val inputSize: Int,
        @SerialName("fp32_tolerance") val tolerance: Float,
        val vectors: List<Vector>,
    )

    private val book = lenient.decodeFromString<Document>(document.decodeToString())

    val all: List<Vector> get() = book.vectors
    val classes: List<String> get() = book.classes
    val tileSize: Int get() = book.tileSize

    fun tile(vector: Vector): ByteArray = cut(tiles, vector.tileOffset, book.tileSize)

    fun tensor(vector: Vector): ByteArray = cut(tensors, vector.tensorOffset, book.inputSize)

    /** The worst difference from the expected logits is within the tolerance for float32. */
    fun agrees(vector: Vector, logits: FloatArray): Boolean =
        logits.size == vector.logits.size && logits.indices.all { abs(logits[it] - vector.logits[it]) <= book.tolerance }

    /**
     * A retrained model may give other logits, but it must give numbers, and the right class for the tiles of steel (the
     * ones that are named after their class).
     */
    fun findFault(classes: List<String>, run: (ByteArray) -> FloatArray): String? {
        for (vector in all) {
            val logits = run(tensor(vector))
            if (logits.size != classes.size) return "it gives ${logits.size} logits for ${classes.size} classes"
            val answer = predict(logits, classes) ?: return "a logit of \"${vector.name}\" is not a number"
            if (vector.name in classes && answer.label != vector.name) return "it calls ${vector.name} ${answer.label}"
        }
        return null
    }

    private fun cut(bytes: ByteArray, offset: Int, side: Int) = bytes.copyOfRange(offset, offset + side * side)

    private companion object {
        val lenient = Json { ignoreUnknownKeys = true } // the document says more than an app needs
    }
}
