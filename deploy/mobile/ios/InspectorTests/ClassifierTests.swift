import CoreML
import InspectorCore
import XCTest

@testable import Inspector

/// The shipped model on this device against the shared vectors.
final class ClassifierTests: XCTestCase {
    private func model() throws -> URL {
        try XCTUnwrap(Bundle.main.url(forResource: "Model", withExtension: "mlmodelc"))
    }

    private func vectors() throws -> Vectors {
        try Vectors(folder: Bundle.main.bundleURL.appending(path: "vectors"))
    }

    func testEveryProcessorGivesTheClassesOfPython() throws {
        let vectors = try vectors()
        for processor in Processor.allCases {
            let classifier = try Classifier(compiled: try model(), processor: processor)
            XCTAssertNil(vectors.findFault(classes: vectors.classes, run: classifier.classify), processor.rawValue)
            for vector in vectors.all {
                let tensor = AreaResize.resize(vectors.tile(vector), side: vectors.tileSize)
                let answer = Prediction(logits: try classifier.classify(tensor), classes: vectors.classes)
                XCTAssertEqual(answer?.label, vector.label, "\(processor.rawValue): \(vector.name)")
            }
        }
    }

    func testTheCPUIsCloseToPython() throws {
        let vectors = try vectors()
        let classifier = try Classifier(compiled: try model(), processor: .cpu)
        for vector in vectors.all {
            let logits = try classifier.classify(vectors.tensor(vector))
            let largest = vector.logits.map(abs).max() ?? 1
            for (found, expected) in zip(logits, vector.logits) {
                // The package computes in float16: eleven bits, and some of them are spent on sums.
                XCTAssertEqual(found, expected, accuracy: 0.02 * largest, vector.name)
            }
        }
    }

    func testGarbageIsAnError() {
        let folder = FileManager.default.temporaryDirectory.appending(path: "garbage.mlmodelc")
        XCTAssertThrowsError(try Classifier(compiled: folder, processor: .cpu))
    }
}

final class HTTPSChannelTests: XCTestCase {
    func testOnlyHTTPS() {
        XCTAssertNotNil(HTTPSChannel("models.example.org/inspector"))
        XCTAssertNotNil(HTTPSChannel("https://models.example.org/inspector"))
        XCTAssertNil(HTTPSChannel("http://models.example.org/inspector"))
        XCTAssertNil(HTTPSChannel(""))
    }
}
