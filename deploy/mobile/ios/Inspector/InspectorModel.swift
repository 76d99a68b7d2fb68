import Combine
import CoreML
import Foundation
import InspectorCore

/// Everything on the screen. Times in milliseconds.
struct InspectorState: Equatable, Sendable {
    var prediction: Prediction?
    var frameMs = 0.0
    var networkMs = 0.0
    var processor = Processor.neuralEngine
    var modelVersion = 0
    var onTrial = false
    var updatesPossible = false
    var notice: String?
}

/// What the screen watches: hands work to the `Engine` and shows what it says.
@MainActor
final class InspectorModel: ObservableObject {
    @Published private(set) var state = InspectorState()
    let camera: Camera
    private let engine: Engine
    private let channel: HTTPSChannel?

    init() {
        let settings = Bundle.main.infoDictionary ?? [:]
        let key = settings["InspectorPublicKey"] as? String ?? ""
        channel = key.isEmpty ? nil : HTTPSChannel(settings["InspectorChannel"] as? String ?? "")
        let engine = Engine(
            store: ModelStore(
                root: URL.applicationSupportDirectory.appending(path: "models"), name: "inspector",
                appVersion: settings["CFBundleShortVersionString"] as? String ?? "0.0.0", trusted: [key]))
        self.engine = engine
        camera = Camera(queue: engine.queue) { engine.inspect($0) }
        state.updatesPossible = channel != nil
        engine.onChange = { [weak self] change in
            Task { @MainActor in
                if let self { change(&self.state) }
            }
        }
    }

    func start() async {
        engine.start()
        do {
            try await camera.start()
        } catch {
            state.notice = error.localizedDescription
        }
    }

    func choose(_ processor: Processor) { engine.choose(processor) }

    /// Ask the channel for a newer model, and try it. Frames go on while it downloads.
    func checkForUpdate() {
        guard let channel else { return }
        state.notice = "Checking…"
        Task {
            do {
                if let download = try await engine.store.download(from: channel) {
                    engine.install(download)
                } else {
                    state.notice = "The model is up to date"
                }
            } catch {
                state.notice = error.localizedDescription
            }
        }
    }
}

/// Owns the model. Frames, the switch to a new model and a change of processor happen on one queue, so that nothing here
/// needs a lock; that is also why the compiler may be told that it can be shared.
final class Engine: @unchecked Sendable {
    typealias Change = @Sendable (inout InspectorState) -> Void

    let queue = DispatchQueue(label: "org.cvprod.inspector.engine", qos: .userInitiated)
    let store: ModelStore
    var onChange: (@escaping Change) -> Void = { _ in }

    private var classifier: Classifier?
    private var classes: [String] = []
    private var trial: Trial?
    private var processor = Processor.neuralEngine
    private lazy var vectors = Result { try Vectors(folder: Bundle.main.bundleURL.appending(path: "vectors")) }

    init(store: ModelStore) {
        self.store = store
    }

    func start() {
        queue.async { [self] in
            let wentBack = (try? store.started()) ?? false
            switchTo(processor)
            if wentBack { tell("The new model failed at work; the earlier one is back") }
        }
    }

    func choose(_ wanted: Processor) {
        queue.async { [self] in switchTo(wanted) }
    }

    func install(_ download: Download) {
        queue.async { [self] in
            do {
                let manifest = try store.install(download, findFault: findFault)
                switchTo(processor)
                tell("Version \(manifest.version) is installed and on trial")
            } catch {
                tell(error.localizedDescription)
            }
        }
    }

    /// One frame; call on `queue`.
    func inspect(_ square: Square) {
        guard let classifier else { return }
        let clock = ContinuousClock()
        let start = clock.now
        let tensor = AreaResize.resize(square.pixels, side: square.side)
        let prepared = clock.now
        let logits = (try? classifier.classify(tensor)) ?? []  // an error of Core ML is a fault of a model on trial
        let end = clock.now
        let answer = Prediction(logits: logits, classes: classes)
        judge(answered: answer != nil)
        onChange { state in
            state.prediction = answer
            state.frameMs = (end - start).milliseconds
            state.networkMs = (end - prepared).milliseconds
            if answer == nil { state.notice = "The model gives no numbers for this frame" }
        }
    }

    private func judge(answered: Bool) {
        switch answered ? trial?.answered() : trial?.failed() {
        case .confirmed:
            try? store.confirm()
            trial = nil
            onChange { $0.onTrial = false }
        case .failed:
            try? store.rollBack()
            switchTo(processor)
            tell("The new model failed at work; the earlier one is back")
        case .undecided, nil:
            break
        }
    }

    private func switchTo(_ wanted: Processor) {
        let active = store.active()
        do {
            classifier = try Classifier(compiled: try compiled(active), processor: wanted)
        } catch where active.folder != nil {
            // Its files are whole and it ran before: this phone cannot run it now. Go back rather than go blind.
            try? store.rollBack()
            return store.active().version == active.version ? tell(error.localizedDescription) : switchTo(wanted)
        } catch {
            return tell("The app's own model cannot be opened: \(error.localizedDescription)")
        }
        processor = wanted
        classes = active.classes ?? (try? vectors.get().classes) ?? []
        trial = active.onTrial ? Trial() : nil
        onChange { state in
            state.processor = wanted
            state.modelVersion = active.version
            state.onTrial = active.onTrial
            state.notice = nil
        }
    }

    /// The compiled form of a model: Xcode made the app's own, the phone makes those of updates, once.
    private func compiled(_ active: Active) throws -> URL {
        guard let folder = active.folder else {
            guard let own = Bundle.main.url(forResource: "Model", withExtension: "mlmodelc") else {
                throw UpdateError("Model.mlpackage is missing from the app; see README.md.")
            }
            return own
        }
        let kept = folder.appending(path: "compiled.mlmodelc")
        // Not percent-encoded: models lie below "Application Support", whose blank would become %20 and never be found.
        if FileManager.default.fileExists(atPath: kept.path(percentEncoded: false)) { return kept }
        return try compile(folder.appending(path: active.root), into: kept)
    }

    private func compile(_ package: URL, into kept: URL) throws -> URL {
        let made = try MLModel.compileModel(at: package)
        try? FileManager.default.removeItem(at: kept)
        try FileManager.default.moveItem(at: made, to: kept)
        return kept
    }

    private func findFault(folder: URL, manifest: Manifest) -> String? {
        do {
            let model = try compile(
                folder.appending(path: manifest.root), into: folder.appending(path: "compiled.mlmodelc"))
            let classifier = try Classifier(compiled: model, processor: .cpu)
            return try vectors.get().findFault(classes: manifest.classes, run: classifier.classify)
        } catch {
            return "Core ML cannot run it (\(error.localizedDescription))"
        }
    }

    private func tell(_ text: String) {
        onChange { $0.notice = text }
    }
}

extension Duration {
    fileprivate var milliseconds: Double {
        Double(components.seconds) * 1e3 + Double(components.attoseconds) / 1e15
    }
}
