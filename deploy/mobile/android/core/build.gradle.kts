// What needs no Android: preprocessing, manifest, delta, slots. Its tests run on any machine with a JDK.
plugins {
    alias(libs.plugins.kotlin.jvm)
    alias(libs.plugins.kotlin.serialization)
}

// Bytecode for Java 17 from whatever newer JDK builds it: Studio brings one of its own, and only that.
kotlin {
    compilerOptions { jvmTarget = org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_17 }
}

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

dependencies {
    implementation(libs.bouncycastle)
    implementation(libs.serialization.json)
    testImplementation(libs.junit)
}

tasks.test {
    val vectors = rootProject.layout.projectDirectory.dir("../vectors")
    inputs.dir(vectors).withPathSensitivity(PathSensitivity.RELATIVE)
    systemProperty("vectors.dir", vectors.asFile.absolutePath)
}
