/// Grey levels of a square, row by row.
public struct Square: Sendable, Equatable {
    public let pixels: [UInt8]
    public let side: Int

    public init(pixels: [UInt8], side: Int) {
        self.pixels = pixels
        self.side = side
    }
}

/// Cut the middle square out of a camera's luma plane.
///
/// - Parameters:
///   - luma: the plane; at least (height - 1) * rowStride + width bytes.
///   - rowStride: bytes from one row to the next: at least `width`, since cameras pad rows.
/// - Returns: nil where the sizes cannot be true.
public func middleSquare(luma: UnsafeRawBufferPointer, width: Int, height: Int, rowStride: Int) -> Square? {
    guard width > 0, height > 0, rowStride >= width, luma.count >= (height - 1) * rowStride + width else { return nil }
    let side = min(width, height)
    let left = (width - side) / 2
    let top = (height - side) / 2
    var pixels = [UInt8]()
    pixels.reserveCapacity(side * side)
    for row in 0..<side {
        let start = (top + row) * rowStride + left
        pixels.append(contentsOf: luma[start..<start + side])
    }
    return Square(pixels: pixels, side: side)
}
