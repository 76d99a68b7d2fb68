import Foundation

/// The most probable class and its softmax probability.
public struct Prediction: Sendable, Equatable {
    public let label: String
    public let probability: Float

    public init(label: String, probability: Float) {
        self.label = label
        self.probability = probability
    }

    /// Nil when a logit is not a number, or there are more or fewer of them than classes: a fault, never an answer.
    public init?(logits: [Float], classes: [String]) {
        guard logits.count == classes.count, let largest = logits.max(), logits.allSatisfy(\.isFinite),
            let best = logits.firstIndex(of: largest)
        else { return nil }
        // Shifted by the largest logit, exp() cannot overflow.
        let total = logits.reduce(0.0) { $0 + exp(Double($1 - largest)) }
        self.init(label: classes[best], probability: Float(1 / total))
    }
}
