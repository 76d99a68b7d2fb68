package org.cvprod.inspector.core

import java.io.File

/** The shared folder deploy/mobile/vectors; Gradle and the book's own tests say where it is. */
object Shared {
    private val folder = File(checkNotNull(System.getProperty("vectors.dir")) { "run with -Dvectors.dir=.../vectors" })

    fun bytes(name: String): ByteArray = File(folder, name).readBytes()

    fun vectors() = Vectors(bytes("vectors.json"), bytes("tiles.bin"), bytes("tensors.bin"))

    val publicKey: String get() = bytes("update/public.key").decodeToString().trim()
}
