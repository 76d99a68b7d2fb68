import SwiftUI

@main
struct InspectorApp: App {
    @StateObject private var inspector = InspectorModel()

    var body: some Scene {
        WindowGroup {
            InspectorView(
                state: inspector.state,
                choose: inspector.choose,
                checkForUpdate: inspector.checkForUpdate
            ) {
                CameraPreview(session: inspector.camera.session)
            }
            .task { await inspector.start() }
        }
    }
}
