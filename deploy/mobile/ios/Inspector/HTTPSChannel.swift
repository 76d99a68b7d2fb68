import Foundation
import InspectorCore

/// An update channel: a folder of static files behind https.
struct HTTPSChannel: Channel {
    private let base: URL

    /// - Parameter place: host and path, such as models.example.org/inspector; nil where that is no address.
    init?(_ place: String) {
        let plain = place.hasPrefix("https://") ? String(place.dropFirst(8)) : place
        guard !plain.isEmpty, !plain.contains("://"), let url = URL(string: "https://\(plain)"), url.host() != nil else {
            return nil
        }
        base = url
    }

    func fetch(_ path: String, limit: Int) async throws -> Data {
        // An old manifest from a cache would hide the update.
        let request = URLRequest(
            url: base.appending(path: path), cachePolicy: .reloadIgnoringLocalAndRemoteCacheData, timeoutInterval: 30)
        let (bytes, response) = try await URLSession.shared.bytes(for: request)
        guard (response as? HTTPURLResponse)?.statusCode == 200 else { throw URLError(.fileDoesNotExist) }
        var data = Data()
        for try await byte in bytes {
            data.append(byte)
            if data.count > limit { break }  // one byte over tells the caller that there was more
        }
        return data
    }
}
