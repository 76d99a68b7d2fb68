package org.cvprod.inspector

import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.Preview
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.compose.runtime.Composable
import androidx.compose.runtime.DisposableEffect
import androidx.compose.runtime.remember
import androidx.compose.ui.Modifier
import androidx.compose.ui.platform.LocalContext
import androidx.compose.ui.viewinterop.AndroidView
import androidx.core.content.ContextCompat
import androidx.lifecycle.compose.LocalLifecycleOwner
import java.util.concurrent.Executor
import org.cvprod.inspector.core.Square
import org.cvprod.inspector.core.middleSquare

/**
 * The live picture. Each frame's middle goes to [onFrame] on [executor]; frames that come while it works are dropped, so
 * that the answer on the screen belongs to what the camera sees now.
 */
@Composable
fun Camera(
    executor: Executor,
    onFrame: (Square) -> Unit,
    onFailure: (String) -> Unit,
    modifier: Modifier = Modifier,
) {
    val context = LocalContext.current
    val owner = LocalLifecycleOwner.current
    val view = remember { PreviewView(context) }
    AndroidView(factory = { view }, modifier = modifier)
    DisposableEffect(owner) {
        val provider = ProcessCameraProvider.getInstance(context)
        var bound: ProcessCameraProvider? = null
        var gone = false
        provider.addListener({
            if (gone) return@addListener
            val preview = Preview.Builder().build().also { it.surfaceProvider = view.surfaceProvider }
            val analysis = ImageAnalysis.Builder()
                .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
                .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_YUV_420_888)
                .build()
            analysis.setAnalyzer(executor) { image -> image.use { onFrame(it.square()) } }
            try {
                bound = provider.get().also {
                    it.unbindAll()
                    it.bindToLifecycle(owner, CameraSelector.DEFAULT_BACK_CAMERA, preview, analysis)
                }
            } catch (error: Exception) { // no back camera, a policy that forbids it, a camera in use
                onFailure(error.localizedMessage ?: error.javaClass.simpleName)
            }
        }, ContextCompat.getMainExecutor(context))
        onDispose {
            gone = true
            bound?.unbindAll()
        }
    }
}

/** Luma is the grey picture already: no colour conversion, nothing to get wrong. */
private fun ImageProxy.square(): Square =
    middleSquare(planes[0].buffer, width, height, planes[0].rowStride, imageInfo.rotationDegrees)
