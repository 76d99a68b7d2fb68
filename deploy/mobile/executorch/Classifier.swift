import ExecuTorch
import Foundation

/// The app's Classifier by ExecuTorch.
final class Classifier {
    private let module: Module

    init(program: URL) throws {
        module = Module(filePath: program.path(percentEncoded: false))
        try module.load("forward")
    }

    /// - Parameter tensor: grey levels, 96 x 96; the model normalises them itself.
    /// - Returns: one logit for each class.
    func classify(_ tensor: [UInt8]) throws -> [Float] {
        let input = Tensor<Float>(tensor.map(Float.init), shape: [1, 1, 96, 96])
        return try Tensor<Float>(module.forward(input)).scalars()
    }
}
