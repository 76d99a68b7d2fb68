package org.cvprod.inspector

import java.io.File
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/** The app's Classifier by ExecuTorch. Native: close it. */
class Classifier(program: File) : AutoCloseable {
    private val module = Module.load(program.path)

    /**
     * @param tensor grey levels, 96 x 96, unsigned bytes; the model normalises them itself
     * @return one logit for each class
     */
    fun classify(tensor: ByteArray): FloatArray {
        val numbers = FloatArray(tensor.size) { (tensor[it].toInt() and 0xFF).toFloat() }
        val input = Tensor.fromBlob(numbers, longArrayOf(1, 1, 96, 96))
        return module.forward(EValue.from(input))[0].toTensor().dataAsFloatArray
    }

    override fun close() = module.destroy()
}
