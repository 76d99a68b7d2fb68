package org.cvprod.inspector

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import com.google.ai.edge.litert.LiteRtException
import java.io.File
import org.cvprod.inspector.core.AreaResize
import org.cvprod.inspector.core.Vectors
import org.cvprod.inspector.core.predict
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeNoException
import org.junit.Test
import org.junit.runner.RunWith

/** The shipped model on this phone against the shared vectors. */
@RunWith(AndroidJUnit4::class)
class ClassifierTest {
    private val context = InstrumentationRegistry.getInstrumentation().targetContext
    private val vectors = Vectors(asset("vectors.json"), asset("tiles.bin"), asset("tensors.bin"))

    private fun asset(name: String) = context.assets.open(name).use { it.readBytes() }

    @Test
    fun theCpuGivesTheLogitsOfPython() {
        Classifier(context.assets, InspectorViewModel.OWN_MODEL, Processor.CPU).use { classifier ->
            for (vector in vectors.all) {
                val tensor = AreaResize.resize(vectors.tile(vector), vectors.tileSize)
                assertArrayEquals(vector.name, vectors.tensor(vector), tensor)
                val logits = classifier.classify(tensor)
                assertTrue("${vector.name}: ${logits.toList()}", vectors.agrees(vector, logits))
            }
        }
    }

    @Test
    fun theGpuGivesTheSameClasses() {
        val classifier = try {
            Classifier(context.assets, InspectorViewModel.OWN_MODEL, Processor.GPU)
        } catch (error: LiteRtException) {
            assumeNoException("no GPU that LiteRT can use here", error)
            return
        }
        classifier.use {
            assertNull(vectors.findFault(vectors.classes, it::classify))
            for (vector in vectors.all) {
                assertEquals(vector.label, predict(it.classify(vectors.tensor(vector)), vectors.classes)!!.label)
            }
        }
    }

    @Test
    fun garbageIsAnErrorAndNoCrash() {
        val file = File(context.cacheDir, "garbage.tflite").apply { writeBytes(ByteArray(4096) { it.toByte() }) }
        assertThrows(LiteRtException::class.java) { Classifier(file, Processor.CPU).close() }
    }
}
