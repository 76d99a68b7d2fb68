package org.cvprod.inspector

import androidx.compose.ui.test.assertIsDisplayed
import androidx.compose.ui.test.assertIsEnabled
import androidx.compose.ui.test.assertIsNotEnabled
import androidx.compose.ui.test.assertIsSelected
import androidx.compose.ui.test.junit4.createComposeRule
import androidx.compose.ui.test.onNodeWithText
import androidx.compose.ui.test.performClick
import org.cvprod.inspector.core.Prediction
import org.junit.Assert.assertEquals
import org.junit.Rule
import org.junit.Test

class InspectorScreenTest {
    @get:Rule
    val rule = createComposeRule()

    private fun show(state: UiState, onProcessor: (Processor) -> Unit = {}, onCheck: () -> Unit = {}) =
        rule.setContent { InspectorScreen(state, onProcessor, onCheck) {} }

    @Test
    fun showsLabelAndLatency() {
        show(UiState(prediction = Prediction("rolled_in_scale", 0.93f), frameMs = 4.25, networkMs = 3.0))
        rule.onNodeWithText("rolled in scale", substring = true).assertIsDisplayed()
        rule.onNodeWithText("ms a frame", substring = true).assertIsDisplayed()
    }

    @Test
    fun choosesTheProcessor() {
        val chosen = mutableListOf<Processor>()
        show(UiState(), onProcessor = { chosen += it })
        rule.onNodeWithText("CPU").assertIsSelected()
        rule.onNodeWithText("GPU").performClick()
        assertEquals(listOf(Processor.GPU), chosen)
    }

    @Test
    fun withoutAChannelTheButtonIsOff() {
        show(UiState(updatesPossible = false))
        rule.onNodeWithText("Check for a new model").assertIsNotEnabled()
        rule.onNodeWithText("No update channel", substring = true).assertExists()
    }

    @Test
    fun aRefusalIsShownAsItIs() {
        show(UiState(updatesPossible = true, notice = Notice.Refused("No trusted key has signed this manifest.")))
        rule.onNodeWithText("Check for a new model").assertIsEnabled()
        rule.onNodeWithText("No trusted key has signed this manifest.").assertExists()
    }
}
