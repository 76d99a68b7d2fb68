package org.cvprod.inspector.core

import kotlin.math.exp

/** The most probable class and its softmax probability. */
data class Prediction(val label: String, val probability: Float)

/** Null when a logit is not a number: a fault of the model or of the accelerator, never an answer. */
fun predict(logits: FloatArray, classes: List<String>): Prediction? {
    require(logits.size == classes.size) { "The model gives ${logits.size} logits for ${classes.size} classes." }
    if (logits.any { !it.isFinite() }) return null
    val best = logits.indices.maxBy { logits[it] }
    // Shifted by the largest logit, exp() cannot overflow.
    val total = logits.sumOf { exp((it - logits[best]).toDouble()) }
    return Prediction(classes[best], (1 / total).toFloat())
}
