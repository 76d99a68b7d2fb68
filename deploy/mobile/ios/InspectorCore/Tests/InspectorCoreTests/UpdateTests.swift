import XCTest

@testable import InspectorCore

/// Files in memory in place of a web server.
private struct Folder: Channel {
    var files: [String: Data]

    func fetch(_ path: String, limit: Int) async throws -> Data {
        guard let data = files[path] else { throw URLError(.fileDoesNotExist) }
        return data
    }
}

final class UpdateTests: XCTestCase {
    private var root: URL!
    private var channel: Folder!
    private var trusted: [String] = []

    override func setUpWithError() throws {
        root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        trusted = [try Shared.publicKey()]
        channel = Folder(files: [
            "manifest.json": try Shared.bytes("update/manifest.json"),
            "manifest.json.sig": try Shared.bytes("update/manifest.json.sig"),
            "model2.bin": try Shared.bytes("update/model2.bin"),
            "model.delta": try Shared.bytes("update/model.delta"),
        ])
    }

    override func tearDown() {
        try? FileManager.default.removeItem(at: root)
    }

    private func store(name: String = "example", app: String = "1.0.0") -> ModelStore {
        ModelStore(root: root, name: name, appVersion: app, trusted: trusted)
    }

    @discardableResult
    private func update(fault: String? = nil) async throws -> Manifest? {
        guard let download = try await store().download(from: channel) else { return nil }
        return try store().install(download) { _, _ in fault }
    }

    private func assertRefused(
        _ work: () async throws -> Void, _ part: String, line: UInt = #line
    ) async {
        do {
            try await work()
            XCTFail("not refused", line: line)
        } catch let error as UpdateError {
            XCTAssertTrue(error.reason.contains(part), error.reason, line: line)
        } catch {
            XCTFail("\(error)", line: line)
        }
    }

    func testReadsWhatPythonSigned() throws {
        let manifest = try Manifest.read(
            channel.files["manifest.json"]!, signature: channel.files["manifest.json.sig"]!, trusted: trusted)
        XCTAssertEqual(manifest.name, "example")
        XCTAssertEqual(manifest.version, 2)
        XCTAssertEqual(manifest.root, "model.bin")
    }

    func testEveryChangedByteBreaksTheSignature() throws {
        let data = channel.files["manifest.json"]!
        let signature = channel.files["manifest.json.sig"]!
        for position in stride(from: 0, to: data.count, by: 37) {
            var changed = data
            changed[position] ^= 1
            XCTAssertThrowsError(try Manifest.read(changed, signature: signature, trusted: trusted))
        }
        let forged = try Shared.bytes("update/forged.json")
        XCTAssertThrowsError(try Manifest.read(forged, signature: signature, trusted: trusted))
        XCTAssertThrowsError(try Manifest.read(data, signature: signature, trusted: []))
    }

    func testPythonsPatchGivesPythonsFile() throws {
        let base = try Shared.bytes("update/model1.bin")
        let patch = channel.files["model.delta"]!
        let expected = channel.files["model2.bin"]!
        XCTAssertEqual(try Delta.apply(base: base, patch: patch, stride: 4, size: expected.count), expected)
        XCTAssertThrowsError(try Delta.apply(base: base, patch: patch.prefix(200), stride: 4, size: expected.count))
        XCTAssertThrowsError(try Delta.apply(base: base, patch: patch, stride: 4, size: expected.count + 8))
        XCTAssertThrowsError(try Delta.apply(base: base, patch: patch, stride: 3, size: expected.count))
    }

    func testInstallsConfirmsAndRemembers() async throws {
        XCTAssertEqual(store().active().version, 0)
        let installed = try await update()
        XCTAssertEqual(installed?.version, 2)
        XCTAssertTrue(store().active().onTrial)
        try store().confirm()
        XCTAssertFalse(store().active().onTrial)
        let again = try await update()
        XCTAssertNil(again)
    }

    func testWhatWasNotSignedIsRefused() async {
        channel.files["model2.bin"]![7] ^= 1
        await assertRefused({ try await update() }, "not the file that was signed")
        channel.files["manifest.json"] = try? Shared.bytes("update/forged.json")
        await assertRefused({ try await update() }, "trusted key")
        XCTAssertEqual(store().active().version, 0)
    }

    func testAnUnsoundModelIsRefusedForGood() async {
        await assertRefused({ try await update(fault: "it calls all clean") }, "it calls all clean")
        await assertRefused({ try await update() }, "failed here before")
        XCTAssertEqual(store().active().version, 0)
    }

    func testThreeDeathsOnTrialGoBack() async throws {
        try await update()
        for _ in 0..<ModelStore.maxTrialStarts { XCTAssertFalse(try store().started()) }
        XCTAssertTrue(try store().started())
        XCTAssertEqual(store().active().version, 0)
        await assertRefused({ try await update() }, "failed here before")
    }

    func testADamagedSlotIsNotRun() async throws {
        try await update()
        let file = store().active().folder!.appending(path: "model.bin")
        var bytes = try Data(contentsOf: file)
        bytes[0] ^= 1
        try bytes.write(to: file)
        XCTAssertEqual(store().active().version, 0)
    }

    func testWrongNameOrOldAppAreRefused() async {
        await assertRefused({ _ = try await store(name: "other").download(from: channel) }, "this app runs other")
        await assertRefused({ _ = try await store(app: "0.9.0").download(from: channel) }, "update the app")
    }

    func testVersionsCompareAsNumbers() throws {
        XCTAssertLessThan(try Version("1.9.9"), try Version("1.10.0"))
        for wrong in ["1.2", "1.2.x", "1..3", "1.2.3.4", ""] { XCTAssertThrowsError(try Version(wrong), wrong) }
    }

    func testTrialsEndByWork() {
        var trial = Trial(confirmAfter: 3, maxFaults: 2)
        XCTAssertEqual(trial.answered(), .undecided)
        XCTAssertEqual(trial.failed(), .undecided)
        XCTAssertEqual(trial.answered(), .undecided)
        XCTAssertEqual(trial.answered(), .confirmed)
        XCTAssertEqual(trial.failed(), .undecided)
        XCTAssertEqual(trial.failed(), .failed)
    }
}
