import XCTest

@testable import InspectorCore

final class PreprocessingTests: XCTestCase {
    func testEveryByteOfTheVectors() throws {
        let vectors = try Shared.vectors()
        XCTAssertEqual(vectors.all.count, vectors.classes.count + 1)
        for vector in vectors.all {
            let tensor = AreaResize.resize(vectors.tile(vector), side: vectors.tileSize)
            XCTAssertEqual(tensor, vectors.tensor(vector), vector.name)
        }
    }

    func testSameSizeIsIdentity() {
        let tile = (0..<96 * 96).map { UInt8(truncatingIfNeeded: $0 * 31) }
        XCTAssertEqual(AreaResize.resize(tile, side: 96), tile)
    }

    func testFlatStaysFlatAtOddSizes() {
        for side in [97, 200, 479, 1080] {
            let output = AreaResize.resize([UInt8](repeating: 201, count: side * side), side: side)
            XCTAssertEqual(Set(output), [201])
        }
    }

    func testHalvesRoundUp() {
        XCTAssertEqual(AreaResize.resize([0, 0, 0, 2], side: 2, size: 1), [1])
    }

    func testCutsTheMiddleAndSkipsPadding() {
        let plane: [UInt8] = [0, 1, 2, 3, 99, 99, 4, 5, 6, 7]
        plane.withUnsafeBytes { luma in
            let square = middleSquare(luma: luma, width: 4, height: 2, rowStride: 6)
            XCTAssertEqual(square, Square(pixels: [1, 2, 5, 6], side: 2))
            XCTAssertNil(middleSquare(luma: luma, width: 4, height: 3, rowStride: 6))
            XCTAssertNil(middleSquare(luma: luma, width: 4, height: 2, rowStride: 3))
        }
    }
}
