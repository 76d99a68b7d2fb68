import XCTest

final class InspectorUITests: XCTestCase {
    override func setUp() {
        continueAfterFailure = false
        addUIInterruptionMonitor(withDescription: "camera permission") { alert in
            alert.buttons["Allow"].tap()
            return true
        }
    }

    @MainActor
    func testShowsTheScreenAndSaysThatUpdatesAreOff() {
        let app = XCUIApplication()
        app.launch()
        XCTAssertTrue(app.staticTexts["label"].waitForExistence(timeout: 10))
        XCTAssertTrue(app.buttons["Check for a new model"].exists)
        XCTAssertFalse(app.buttons["Check for a new model"].isEnabled)
        XCTAssertTrue(app.staticTexts["notice"].exists)
    }

    @MainActor
    func testTheProcessorCanBeChosen() {
        let app = XCUIApplication()
        app.launch()
        let cpu = app.segmentedControls.buttons["CPU"]
        XCTAssertTrue(cpu.waitForExistence(timeout: 10))
        cpu.tap()
        XCTAssertTrue(cpu.isSelected)
    }
}
