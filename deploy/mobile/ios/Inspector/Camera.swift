import AVFoundation
import InspectorCore
import SwiftUI

/// The back camera. Frames come to `onFrame` on `queue`; those that come while it works are dropped, so that the answer on
/// the screen belongs to what the camera sees now.
final class Camera: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate {
    let session = AVCaptureSession()
    private let queue: DispatchQueue
    private let onFrame: (Square) -> Void

    init(queue: DispatchQueue, onFrame: @escaping (Square) -> Void) {
        self.queue = queue
        self.onFrame = onFrame
    }

    enum Failure: LocalizedError {
        case notAllowed, noCamera, notUsable

        var errorDescription: String? {
            switch self {
            case .notAllowed: "The camera is not allowed. Settings, Steel Inspector, Camera."
            case .noCamera: "There is no back camera."
            case .notUsable: "The camera cannot give the pictures that the network needs."
            }
        }
    }

    /// Ask for permission, set up, start. Throws `Failure`, or what AVFoundation says.
    func start() async throws {
        guard await AVCaptureDevice.requestAccess(for: .video) else { throw Failure.notAllowed }
        guard let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back) else {
            throw Failure.noCamera
        }
        let input = try AVCaptureDeviceInput(device: device)
        let output = AVCaptureVideoDataOutput()
        output.alwaysDiscardsLateVideoFrames = true
        // Luma is the grey picture already: no colour conversion, nothing to get wrong.
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_420YpCbCr8BiPlanarFullRange
        ]
        output.setSampleBufferDelegate(self, queue: queue)
        session.beginConfiguration()
        session.sessionPreset = .vga640x480
        guard session.canAddInput(input), session.canAddOutput(output) else {
            session.commitConfiguration()
            throw Failure.notUsable
        }
        session.addInput(input)
        session.addOutput(output)
        if let connection = output.connection(with: .video), connection.isVideoRotationAngleSupported(90) {
            connection.videoRotationAngle = 90  // upright, as the preview shows it
        }
        session.commitConfiguration()
        let session = session
        queue.async { session.startRunning() }  // blocks, so never on the main thread
    }

    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection
    ) {
        guard let buffer = CMSampleBufferGetImageBuffer(sampleBuffer) else { return }
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        guard let address = CVPixelBufferGetBaseAddressOfPlane(buffer, 0) else { return }
        let height = CVPixelBufferGetHeightOfPlane(buffer, 0)
        let stride = CVPixelBufferGetBytesPerRowOfPlane(buffer, 0)
        let luma = UnsafeRawBufferPointer(start: address, count: stride * height)
        let width = CVPixelBufferGetWidthOfPlane(buffer, 0)
        if let square = middleSquare(luma: luma, width: width, height: height, rowStride: stride) { onFrame(square) }
    }
}

/// The camera's live picture.
struct CameraPreview: UIViewRepresentable {
    final class View: UIView {
        override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }
        var preview: AVCaptureVideoPreviewLayer? { layer as? AVCaptureVideoPreviewLayer }
    }

    let session: AVCaptureSession

    func makeUIView(context: Context) -> View {
        let view = View()
        view.preview?.session = session
        view.preview?.videoGravity = .resizeAspectFill  // the middle square, which is what the network sees
        return view
    }

    func updateUIView(_ view: View, context: Context) {}
}
