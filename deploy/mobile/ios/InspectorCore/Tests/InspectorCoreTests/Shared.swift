import Foundation

@testable import InspectorCore

/// The shared folder deploy/mobile/vectors, found from where this file lies.
enum Shared {
    static let folder = (0..<5).reduce(URL(filePath: #filePath)) { url, _ in url.deletingLastPathComponent() }
        .appending(path: "vectors", directoryHint: .isDirectory)

    static func bytes(_ name: String) throws -> Data { try Data(contentsOf: folder.appending(path: name)) }

    static func vectors() throws -> Vectors { try Vectors(folder: folder) }

    static func publicKey() throws -> String {
        String(decoding: try bytes("update/public.key"), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
