import CoreML
import InspectorCore

/// Where Core ML may run the network; it decides within these bounds.
enum Processor: String, CaseIterable, Identifiable, Sendable {
    case cpu = "CPU"
    case gpu = "GPU"
    case neuralEngine = "Neural Engine"

    var id: String { rawValue }

    var units: MLComputeUnits {
        switch self {
        case .cpu: .cpuOnly
        case .gpu: .cpuAndGPU
        case .neuralEngine: .cpuAndNeuralEngine
        }
    }
}

/// One Core ML model. Vision would scale and convert each frame in its own way; the network gets the tensor of the test
/// vectors instead, so Core ML is called directly.
final class Classifier {
    private let model: MLModel
    private let input: MLMultiArray

    /// - Parameter compiled: an .mlmodelc folder, from Xcode or from `MLModel.compileModel(at:)`.
    init(compiled: URL, processor: Processor) throws {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = processor.units
        model = try MLModel(contentsOf: compiled, configuration: configuration)
        let side = NSNumber(value: AreaResize.inputSize)
        input = try MLMultiArray(shape: [1, 1, side, side], dataType: .float32)
    }

    /// - Parameter tensor: grey levels, 96 x 96; the model normalises them itself.
    /// - Returns: one logit for each class.
    func classify(_ tensor: [UInt8]) throws -> [Float] {
        precondition(tensor.count == input.count, "The network takes \(input.count) grey levels, got \(tensor.count).")
        input.withUnsafeMutableBufferPointer(ofType: Float.self) { numbers, _ in
            for i in tensor.indices { numbers[i] = Float(tensor[i]) }
        }
        let features = try MLDictionaryFeatureProvider(dictionary: ["tiles": MLFeatureValue(multiArray: input)])
        let output = try model.prediction(from: features)
        guard let logits = output.featureValue(for: "logits")?.multiArrayValue else {
            throw UpdateError("The model has no output named logits.")
        }
        return (0..<logits.count).map { logits[$0].floatValue }
    }
}
