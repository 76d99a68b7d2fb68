// swift-tools-version: 5.10
import PackageDescription

// What needs no camera and no screen; `swift test` runs its tests on a Mac without a phone.
let package = Package(
    name: "InspectorCore",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "InspectorCore", targets: ["InspectorCore"])],
    targets: [
        .target(name: "InspectorCore"),
        .testTarget(name: "InspectorCoreTests", dependencies: ["InspectorCore"]),
    ]
)
