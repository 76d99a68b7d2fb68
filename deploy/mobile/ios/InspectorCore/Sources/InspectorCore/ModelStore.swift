import Foundation

/// Reads at most so many bytes of one file of the channel.
public protocol Channel: Sendable {
    func fetch(_ path: String, limit: Int) async throws -> Data
}

/// A model to run. No `folder`: the one that came with the app.
public struct Active: Equatable, Sendable {
    public let folder: URL?
    public let root: String
    public let version: Int
    public let classes: [String]?
    public let onTrial: Bool
}

/// A verified offer and its files, in memory.
public struct Download: Sendable {
    public let manifest: Manifest
    let data: Data
    let signature: Data
    let contents: [String: Data]
}

/// Two slots and one state file. An update goes to the idle slot, is checked and tried, and then the state file is
/// replaced: that rename is the switch. The app's own model is the last resort, and is never overwritten.
///
/// Call it from one queue; only `download`, which just reads, may run elsewhere.
public struct ModelStore: Sendable {
    struct State: Codable, Equatable {
        var active: String?
        var previous: String?
        var highest = 0
        var refused: [Int] = []
        var trialStarts: Int?
    }

    public static let maxTrialStarts = 3

    let root: URL
    let name: String
    let appVersion: String
    let trusted: [String]

    public init(root: URL, name: String, appVersion: String, trusted: [String]) {
        self.root = root
        self.name = name
        self.appVersion = appVersion
        self.trusted = trusted
    }

    private var stateFile: URL { root.appending(path: "state.json") }

    /// A damaged file counts as none: run the app's own model rather than guess.
    private func load() -> State {
        guard let data = try? Data(contentsOf: stateFile) else { return State() }
        return (try? JSONDecoder().decode(State.self, from: data)) ?? State()
    }

    private func save(_ state: State) throws {
        try write(JSONEncoder().encode(state), to: stateFile)
    }

    /// What to run now. A damaged slot counts as empty.
    public func active() -> Active {
        let state = load()
        for slot in [state.active, state.previous].compactMap({ $0 }) {
            guard let manifest = intact(slot) else { continue }
            let onTrial = slot == state.active && state.trialStarts != nil
            return Active(
                folder: folder(slot), root: manifest.root, version: manifest.version, classes: manifest.classes,
                onTrial: onTrial)
        }
        return Active(folder: nil, root: "", version: 0, classes: nil, onTrial: false)
    }

    /// Fetch and verify what the channel offers; nil when this device has it. Changes nothing.
    public func download(from channel: some Channel) async throws -> Download? {
        let data = try await fetch(Manifest.fileName, limit: Manifest.maxBytes, from: channel)
        let signature = try await fetch(Manifest.signatureName, limit: 1024, from: channel)
        let manifest = try Manifest.read(data, signature: signature, trusted: trusted)
        try accept(manifest)
        if active().version == manifest.version { return nil }
        var contents: [String: Data] = [:]
        for file in manifest.files { contents[file.installAs] = try await content(of: file, from: channel) }
        return Download(manifest: manifest, data: data, signature: signature, contents: contents)
    }

    private func accept(_ manifest: Manifest) throws {
        let state = load()
        guard manifest.name == name else {
            throw UpdateError("The channel offers \(manifest.name), this app runs \(name).")
        }
        guard try Version(appVersion) >= Version(manifest.minAppVersion) else {
            throw UpdateError("Model \(manifest.version) needs app \(manifest.minAppVersion); update the app.")
        }
        guard !state.refused.contains(manifest.version) else {
            throw UpdateError("Model \(manifest.version) failed here before; only a newer one will be tried.")
        }
        guard manifest.version >= state.highest else {
            throw UpdateError("Model \(manifest.version) is older than \(state.highest): a downgrade is refused.")
        }
    }

    /// Write, try and switch. Whatever fails, the old model stays.
    ///
    /// - Parameter findFault: gets the slot's folder and the manifest; nil if the model is sound, else what is wrong.
    public func install(_ download: Download, findFault: (URL, Manifest) -> String?) throws -> Manifest {
        let manifest = download.manifest
        try accept(manifest)  // it may have been refused since
        var state = load()
        let slot = state.active == "a" ? "b" : "a"
        let target = folder(slot)
        do {
            try? FileManager.default.removeItem(at: target)
            for (path, content) in download.contents { try write(content, to: target.appending(path: path)) }
            try write(download.signature, to: target.appending(path: Manifest.signatureName))
            try write(download.data, to: target.appending(path: Manifest.fileName))
        } catch {
            try? FileManager.default.removeItem(at: target)
            throw UpdateError("Model \(manifest.version) could not be stored: \(error.localizedDescription)")
        }
        if let fault = findFault(target, manifest) {
            state.refused.append(manifest.version)
            try save(state)
            try? FileManager.default.removeItem(at: target)
            throw UpdateError("Model \(manifest.version) is refused: \(fault)")
        }
        try save(
            State(
                active: slot, previous: state.active, highest: manifest.version, refused: state.refused, trialStarts: 0)
        )
        return manifest
    }

    /// Count a start of the app; true if that used up the trial and the earlier model is back.
    public func started() throws -> Bool {
        var state = load()
        guard let starts = state.trialStarts else { return false }
        if starts >= Self.maxTrialStarts {
            try rollBack()
            return true
        }
        state.trialStarts = starts + 1
        try save(state)
        return false
    }

    /// The active model has proven itself.
    public func confirm() throws {
        var state = load()
        guard state.trialStarts != nil else { return }
        state.trialStarts = nil
        try save(state)
    }

    /// Back to the other slot, or to the app's own model; the abandoned version is never tried again.
    public func rollBack() throws {
        let state = load()
        let bad = state.active.flatMap(intact).map { [$0.version] } ?? []
        try save(
            State(
                active: state.previous, previous: nil, highest: state.highest, refused: state.refused + bad,
                trialStarts: nil))
    }

    private func content(of file: Manifest.File, from channel: some Channel) async throws -> Data {
        if let patched = await self.patched(file, from: channel) { return patched }
        let data = try await fetch(file.path, limit: file.size, from: channel)
        guard data.count == file.size, sha256(data) == file.sha256 else {
            throw UpdateError("\(file.path) is not the file that was signed: refused.")
        }
        return data
    }

    /// The new file by way of a delta, or nil: a bad delta costs time, never the update.
    private func patched(_ file: Manifest.File, from channel: some Channel) async -> Data? {
        guard let folder = active().folder,
            let base = try? Data(contentsOf: folder.appending(path: file.installAs)),
            let delta = file.deltas.first(where: { $0.baseSHA256 == sha256(base) && $0.algorithm == Delta.algorithm }),
            let patch = try? await fetch(delta.path, limit: delta.size, from: channel),
            let made = try? Delta.apply(base: base, patch: patch, stride: delta.stride, size: file.size)
        else { return nil }
        return sha256(made) == file.sha256 ? made : nil
    }

    private func fetch(_ path: String, limit: Int, from channel: some Channel) async throws -> Data {
        let data: Data
        do {
            data = try await channel.fetch(path, limit: limit)
        } catch {
            throw UpdateError("\(path) could not be fetched; the running model stays. \(error.localizedDescription)")
        }
        guard data.count <= limit else { throw UpdateError("\(path) is longer than the \(limit) bytes that were signed.") }
        return data
    }

    private func folder(_ slot: String) -> URL { root.appending(path: slot, directoryHint: .isDirectory) }

    /// The slot's manifest if signature and hashes still hold.
    private func intact(_ slot: String) -> Manifest? {
        let folder = self.folder(slot)
        guard let data = try? Data(contentsOf: folder.appending(path: Manifest.fileName)),
            let signature = try? Data(contentsOf: folder.appending(path: Manifest.signatureName)),
            let manifest = try? Manifest.read(data, signature: signature, trusted: trusted)
        else { return nil }
        let whole = manifest.files.allSatisfy { file in
            guard let content = try? Data(contentsOf: folder.appending(path: file.installAs)) else { return false }
            return sha256(content) == file.sha256
        }
        return whole ? manifest : nil
    }

    private func write(_ data: Data, to target: URL) throws {
        let parent = target.deletingLastPathComponent()
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        try data.write(to: target, options: .atomic)
    }
}

/// Judges a model on trial by its work: many good answers confirm it, a few faults in a row end it.
public struct Trial: Sendable {
    public enum Verdict: Sendable { case undecided, confirmed, failed }

    private let confirmAfter: Int
    private let maxFaults: Int
    private var good = 0
    private var faults = 0

    public init(confirmAfter: Int = 100, maxFaults: Int = 5) {
        self.confirmAfter = confirmAfter
        self.maxFaults = maxFaults
    }

    public mutating func answered() -> Verdict {
        good += 1
        faults = 0
        return good == confirmAfter ? .confirmed : .undecided
    }

    public mutating func failed() -> Verdict {
        faults += 1
        return faults >= maxFaults ? .failed : .undecided
    }
}
