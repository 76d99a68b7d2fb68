import Foundation

/// The shared test vectors (../vectors): tiles, the tensors they must become, the logits they must give.
public struct Vectors: Sendable {
    public struct Vector: Codable, Sendable {
        public let name: String
        public let png: String
        public let tileOffset: Int
        public let tensorOffset: Int
        public let logits: [Float]
        public let label: String

        enum CodingKeys: String, CodingKey {
            case name, png, logits, label
            case tileOffset = "tile_offset"
            case tensorOffset = "tensor_offset"
        }
    }

    private struct Document: Codable {
        let classes: [String]
        let tileSize: Int
        let inputSize: Int
        let tolerance: Float
        let vectors: [Vector]

        enum CodingKeys: String, CodingKey {
            case classes, vectors
            case tileSize = "tile_size"
            case inputSize = "input_size"
            case tolerance = "fp32_tolerance"
        }
    }

    public let all: [Vector]
    public let classes: [String]
    public let tileSize: Int
    public let tolerance: Float
    private let inputSize: Int
    private let tiles: [UInt8]
    private let tensors: [UInt8]

    /// Reads vectors.json, tiles.bin and tensors.bin of a folder.
    public init(folder: URL) throws {
        let book = try JSONDecoder().decode(
            Document.self, from: Data(contentsOf: folder.appending(path: "vectors.json")))
        all = book.vectors
        classes = book.classes
        tileSize = book.tileSize
        inputSize = book.inputSize
        tolerance = book.tolerance
        tiles = [UInt8](try Data(contentsOf: folder.appending(path: "tiles.bin")))
        tensors = [UInt8](try Data(contentsOf: folder.appending(path: "tensors.bin")))
    }

    public func tile(_ vector: Vector) -> [UInt8] {
        Array(tiles[vector.tileOffset..<vector.tileOffset + tileSize * tileSize])
    }

    public func tensor(_ vector: Vector) -> [UInt8] {
        Array(tensors[vector.tensorOffset..<vector.tensorOffset + inputSize * inputSize])
    }

    /// A retrained model may give other logits, but it must give numbers, and the right class for the tiles of steel (the
    /// ones that are named after their class).
    public func findFault(classes: [String], run: ([UInt8]) throws -> [Float]) -> String? {
        for vector in all {
            let logits: [Float]
            do {
                logits = try run(tensor(vector))
            } catch {
                return "it cannot be run (\(error.localizedDescription))"
            }
            guard logits.count == classes.count else {
                return "it gives \(logits.count) logits for \(classes.count) classes"
            }
            guard let answer = Prediction(logits: logits, classes: classes) else {
                return "a logit of \"\(vector.name)\" is not a number"
            }
            if classes.contains(vector.name), answer.label != vector.name {
                return "it calls \(vector.name) \(answer.label)"
            }
        }
        return nil
    }
}
