package org.cvprod.inspector

import android.app.Application
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import com.google.ai.edge.litert.LiteRtException
import java.io.File
import java.io.IOException
import java.util.concurrent.Executors
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import org.cvprod.inspector.core.Active
import org.cvprod.inspector.core.AreaResize
import org.cvprod.inspector.core.ModelStore
import org.cvprod.inspector.core.Prediction
import org.cvprod.inspector.core.Square
import org.cvprod.inspector.core.Trial
import org.cvprod.inspector.core.UpdateException
import org.cvprod.inspector.core.Vectors
import org.cvprod.inspector.core.predict

/** What there is to tell about models and processors; the screen has the words. */
sealed interface Notice {
    data object Checking : Notice
    data object UpToDate : Notice
    data class Installed(val version: Int) : Notice
    data class Refused(val why: String) : Notice
    data object RolledBack : Notice
    data object GpuMissing : Notice
    data object ModelFault : Notice
    data class CameraFailed(val why: String) : Notice
}

/** Everything on the screen. Times in milliseconds. */
data class UiState(
    val prediction: Prediction? = null,
    val frameMs: Double = 0.0,
    val networkMs: Double = 0.0,
    val processor: Processor = Processor.CPU,
    val modelVersion: Int = 0,
    val onTrial: Boolean = false,
    val updatesPossible: Boolean = false,
    val notice: Notice? = null,
)

/**
 * Owns the model. Frames, the switch to a new model and a change of processor happen on one thread, `worker`, so that no
 * model is closed while it computes.
 */
class InspectorViewModel(application: Application) : AndroidViewModel(application) {
    private val worker = Executors.newSingleThreadExecutor { Thread(it, "inspector") }
    private val onWorker = worker.asCoroutineDispatcher()
    private val assets = application.assets
    private val vectors by lazy { Vectors(asset("vectors.json"), asset("tiles.bin"), asset("tensors.bin")) }
    private val store = ModelStore(
        application.filesDir.resolve("models"), MODEL_NAME, BuildConfig.VERSION_NAME, listOf(BuildConfig.PUBLIC_KEY),
    )
    private var classifier: Classifier? = null
    private var classes: List<String> = emptyList()
    private var trial: Trial? = null

    private val mutableState = MutableStateFlow(
        UiState(updatesPossible = BuildConfig.CHANNEL.isNotEmpty() && BuildConfig.PUBLIC_KEY.isNotEmpty()),
    )
    val state: StateFlow<UiState> = mutableState.asStateFlow()

    /** Analyses frames here, so that the camera waits for the network and not the other way round. */
    val frames = worker

    init {
        viewModelScope.launch(onWorker) {
            val wentBack = store.started()
            switchTo(Processor.CPU)
            if (wentBack) tell(Notice.RolledBack)
        }
    }

    /** One frame from the camera; call on [frames]. */
    fun inspect(square: Square) {
        val model = classifier ?: return
        val start = System.nanoTime()
        val tensor = AreaResize.resize(square.pixels, square.side)
        val prepared = System.nanoTime()
        val logits = try {
            model.classify(tensor)
        } catch (_: LiteRtException) {
            FloatArray(classes.size) { Float.NaN } // a fault of the accelerator is a fault of the model on trial
        }
        val end = System.nanoTime()
        val answer = predict(logits, classes)
        judge(answer != null)
        mutableState.update {
            it.copy(
                prediction = answer,
                frameMs = (end - start) / 1e6,
                networkMs = (end - prepared) / 1e6,
                notice = if (answer == null) Notice.ModelFault else it.notice.takeIf { old -> old != Notice.ModelFault },
            )
        }
    }

    private fun judge(answered: Boolean) {
        val verdict = if (answered) trial?.answered() else trial?.failed()
        when (verdict) {
            Trial.Verdict.CONFIRMED -> {
                store.confirm()
                trial = null
                mutableState.update { it.copy(onTrial = false) }
            }
            Trial.Verdict.FAILED -> {
                store.rollBack()
                switchTo(state.value.processor)
                tell(Notice.RolledBack)
            }
            else -> Unit
        }
    }

    /** CPU or GPU; what cannot be had falls back to the CPU and says so. */
    fun choose(processor: Processor) {
        viewModelScope.launch(onWorker) { switchTo(processor) }
    }

    /** Ask the channel for a newer model, and try it. Frames go on while it downloads. */
    fun checkForUpdate() {
        tell(Notice.Checking)
        viewModelScope.launch {
            val outcome = try {
                update()
            } catch (error: UpdateException) {
                Notice.Refused(error.message.orEmpty())
            } catch (error: IOException) {
                Notice.Refused("The channel cannot be reached, or its files cannot be kept: ${error.message}")
            } catch (error: LiteRtException) {
                Notice.Refused("LiteRT cannot run the new model: ${error.message}")
            } catch (error: IllegalArgumentException) {
                Notice.Refused(error.message.orEmpty()) // a channel that is not https
            }
            tell(outcome)
        }
    }

    private suspend fun update(): Notice {
        val channel = HttpsChannel(BuildConfig.CHANNEL)
        val download = withContext(Dispatchers.IO) { store.download(channel) } ?: return Notice.UpToDate
        return withContext(onWorker) {
            val manifest = store.install(download, ::findFault)
            switchTo(state.value.processor)
            Notice.Installed(manifest.version)
        }
    }

    private fun findFault(model: File, classes: List<String>): String? = try {
        Classifier(model, Processor.CPU).use { vectors.findFault(classes, it::classify) }
    } catch (error: LiteRtException) {
        "LiteRT cannot run it (${error.message})"
    }

    fun cameraFailed(why: String) = tell(Notice.CameraFailed(why))

    private fun switchTo(wanted: Processor) {
        classifier?.close()
        classifier = null
        val active = store.active()
        var processor = wanted
        classifier = try {
            load(active, wanted)
        } catch (_: LiteRtException) {
            processor = Processor.CPU
            try {
                load(active, Processor.CPU)
            } catch (error: LiteRtException) {
                // Its files are whole and it ran before: this phone cannot run it now. Go back rather than go blind.
                if (active.file == null) throw error
                store.rollBack()
                switchTo(Processor.CPU)
                return
            }
        }
        classes = active.classes ?: vectors.classes
        trial = if (active.onTrial) Trial() else null
        mutableState.update {
            it.copy(
                processor = processor, modelVersion = active.version, onTrial = active.onTrial,
                notice = if (processor != wanted) Notice.GpuMissing else null,
            )
        }
    }

    private fun load(active: Active, processor: Processor): Classifier =
        active.file?.let { Classifier(it, processor) } ?: Classifier(assets, OWN_MODEL, processor)

    private fun tell(notice: Notice) = mutableState.update { it.copy(notice = notice) }

    private fun asset(name: String): ByteArray = assets.open(name).use { it.readBytes() }

    override fun onCleared() {
        worker.execute { classifier?.close() }
        worker.shutdown()
    }

    companion object {
        const val OWN_MODEL = "model.tflite"
        const val MODEL_NAME = "inspector"
    }
}
