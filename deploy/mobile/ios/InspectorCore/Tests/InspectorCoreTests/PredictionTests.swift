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

    func testEveryClassHasItsTile() throws {
        let vectors = try Shared.vectors()
        let steel = vectors.all.filter { vectors.classes.contains($0.name) }
        XCTAssertEqual(steel.map(\.name), vectors.classes)
        XCTAssertEqual(steel.map(\.label), vectors.classes)
    }

    func testAModelThatKnowsNotEveryClassIsFound() throws {
        let vectors = try Shared.vectors()
        let answers = Dictionary(uniqueKeysWithValues: vectors.all.map { (vectors.tensor($0), $0.logits) })
        for (number, name) in vectors.classes.enumerated() {
            guard let vector = vectors.all.first(where: { $0.name == name }) else { return XCTFail(name) }
            var other = [Float](repeating: 0, count: vectors.classes.count)
            other[(number + 1) % other.count] = 9
            let fault = vectors.findFault(classes: vectors.classes) {
                $0 == vectors.tensor(vector) ? other : answers[$0] ?? []
            }
            XCTAssertTrue(fault?.hasPrefix("it calls \(name) ") ?? false, name)
        }
    }

    func testFaultsAreFound() throws {
        let vectors = try Shared.vectors()
        let clean: [Float] = [9, 0, 0, 0, 0, 0, 0]
        XCTAssertEqual(vectors.findFault(classes: vectors.classes) { _ in clean }, "it calls crazing clean")
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
