import Compression
import Foundation

/// Patches between versions of a model, algorithm "subtract-zigzag-planes-deflate" (see ../vectors/README.md).
public enum Delta {
    public static let algorithm = "subtract-zigzag-planes-deflate"

    /// - Parameters:
    ///   - base: the installed file.
    ///   - patch: raw DEFLATE.
    ///   - stride: bytes of a word: 1, 2 or 4.
    ///   - size: bytes of the new file.
    /// - Returns: the new file; compare its SHA-256 before use. Throws `UpdateError`.
    public static func apply(base: Data, patch: Data, stride: Int, size: Int) throws -> Data {
        guard [1, 2, 4].contains(stride), size >= 0 else { throw UpdateError("A word has 1, 2 or 4 bytes.") }
        let padded = (size + stride - 1) / stride * stride
        let planes = try inflate(patch, to: padded)
        let words = padded / stride
        var file = [UInt8](base.prefix(padded))  // cut, or padded with zeros
        file.append(contentsOf: [UInt8](repeating: 0, count: padded - file.count))
        for k in 0..<words {
            var zigzag: UInt32 = 0
            var word: UInt32 = 0
            for b in (0..<stride).reversed() {
                zigzag = zigzag << 8 | UInt32(planes[b * words + k])
                word = word << 8 | UInt32(file[k * stride + b])
            }
            let difference = (zigzag >> 1) ^ (0 &- (zigzag & 1))
            let new = word &+ difference  // only the lowest `stride` bytes are kept
            for b in 0..<stride { file[k * stride + b] = UInt8(truncatingIfNeeded: new >> (8 * UInt32(b))) }
        }
        return Data(file.prefix(size))
    }

    /// Exactly `size` bytes or an error: a patch that grows without end must not fill the memory.
    private static func inflate(_ patch: Data, to size: Int) throws -> [UInt8] {
        let capacity = size + 1
        var filled = 0
        let output = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            filled = patch.withUnsafeBytes { (source: UnsafeRawBufferPointer) -> Int in
                guard let bytes = source.bindMemory(to: UInt8.self).baseAddress, let target = buffer.baseAddress else {
                    return 0
                }
                return compression_decode_buffer(target, capacity, bytes, source.count, nil, COMPRESSION_ZLIB)
            }
            count = filled
        }
        guard filled == size else { throw UpdateError("The patch does not unpack to \(size) bytes.") }
        return output
    }
}
