// swift-tools-version:5.9
import PackageDescription

// ExecuTorch publishes one branch a release, which holds its built frameworks. Backends register themselves as the app
// starts, so the linker must keep code that nobody calls.
let package = Package(
    name: "InspectorExecuTorch",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "InspectorExecuTorch", targets: ["InspectorExecuTorch"])],
    dependencies: [.package(url: "https://github.com/pytorch/executorch.git", branch: "swiftpm-1.5.0")],
    targets: [
        .target(
            name: "InspectorExecuTorch",
            dependencies: [
                .product(name: "executorch", package: "executorch"),
                .product(name: "backend_xnnpack", package: "executorch"),
            ],
            path: ".",
            sources: ["Classifier.swift"],
            linkerSettings: [.unsafeFlags(["-Wl,-all_load"])]
        )
    ]
)
