import XCTest

@testable import InspectorCore

final class PredictionTests: XCTestCase {
    func testTheExpectedLogitsAreSound() throws {
        let vectors = try Shared.vectors()
        let answers = Dictionary(uniqueKeysWithValues: vectors.all.map { (vectors.tensor($0), $0.logits) })
        XCTAssertNil(vectors.findFault(classes: vectors.classes) { answers[$0] ?? [] })
        for vector in vectors.all {
            XCTAssertEqual(Prediction(logits: vector.logits, classes: vectors.classes)?.label, vector.label)
        }
    }

    func testFaultsAreFound() throws {
        let vectors = try Shared.vectors()
        let clean: [Float] = [9, 0, 0, 0, 0, 0, 0]
        XCTAssertEqual(vectors.findFault(classes: vectors.classes) { _ in clean }, "it calls scratches clean")
        let numbers = vectors.findFault(classes: vectors.classes) { _ in [Float](repeating: .nan, count: 7) }
        XCTAssertTrue(numbers?.contains("not a number") ?? false)
        let short = vectors.findFault(classes: vectors.classes) { _ in [1, 2, 3] }
        XCTAssertTrue(short?.contains("3 logits for 7") ?? false)
    }

    func testLargeLogitsDoNotOverflow() {
        XCTAssertEqual(Prediction(logits: [1e30, 0], classes: ["a", "b"])?.probability, 1)
        XCTAssertNil(Prediction(logits: [.nan, 0], classes: ["a", "b"]))
        XCTAssertNil(Prediction(logits: [1], classes: ["a", "b"]))
    }
}
