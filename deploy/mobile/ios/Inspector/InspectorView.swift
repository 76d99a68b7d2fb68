import InspectorCore
import SwiftUI

/// The whole screen; the camera is a slot, so that tests and previews need none.
struct InspectorView<Picture: View>: View {
    let state: InspectorState
    let choose: (Processor) -> Void
    let checkForUpdate: () -> Void
    @ViewBuilder let picture: () -> Picture

    var body: some View {
        ScrollView {
            VStack(alignment: .leading, spacing: 12) {
                picture()
                    .aspectRatio(1, contentMode: .fit)
                    .clipShape(RoundedRectangle(cornerRadius: 12))
                    .accessibilityLabel("Live picture")
                result
                Picker("Processor", selection: Binding(get: { state.processor }, set: choose)) {
                    ForEach(Processor.allCases) { Text($0.rawValue).tag($0) }
                }
                .pickerStyle(.segmented)
                Text(modelText).font(.subheadline)
                Button("Check for a new model", action: checkForUpdate)
                    .buttonStyle(.borderedProminent)
                    .disabled(!state.updatesPossible)
                if let notice = state.notice ?? (state.updatesPossible ? nil : Self.updatesOff) {
                    Text(notice).font(.footnote).foregroundStyle(.secondary).accessibilityIdentifier("notice")
                }
            }
            .padding()
        }
    }

    @ViewBuilder private var result: some View {
        if let found = state.prediction {
            Text("\(found.label.replacingOccurrences(of: "_", with: " ")), \(found.probability * 100, specifier: "%.0f") %")
                .font(.title)
                .accessibilityIdentifier("label")
            Text(
                "\(state.frameMs, specifier: "%.1f") ms a frame (\(state.networkMs, specifier: "%.1f") ms of it the network)"
            )
            .monospacedDigit()
        } else {
            Text("Waiting for the camera").font(.title).accessibilityIdentifier("label")
        }
    }

    private var modelText: String {
        switch (state.modelVersion, state.onTrial) {
        case (0, _): "Model: the one that came with the app"
        case (let version, true): "Model: version \(version), on trial"
        case (let version, false): "Model: version \(version)"
        }
    }

    private static var updatesOff: String { "No update channel was set when this app was built" }
}

#Preview {
    InspectorView(
        state: InspectorState(prediction: Prediction(label: "rolled_in_scale", probability: 0.93), frameMs: 3.1),
        choose: { _ in }, checkForUpdate: {}
    ) { Color.gray }
}
