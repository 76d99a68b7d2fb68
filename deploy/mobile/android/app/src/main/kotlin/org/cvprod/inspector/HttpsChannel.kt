package org.cvprod.inspector

import java.io.IOException
import java.net.URI
import javax.net.ssl.HttpsURLConnection
import org.cvprod.inspector.core.Channel

/** An update channel: a folder of static files behind https. */
class HttpsChannel(address: String) : Channel {
    private val base = URI("${address.trimEnd('/')}/").also {
        require(it.scheme == "https") { "An update channel starts with https://, not $address." }
    }

    override fun fetch(path: String, limit: Int): ByteArray {
        val connection = base.resolve(path).toURL().openConnection() as HttpsURLConnection
        connection.connectTimeout = 10_000
        connection.readTimeout = 30_000
        connection.useCaches = false // an old manifest from a cache would hide the update
        try {
            if (connection.responseCode != 200) throw IOException("$path: HTTP ${connection.responseCode}")
            val data = ByteArray(limit + 1)
            var filled = 0
            connection.inputStream.use { stream ->
                while (filled < data.size) {
                    val count = stream.read(data, filled, data.size - filled)
                    if (count < 0) break
                    filled += count
                }
            }
            return data.copyOf(filled) // one byte over the limit tells the caller that there was more
        } finally {
            connection.disconnect()
        }
    }
}
