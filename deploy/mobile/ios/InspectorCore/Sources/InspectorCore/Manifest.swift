import CryptoKit
import Foundation

/// An update was refused. `reason` says why; the running model is untouched.
public struct UpdateError: Error, Equatable, LocalizedError {
    public let reason: String
    public var errorDescription: String? { reason }

    public init(_ reason: String) {
        self.reason = reason
    }
}

/// One version of one model; fields and rules are those of ../vectors/README.md.
public struct Manifest: Codable, Sendable, Equatable {
    public struct DeltaFile: Codable, Sendable, Equatable {
        public let path: String
        public let size: Int
        public let sha256: String
        public let baseSHA256: String
        public let stride: Int
        public let algorithm: String

        enum CodingKeys: String, CodingKey {
            case path, size, sha256, stride, algorithm
            case baseSHA256 = "base_sha256"
        }
    }

    public struct File: Codable, Sendable, Equatable {
        public let path: String
        public let installAs: String
        public let size: Int
        public let sha256: String
        public let deltas: [DeltaFile]

        enum CodingKeys: String, CodingKey {
            case path, size, sha256, deltas
            case installAs = "install_as"
        }
    }

    public let name: String
    public let version: Int
    public let files: [File]
    public let minAppVersion: String
    public let created: String
    public let classes: [String]
    public let metrics: [String: Double]
    public let format: Int

    enum CodingKeys: String, CodingKey {
        case name, version, files, created, classes, metrics, format
        case minAppVersion = "min_app_version"
    }

    public static let fileName = "manifest.json"
    public static let signatureName = "manifest.json.sig"
    public static let maxBytes = 256 * 1024
    static let readable = 1

    /// Verify first, parse afterwards: an attacker's bytes must not meet the parser. Throws `UpdateError`.
    public static func read(_ data: Data, signature: Data, trusted: [String]) throws -> Manifest {
        try verify(data, signature: signature, trusted: trusted)
        let manifest: Manifest
        do {
            manifest = try JSONDecoder().decode(Manifest.self, from: data)
        } catch {
            throw UpdateError("The manifest cannot be read; update the app.")
        }
        try manifest.check()
        return manifest
    }

    /// Throws unless one of `trusted` (base64 of 32 bytes each) signed exactly `data`.
    public static func verify(_ data: Data, signature: Data, trusted: [String]) throws {
        guard let text = String(data: signature, encoding: .utf8),
            let raw = Data(base64Encoded: text.trimmingCharacters(in: .whitespacesAndNewlines))
        else { throw UpdateError("The signature is not base64.") }
        let signed = trusted.contains { key in
            guard let bytes = Data(base64Encoded: key),
                let publicKey = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes)
            else { return false }
            return publicKey.isValidSignature(raw, for: data)
        }
        guard signed else { throw UpdateError("No trusted key has signed this manifest.") }
    }

    /// The first folder or file below the slot: what Core ML compiles.
    public var root: String { String(files[0].installAs.split(separator: "/")[0]) }

    private func check() throws {
        func require(_ holds: Bool, _ what: @autoclosure () -> String) throws {
            if !holds { throw UpdateError("The manifest's \(what()).") }
        }
        try require(format == Self.readable, "format is \(format), this app reads \(Self.readable): update the app")
        try require(version >= 1, "version is \(version)")
        try require(!classes.isEmpty, "list of classes is empty")
        try require(!files.isEmpty, "list of files is empty")
        try require(Set(files.map(\.installAs)).count == files.count, "files overwrite each other")
        _ = try Version(minAppVersion)
        for file in files {
            try require(isPlain(file.path) && isPlain(file.installAs), "paths leave their folder")
            try require(file.size >= 0 && isDigest(file.sha256), "size or sha256 of \(file.path) is wrong")
            for delta in file.deltas {
                try require(isPlain(delta.path), "paths leave their folder")
                try require(delta.size >= 0 && isDigest(delta.sha256), "size or sha256 of \(delta.path) is wrong")
                try require([1, 2, 4].contains(delta.stride), "delta \(delta.path) has stride \(delta.stride)")
            }
        }
        try require(Set(files.map { $0.installAs.split(separator: "/")[0] }).count == 1, "files are not one model")
    }
}

/// "1.2.3", ordered by its numbers.
public struct Version: Comparable, Sendable {
    let numbers: [Int]

    /// Throws `UpdateError` for anything else.
    public init(_ text: String) throws {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part in part.allSatisfy(\.isASCIIDigit) ? Int(part) : nil }
        guard parts.count == 3, numbers.count == 3 else { throw UpdateError("\"\(text)\" is not of the form 1.2.3.") }
        self.numbers = numbers
    }

    public static func < (a: Version, b: Version) -> Bool {
        a.numbers.lexicographicallyPrecedes(b.numbers)
    }
}

/// Hex digest.
public func sha256(_ data: Data) -> String {
    SHA256.hash(data: data).map { String(format: "%02x", $0) }.joined()
}

private func isDigest(_ text: String) -> Bool {
    text.utf8.count == 64 && text.allSatisfy { $0.isASCIIDigit || ("a"..."f").contains($0) }
}

private func isPlain(_ path: String) -> Bool {
    let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/")
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return path.allSatisfy(allowed.contains) && parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}
