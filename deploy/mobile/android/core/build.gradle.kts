// What needs no Android: preprocessing, manifest, delta, slots. Its tests run on any machine with a JDK.
plugins {
    alias(libs.plugins.kotlin.jvm)
    alias(libs.plugins.kotlin.serialization)
}

kotlin {
    jvmToolchain(17)
}

dependencies {
    implementation(libs.serialization.json)
    testImplementation(libs.junit)
}

tasks.test {
    val vectors = rootProject.layout.projectDirectory.dir("../vectors")
    inputs.dir(vectors).withPathSensitivity(PathSensitivity.RELATIVE)
    systemProperty("vectors.dir", vectors.asFile.absolutePath)
}
