package org.cvprod.inspector

import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.aspectRatio
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.verticalScroll
import androidx.compose.material3.Button
import androidx.compose.material3.FilterChip
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Surface
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.res.stringResource
import androidx.compose.ui.semantics.LiveRegionMode
import androidx.compose.ui.semantics.liveRegion
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.unit.dp

/** The whole screen; [camera] is a slot, so that tests need no camera. */
@Composable
fun InspectorScreen(
    state: UiState,
    onProcessor: (Processor) -> Unit,
    onCheck: () -> Unit,
    camera: @Composable (Modifier) -> Unit,
) {
    Surface(Modifier.fillMaxSize()) {
        Column(
            Modifier.safeDrawingPadding().padding(16.dp).verticalScroll(rememberScrollState()),
            verticalArrangement = Arrangement.spacedBy(12.dp),
        ) {
            Box(Modifier.fillMaxWidth().aspectRatio(1f)) { camera(Modifier.fillMaxSize()) }
            Result(state)
            Row(horizontalArrangement = Arrangement.spacedBy(8.dp), verticalAlignment = Alignment.CenterVertically) {
                for (processor in Processor.entries) {
                    FilterChip(
                        selected = state.processor == processor,
                        onClick = { onProcessor(processor) },
                        label = { Text(processorName(processor)) },
                    )
                }
            }
            Text(modelText(state))
            Button(onClick = onCheck, enabled = state.updatesPossible && state.notice != Notice.Checking) {
                Text(stringResource(R.string.check_update))
            }
            noticeText(state)?.let {
                Text(it, Modifier.semantics { liveRegion = LiveRegionMode.Polite }, MaterialTheme.colorScheme.secondary)
            }
        }
    }
}

@Composable
private fun Result(state: UiState) {
    val found = state.prediction
    Text(
        if (found == null) stringResource(R.string.waiting)
        else stringResource(R.string.result, found.label.replace('_', ' '), found.probability * 100),
        style = MaterialTheme.typography.headlineMedium,
    )
    if (found != null) {
        Text(stringResource(R.string.latency, state.frameMs, state.networkMs, processorName(state.processor)))
    }
}

@Composable
private fun processorName(processor: Processor): String = when (processor) {
    Processor.CPU -> stringResource(R.string.cpu)
    Processor.GPU -> stringResource(R.string.gpu)
}

@Composable
private fun modelText(state: UiState): String = when {
    state.modelVersion == 0 -> stringResource(R.string.model_own)
    state.onTrial -> stringResource(R.string.model_on_trial, state.modelVersion)
    else -> stringResource(R.string.model_version, state.modelVersion)
}

@Composable
private fun noticeText(state: UiState): String? = when (val notice = state.notice) {
    null -> if (state.updatesPossible) null else stringResource(R.string.updates_off)
    Notice.Checking -> stringResource(R.string.checking)
    Notice.UpToDate -> stringResource(R.string.up_to_date)
    is Notice.Installed -> stringResource(R.string.installed, notice.version)
    is Notice.Refused -> notice.why
    Notice.RolledBack -> stringResource(R.string.rolled_back)
    Notice.GpuMissing -> stringResource(R.string.gpu_missing)
    Notice.ModelFault -> stringResource(R.string.model_fault)
    is Notice.CameraFailed -> stringResource(R.string.camera_failed, notice.why)
}
