package org.cvprod.inspector

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import java.io.File
import org.cvprod.inspector.core.AreaResize

/** Where the network runs. */
enum class Processor(internal val accelerator: Accelerator) {
    CPU(Accelerator.CPU),
    GPU(Accelerator.GPU),
}

/**
 * One compiled LiteRT model with its buffers. Not thread-safe, and native: close it.
 *
 * Throws com.google.ai.edge.litert.LiteRtException where the file or the processor does not do.
 */
class Classifier private constructor(private val model: CompiledModel) : AutoCloseable {
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
    private val numbers = FloatArray(AreaResize.INPUT_SIZE * AreaResize.INPUT_SIZE)

    constructor(assets: AssetManager, name: String, processor: Processor) :
        this(CompiledModel.create(assets, name, CompiledModel.Options(processor.accelerator)))

    constructor(file: File, processor: Processor) :
        this(CompiledModel.create(file.path, CompiledModel.Options(processor.accelerator)))

    /**
     * @param tensor grey levels, 96 x 96, unsigned bytes; the model normalises them itself
     * @return one logit for each class
     */
    fun classify(tensor: ByteArray): FloatArray {
        require(tensor.size == numbers.size) { "The network takes ${numbers.size} grey levels, got ${tensor.size}." }
        for (i in tensor.indices) numbers[i] = (tensor[i].toInt() and 0xFF).toFloat()
        inputs[0].writeFloat(numbers)
        model.run(inputs, outputs)
        return outputs[0].readFloat()
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        model.close()
    }
}
