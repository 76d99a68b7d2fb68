/// Area averaging in whole numbers: the same bytes in Python, Kotlin and Swift (see ../vectors/README.md).
///
/// Output pixel o covers the input from side * o / size to side * (o + 1) / size; in units of 1 / size of an input pixel
/// every overlap is a whole number.
public enum AreaResize {
    /// What the network takes, in pixels.
    public static let inputSize = 96

    /// - Parameters:
    ///   - tile: grey levels, `side` x `side`, row by row.
    ///   - size: pixels a side of the output, at most `side`.
    /// - Returns: grey levels, `size` x `size`.
    public static func resize(_ tile: [UInt8], side: Int, size: Int = inputSize) -> [UInt8] {
        precondition(side >= size, "A tile needs at least \(size) pixels a side, this one has \(side).")
        precondition(tile.count == side * side, "\(side) x \(side) pixels are \(side * side) bytes, got \(tile.count).")
        var output = [UInt8](repeating: 0, count: size * size)
        let area = side * side
        for y in 0..<size {
            var columns = [Int](repeating: 0, count: side)  // one output row, summed over its input rows
            for i in covered(y, side, size) {
                let weight = overlap(y, i, side, size)
                for j in 0..<side { columns[j] += weight * Int(tile[i * side + j]) }
            }
            for x in 0..<size {
                var sum = 0
                for j in covered(x, side, size) { sum += overlap(x, j, side, size) * columns[j] }
                output[y * size + x] = UInt8((2 * sum + area) / (2 * area))  // to the nearest grey level
            }
        }
        return output
    }

    private static func covered(_ output: Int, _ side: Int, _ size: Int) -> ClosedRange<Int> {
        side * output / size...(side * (output + 1) - 1) / size
    }

    private static func overlap(_ output: Int, _ input: Int, _ side: Int, _ size: Int) -> Int {
        min(side * (output + 1), size * (input + 1)) - max(side * output, size * input)
    }
}
